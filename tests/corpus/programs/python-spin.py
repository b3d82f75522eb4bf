import threading


class Loader:
    def __init__(self):
        self.done = False

    def wait(self):
        while not self.done:
            pass


worker = threading.Thread(target=lambda: None)
worker.start()
Loader().wait()
