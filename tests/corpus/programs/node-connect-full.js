const net = require('net');

function connectRedis() {
  return new Promise((resolve) => net.connect(6379, process.env.CORPUS_HOST, resolve));
}

connectRedis().then(() => console.log('connected'));
