const fs = require('fs');

async function importAll() {
  for (let part = 0; ; part += 1) {
    await fs.promises.writeFile('part', Buffer.alloc(1 << 18, part));
    await fs.promises.readFile('part');
  }
}

importAll();
