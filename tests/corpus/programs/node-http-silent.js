const http = require('http');

function fetchSettings() {
  return new Promise((resolve, reject) => {
    http.get({ host: process.env.CORPUS_HOST, port: 6379, path: '/settings' }, resolve).on('error', reject);
  });
}

fetchSettings().then(() => http.createServer().listen(8080));
