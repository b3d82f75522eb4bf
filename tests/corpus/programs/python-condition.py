import threading


class Cache:
    def __init__(self):
        self.filled = threading.Condition()

    def wait_until_filled(self):
        with self.filled:
            self.filled.wait()


Cache().wait_until_filled()
