const net = require('net');

function connectDatabase() {
  net.connect(5432, 'db.shop.internal').on('connect', () => {
    net.createServer().listen(8080);
  });
}

connectDatabase();
