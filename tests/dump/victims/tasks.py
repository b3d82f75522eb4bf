"""Tasks of asyncio in many places, in an event loop of its own thread, and one task that keeps another loop from going on.

The first line of output says what the interpreter itself knows of them: for each task its id, name, whether its coroutine
has begun, the functions, files and lines of its coroutines, innermost first, and the ids of the tasks it awaits.
"""
import asyncio
import gc
import inspect
import json
import socket
import sys
import threading
import time
import types

kept = []


async def in_sleep():
    await asyncio.sleep(1000)


async def in_event():
    await asyncio.Event().wait()


async def in_lock():
    lock = asyncio.Lock()
    await lock.acquire()
    async with lock:
        pass


async def in_queue():
    queue = asyncio.Queue()
    await queue.get()


async def in_future():
    await asyncio.get_running_loop().create_future()


async def in_condition():
    condition = asyncio.Condition()
    async with condition:
        await condition.wait()


async def in_task():
    await asyncio.create_task(in_future())


async def in_gather():
    await asyncio.gather(in_sleep(), in_event())


async def in_wait():
    await asyncio.wait([asyncio.ensure_future(in_sleep())])


async def in_wait_for():
    await asyncio.wait_for(in_queue(), 1000)


async def in_shield():
    await asyncio.shield(in_sleep())


async def numbers():
    yield 1
    await asyncio.sleep(
        1000
    )
    yield 2


async def doubled():
    async for number in numbers():
        yield 2 * number


async def in_generator():
    async for _ in doubled():
        pass


class Awaitable:
    def __await__(self):
        yield from in_future().__await__()


async def in_awaitable():
    await Awaitable()


@types.coroutine
def old_style():
    for _ in range(1):
        yield from asyncio.sleep(1000).__await__()


async def in_old_style():
    await old_style()


async def in_anext():
    await numbers_after().__anext__()


async def numbers_after():
    await in_future()
    yield 1


async def deep(depth):
    if depth:
        return await deep(depth - 1)
    await asyncio.sleep(1000)


async def in_deep():
    await deep(40)


async def in_with():
    class Manager:
        async def __aenter__(self):
            await asyncio.sleep(1000)

        async def __aexit__(self, *_):
            pass

    async with Manager():
        pass


async def in_receive():
    ours, theirs = socket.socketpair()
    kept.append(ours)
    reader, _ = await asyncio.open_connection(sock=theirs)
    await reader.readline()


async def in_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(in_sleep())
        group.create_task(in_event())


async def in_timeout():
    async with asyncio.timeout(1000):
        await asyncio.sleep(1000)


async def done():
    pass


async def never_run():
    pass


PLACES = [
    in_sleep, in_event, in_lock, in_queue, in_future, in_condition, in_task, in_gather, in_wait, in_wait_for, in_shield,
    in_generator, in_awaitable, in_old_style, in_anext, in_deep, in_with, in_receive,
]
if sys.version_info >= (3, 11):
    PLACES += [in_group, in_timeout]


def busy(go):
    async def blocked():
        go.set()
        time.sleep(1000)

    loop = asyncio.new_event_loop()
    task = loop.create_task(blocked())
    kept.append(task)
    loop.run_until_complete(task)


def stand(awaited):
    """Code, frame and what is awaited of a coroutine or generator."""
    for prefix, name in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        if hasattr(awaited, prefix + "_code"):
            return getattr(awaited, prefix + "_code"), getattr(awaited, prefix + "_frame"), getattr(awaited, name)
    return None


def frames_of(coroutine):
    frames = []
    awaited = coroutine
    while awaited is not None:
        standing = stand(awaited)
        if standing:
            code, frame, awaited = standing
            name = getattr(code, "co_qualname", code.co_name)
            frames.append([name, code.co_filename, frame.f_lineno])
        elif type(awaited).__name__ in ("coroutine_wrapper", "async_generator_asend"):
            inner = [found for found in gc.get_referents(awaited) if stand(found)]
            awaited = inner[0] if inner else None
        else:
            awaited = None
    return frames[::-1]


def tasks_awaited_by(task):
    waiter = task._fut_waiter
    children = [waiter] if isinstance(waiter, asyncio.Task) else getattr(waiter, "_children", [])
    return sorted(id(child) for child in children if isinstance(child, asyncio.Task) and not child.done())


def main():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop", daemon=True)
    thread.start()

    async def start():
        kept.extend(loop.create_task(place(), **named(place)) for place in PLACES)
        kept.append(loop.create_task(done()))

    def named(place):
        return {} if place is in_sleep else {"name": "at " + place.__name__}

    asyncio.run_coroutine_threadsafe(start(), loop).result()
    # A turn of the loop for each step that any of them takes.
    for _ in range(60):
        asyncio.run_coroutine_threadsafe(done(), loop).result()
    go = threading.Event()
    other = threading.Thread(target=busy, args=(go,), name="busy loop", daemon=True)
    other.start()
    go.wait()
    # It is not run before the loop wakes up, which it does not: nobody tells it.
    kept.append(asyncio.Task(never_run(), loop=loop, name="not begun"))

    told = []
    for task in asyncio.all_tasks(loop):
        begun = inspect.getcoroutinestate(task.get_coro()) != inspect.CORO_CREATED
        told.append([id(task), task.get_name(), begun, frames_of(task.get_coro()), tasks_awaited_by(task)])
    running = next(task for task in kept if isinstance(task, asyncio.Task) and "blocked" in repr(task.get_coro()))
    print(json.dumps([told, thread.native_id, id(running), other.native_id]))
    print("ready", flush=True)
    sys.stdin.readline()


main()
