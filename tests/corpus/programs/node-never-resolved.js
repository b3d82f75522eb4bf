const http = require('http');
const { EventEmitter } = require('events');

const loader = new EventEmitter();
const alive = setInterval(() => {}, 10000);

async function main() {
  await new Promise((resolve) => loader.once('loaded', resolve));
  http.createServer().listen(8080);
  clearInterval(alive);
}

main();
