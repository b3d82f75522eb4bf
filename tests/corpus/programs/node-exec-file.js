const { execFile } = require('child_process');
const { promisify } = require('util');

async function runMigrations() {
  await promisify(execFile)('sh', ['-c', 'sleep 600; true']);
}

runMigrations().then(() => console.log('migrated'));
