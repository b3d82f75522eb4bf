// Stands still at a known place, or says where that is: node places.js tell|stop PLACE FIFO
'use strict';
const fs = require('fs');
const [, , what, place] = process.argv;
const fifo = process.argv[4];
Error.stackTraceLimit = Infinity;

function tell() {
  const here = {};
  Error.captureStackTrace(here, tell);
  fs.writeSync(1, here.stack + '\nend\n');
  process.exit();
}

function ready() {
  fs.writeSync(1, 'ready\n');
}

// Each on one line: where these stand is known by their names.
const ways = {
  read: () => { const fd = fs.openSync(fifo, 'r+'); ready(); fs.readSync(fd, Buffer.alloc(1)); },
  wait: () => { ready(); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); },
  exec: () => { ready(); require('child_process').execSync('exec sleep 1000'); },
  spin: () => { ready(); for (;;); },
  pass: () => {},
};

function stop(way) {
  return what === 'tell' && way !== 'pass' ? tell() : ways[way]();
}

class Store {
  #path;

  constructor(path) {
    this.#path = path;
    if (place === 'constructor') {
      stop('read');
    }
  }

  connect(times) {
    const retry = () => {
      for (let i = 0; i < times; i++) {
        if (i === 2) {
          stop('read');
        }
      }
    };
    if (times > 100) {
      retry();
      return;
    }
    retry(
    );
  }

  get state() {
    return this.#connected();
  }

  #connected() {
    return stop(
      'wait');
  }

  static open(path) {
    const store = new Store(
      path);
    return store;
  }
}

function down(depth) {
  if (depth > 0) {
    return 1 +
      down(depth - 1);
  }
  return stop('read');
}

async function later() {
  await null;
  await new Promise((done) => setTimeout(done, 1));
  for await (const one of [1, 2]) {
    if (one === 2) {
      [one].map(function each() {
        stop('exec');
      });
    }
  }
}

function mix(x, n) {
  return (x * 31 + n) | 0;
}

function inner(i, way) {
  if (i % 1000 === 999) {
    stop(
      i < 99_999 ? 'pass' : way);
  }
  return mix(i, 3);
}

class Sum {
  add(i, way) {
    const a = mix(i, 1);
    return a +
      inner(i, way);
  }
}

function hot(way) {
  let total = 0;
  const sum = new Sum();
  for (let i = 0; i < 100_000; i++) {
    total +=
      sum.add(i, way);
  }
  return total;
}

function busy() {
  let turns = 0;
  // Where it is in here is told as near: which turn it is in changes all the time.
  if (what === 'tell') tell();
  ready();
  for (;;) {
    turns = mix(turns, 1);
    if (turns === 12_345 && fifo === 'never') {
      return turns;
    }
  }
}

const generated = new Function('go', 'return (\n go(\n))');

const places = {
  constructor: () => Store.open('x'),
  closure: () => new Store('x').connect(5),
  getter: () => new Store('x').state,
  down: () => down(100),
  later,
  hot: () => {
    // Otherwise it is inlined too, and what was optimised is given up when it stops in another way for once.
    if (process.execArgv.includes('--allow-natives-syntax')) {
      new Function('never', '%NeverOptimizeFunction(never)')(stop);
    }
    for (let times = 0; times < 30; times++) hot('pass');
    hot('read');
  },
  busy,
  spin: () => stop('spin'),
  generated: () => generated(() => stop('read')),
  callback: () => 'abc'.replace(/b/, () => [3, 1, 2].sort((a, b) => stop('wait'))),
  worker: () => {
    const { Worker } = require('worker_threads');
    new Worker(__filename, { argv: [what, 'closure', fifo] });
  },
};

places[place]();
