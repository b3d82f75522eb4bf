import asyncio


async def build_assets():
    process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 600; echo done", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out


async def main():
    await build_assets()


asyncio.run(main())
