function waitForWorker(flag) {
  Atomics.wait(flag, 0, 0);
}

waitForWorker(new Int32Array(new SharedArrayBuffer(4)));
