import asyncio
import os


async def wait_for_cache():
    while True:
        try:
            return await asyncio.open_connection(os.environ["CORPUS_HOST"], 6379)
        except OSError:
            await asyncio.sleep(0.4)


asyncio.run(wait_for_cache())
