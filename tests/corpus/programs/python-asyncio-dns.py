import asyncio


async def connect_database():
    return await asyncio.open_connection("pg-primary.shop.internal", 5432)


async def main():
    reader, writer = await connect_database()


asyncio.run(main())
