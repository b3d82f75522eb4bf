"""A process in one of several states; the second argument says which."""
import os
import re
import sys
import threading
import time
import warnings


def busy():
    """Threads that call each other's functions without end."""

    class Shop:
        def sell(self, depth):
            return self.price(depth) if depth % 2 else sum(self.items(depth))

        def price(self, depth):
            if depth > 0:
                return self.sell(depth - 1)
            return max([depth, 1], key=self.order)

        def items(self, depth):
            for item in range(3):
                yield self.price(depth - 1) + item

        def order(self, item):
            return -item

    def work():
        shop = Shop()
        while True:
            for depth in range(8):
                shop.sell(depth)
            [depth * 2 for depth in range(10)]

    for _ in range(2):
        threading.Thread(target=work, daemon=True).start()
    ready()
    sys.stdin.readline()


def lock():
    """One thread computes in C code, which keeps the lock of the interpreter; the main thread wants it."""

    def compute():
        # Longer than anyone waits.
        re.match("(a*)*b", "a" * 60)

    ready()
    threading.Thread(target=compute, name="computes", daemon=True).start()
    while True:
        time.sleep(0.001)


def interpreter():
    """A thread that runs code in an interpreter of its own."""
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    def in_interpreter():
        code = "import os\ndef inner():\n    os.read(%d, 1)\ninner()\n" % reading
        interpreters.run_string(interpreters.create(), code)

    reading, writing = os.pipe()
    threading.Thread(target=in_interpreter, name="has its own", daemon=True).start()
    ready()
    sys.stdin.readline()
    os.close(writing)


def fork():
    """A child that was made by fork: what its parent had written of its threads is still there."""

    def in_child():
        print(os.getpid(), flush=True)
        sys.stdin.readline()

    def forked():
        if os.fork() == 0:
            in_child()
            os._exit(0)
        os.wait()

    # It warns of what this is about: a fork with threads.
    warnings.simplefilter("ignore")
    ready()
    thread = threading.Thread(target=forked)
    thread.start()
    thread.join()


def relative():
    """Code whose file is named from the working directory."""
    os.chdir(os.path.dirname(os.path.abspath(sys.argv[0])))
    source = "def read():\n    sys.stdin.readline()\n"
    here, gone = {"sys": sys}, {}
    exec(compile(source, "./states.py", "exec"), here)
    gone["read"] = here["read"]
    ready()
    exec(compile("read()", "no such file.py", "exec"), gone)


def ended():
    """The thread's note of its innermost frame is that of a call that has ended, as one that runs shows it for a moment."""
    import ctypes

    def deeper(left):
        places.append(id(sys._getframe()))
        if left:
            deeper(left - 1)

    places = []
    deeper(5)
    ctypes.pythonapi.PyThreadState_Get.restype = ctypes.c_void_p
    note = ctypes.c_void_p.from_address(ctypes.pythonapi.PyThreadState_Get() + 3 * 8)
    assert note.value == id(sys._getframe())
    library = ctypes.CDLL(None)
    write, pause = library.write, library.pause
    # No function of Python from here on: its frame would take this one for its caller's.
    note.value = places[1]
    write(1, b"ready\n", 6)
    pause()


def ready():
    print("ready", flush=True)


globals()[sys.argv[2]]()
