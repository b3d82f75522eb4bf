import asyncio
import os


async def read_greeting():
    reader, _ = await asyncio.open_connection(os.environ["CORPUS_HOST"], 6379)
    await reader.readline()


asyncio.run(read_greeting())
