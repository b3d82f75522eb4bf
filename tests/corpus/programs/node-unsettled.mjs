async function connectBroker() {
  return new Promise(() => {});
}

await connectBroker();
