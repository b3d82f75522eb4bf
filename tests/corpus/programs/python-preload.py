import os
import threading
import time

registry = threading.Lock()
held = threading.Event()


def warm_up():
    with registry:
        held.set()
        time.sleep(600)


def load_app():
    with registry:
        return True


threading.Thread(target=warm_up, daemon=True).start()
held.wait()
worker = os.fork()
if worker == 0:
    load_app()
    os._exit(0)
os.waitpid(worker, 0)
