const fs = require('fs');

function readSecret() {
  return fs.readFileSync(process.env.CORPUS_FIFO);
}

readSecret();
