import asyncio


async def main():
    asyncio.get_running_loop().create_future()


loop = asyncio.new_event_loop()
loop.create_task(main())
loop.run_forever()
