import asyncio

lock = asyncio.Lock()


async def flush():
    async with lock:
        return True


async def start():
    async with lock:
        await flush()


asyncio.run(start())
