import logging
import os
import random
import time
import urllib.error
import urllib.request

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("boot")


def fetch_config(url, attempts=1000):
    for attempt in range(1, attempts + 1):
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read()
        except urllib.error.URLError as error:
            delay = min(0.1 * 2**attempt, 0.6) + random.random() / 10
            log.warning("config server: %s, attempt %d, next in %.1f s", error, attempt, delay)
            time.sleep(delay)


fetch_config(f"http://{os.environ['CORPUS_HOST']}:8888/config")
