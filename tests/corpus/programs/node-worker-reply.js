const { Worker } = require('worker_threads');

const worker = new Worker(
  `const net = require('net');
   const { parentPort } = require('worker_threads');
   net.connect(6379, process.env.CORPUS_HOST).on('data', () => parentPort.postMessage('ready'));`,
  { eval: true });
worker.on('message', () => require('http').createServer().listen(8080));
