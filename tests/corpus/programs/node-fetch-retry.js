const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function fetchWithRetry(url, { pause = 100, most = 800 } = {}) {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
      if (response.ok) return await response.json();
    } catch (error) {
      console.error(`attempt ${attempt}: ${error.message}`);
    }
    await sleep(Math.min(pause * 2 ** attempt, most));
  }
}

fetchWithRetry(`http://${process.env.CORPUS_HOST}:8500/v1/kv/shop`).then((settings) => console.log(settings));
