// Is idle in its event loop: with a server, a timer, a pipe, and a connection that is not answered. node idle.js PORT
'use strict';
const net = require('net');
const server = net.createServer();
setTimeout(() => {}, 500_000);
process.stdin.resume();
server.listen(0, '127.0.0.1', () => {
  net.connect(Number(process.argv[2]), '127.0.0.1');
  process.stdout.write(`${server.address().port}\n`);
});
