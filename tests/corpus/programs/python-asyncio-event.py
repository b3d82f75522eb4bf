import asyncio


async def wait_for_config(event):
    await event.wait()


async def main():
    await wait_for_config(asyncio.Event())


asyncio.run(main())
