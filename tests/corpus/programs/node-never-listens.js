const { EventEmitter, once } = require('events');

async function main() {
  setInterval(() => {}, 100_000);
  await once(new EventEmitter(), 'configured');
  require('http').createServer().listen(8080);
}

main();
