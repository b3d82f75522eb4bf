const net = require('net');

function waitForCache() {
  const socket = net.connect(6379, process.env.CORPUS_HOST);
  socket.on('error', (error) => {
    console.error(`cache: ${error.message}`);
    setTimeout(waitForCache, 300);
  });
}

waitForCache();
