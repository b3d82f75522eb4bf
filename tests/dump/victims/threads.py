"""Threads in many places. On SIGUSR1 the interpreter itself writes where all of them are, to the file that is named.

The first line of output says which threads there are: ident, tid and name of each.
"""
import faulthandler
import functools
import json
import queue
import signal
import socket
import sys
import threading
import time

held = threading.Lock()
held.acquire()
never = threading.Event()
ours, theirs = socket.socketpair()


def in_lock():
    held.acquire()


def in_sleep():
    time.sleep(
        1000,
    )


def in_receive():
    theirs.recv(
        100
    )


def in_event():
    never.wait()


def in_queue():
    queue.Queue().get()


def in_condition():
    condition = threading.Condition()
    with condition:
        condition.wait()


def numbers():
    yield 1
    held.acquire()
    yield 2


def through_generator():
    def delegate():
        yield from numbers()

    for number in delegate():
        assert number == 1


def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        held.acquire()


def in_recursion():
    deep(60)


def in_lambda():
    (lambda: held.acquire())()


class Worker:
    value = property(lambda self: held.acquire())

    def __init__(self, wait=False):
        if wait:
            held.acquire()

    @classmethod
    def make(cls):
        return cls.helper()

    @staticmethod
    def helper():
        class Inner:
            def method(self):
                def nested():
                    held.acquire()

                nested()

        Inner().method()

    def __enter__(self):
        held.acquire()

    def __exit__(self, *_):
        pass

    def __getattr__(self, name):
        return held.acquire()

    def __lt__(self, other):
        return held.acquire()


def in_class_method():
    Worker.make()


def in_constructor():
    Worker(wait=True)


def in_property():
    Worker().value


def in_enter():
    with Worker():
        pass


def in_getattr():
    Worker().missing


def in_comparison():
    sorted([Worker(), Worker()])


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments, **named):
        try:
            return function(*arguments, **named)
        finally:
            pass

    return wrapper


@decorated
@decorated
def in_decorated():
    held.acquire()


def called_back(number):
    if number == 2:
        held.acquire()
    return number


def in_callback():
    return sorted(
        [1, 2, 3],
        key=called_back,
    )


def in_two_callbacks():
    return list(map(lambda number: max([number], key=called_back), [2]))


def in_comprehension():
    return [
        held.acquire()
        for _ in range(3)
    ]


def in_partial():
    functools.partial(called_back, 2)()


def überlauf():
    held.acquire()


def 名前():
    überlauf()


def in_executed():
    exec("def made():\n\n    held.acquire()\n\nmade()", {"held": held})


def in_named_code():
    exec(compile("\n\nheld.acquire()", "/nowhere/ünï/😀.py", "exec"), {"held": held})


def in_many_lines():
    first = 1
    second = (
        first
        + 1
    )
    third = {
        "a": first,
        "b": held.acquire(),
    }
    return first, second, third


# A jump of more lines than fit into one step of the tables.
exec("def far():\n" + "\n" * 700 + "    x = [\n" + "1,\n" * 300 + "    held.acquire(),\n    ]\n")


def in_far_line():
    far()  # noqa: F821


PLACES = [
    in_lock, in_sleep, in_receive, in_event, in_queue, in_condition, through_generator, in_recursion, in_lambda,
    in_class_method, in_constructor, in_property, in_enter, in_getattr, in_comparison, in_decorated, in_callback,
    in_two_callbacks, in_comprehension, in_partial, 名前, in_executed, in_named_code, in_many_lines, in_far_line,
]


def main():
    faulthandler.register(signal.SIGUSR1, open(sys.argv[1], "w"), all_threads=True)
    threads = [threading.Thread(target=place, name="at " + place.__name__, daemon=True) for place in PLACES]
    for thread in threads:
        thread.start()
    told = [[thread.ident, thread.native_id, thread.name] for thread in [threading.main_thread()] + threads]
    print(json.dumps(told))
    print("ready", flush=True)
    sys.stdin.readline()


main()
