import asyncio


class State:
    loaded = False


async def until_loaded(state):
    while not state.loaded:
        await asyncio.sleep(0)


async def main():
    state = State()
    await until_loaded(state)
    print("ready")


asyncio.run(main())
