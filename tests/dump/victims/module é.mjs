// The same as an ECMAScript module, with an await at its top: node 'module é.mjs' tell|stop - FIFO
import fs from 'node:fs';

const [, , what, , fifo] = process.argv;

await new Promise((done) => setImmediate(done));

export default class Gate {
  async *turns() {
    yield 1;
    yield this.shut();
  }

  shut() {
    if (what === 'tell') {
      fs.writeSync(1, new Error('here').stack + '\nend\n'); process.exit();
    } else {
      const fd = fs.openSync(fifo, 'r+');
      fs.writeSync(1, 'ready\n');
      fs.readSync(fd, Buffer.alloc(1));
    }
  }
}

for await (const turn of new Gate().turns()) {
  fs.writeSync(2, `${turn}\n`);
}
