import asyncio


class Service:
    def __init__(self):
        self.config_loaded = asyncio.Event()

    async def load_templates(self):
        await asyncio.sleep(0.1)

    async def wait_for_config(self):
        await self.config_loaded.wait()

    async def heartbeat(self):
        while True:
            await asyncio.sleep(0.5)

    async def start(self):
        self.beat = asyncio.create_task(self.heartbeat())
        await asyncio.gather(self.load_templates(), self.wait_for_config())


async def main():
    await Service().start()


asyncio.run(main())
