const net = require('net');

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function connect() {
  return new Promise((resolve, reject) => {
    const socket = net.connect(6379, process.env.CORPUS_HOST, () => resolve(socket));
    socket.on('error', reject);
  });
}

async function waitForCache() {
  for (;;) {
    try {
      return await connect();
    } catch {
      await pause(400);
    }
  }
}

waitForCache().then(() => net.createServer().listen(8080));
