import asyncio


async def next_job(jobs):
    return await jobs.get()


async def main():
    jobs = asyncio.Queue()
    await asyncio.gather(next_job(jobs), next_job(jobs))


asyncio.run(main())
