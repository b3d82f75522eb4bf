import asyncio
import os


async def connect_database():
    await asyncio.open_connection(os.environ["CORPUS_HOST"], 6379)


async def main():
    await connect_database()


asyncio.run(main())
