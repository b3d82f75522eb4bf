import asyncio
import os


class Broker:
    def __init__(self, host, port):
        self.host, self.port = host, port

    async def connect(self):
        delay = 0.1
        while True:
            try:
                self.reader, self.writer = await asyncio.wait_for(asyncio.open_connection(self.host, self.port), 1)
                return
            except (OSError, asyncio.TimeoutError):
                await asyncio.sleep(delay)
                delay = min(delay * 1.5, 0.5)


async def consume(broker, ready):
    await broker.connect()
    ready.set()


async def main():
    ready = asyncio.Event()
    asyncio.create_task(consume(Broker(os.environ["CORPUS_HOST"], 5672), ready))
    await ready.wait()


asyncio.run(main())
