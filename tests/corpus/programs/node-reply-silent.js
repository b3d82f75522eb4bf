const net = require('net');

const socket = net.connect(6379, process.env.CORPUS_HOST, () => socket.write('PING\r\n'));
socket.on('data', () => console.log('answered'));
