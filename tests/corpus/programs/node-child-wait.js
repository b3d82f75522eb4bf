const { execSync } = require('child_process');

function migrate() {
  execSync('sleep 600');
}

migrate();
