import { createServer } from 'node:http';

const keep = setInterval(() => {}, 1000);

async function connectBroker() {
  return new Promise(() => {});
}

const broker = await connectBroker();
clearInterval(keep);
createServer((_, response) => response.end(broker)).listen(8080);
