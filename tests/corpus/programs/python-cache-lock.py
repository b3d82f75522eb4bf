import fcntl
import os
import time


def acquire(path):
    handle = open(path, "a")
    waited = 0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            waited += 1
            print(f"Waiting for cache lock: Could not get lock {path}... {waited}s", flush=True)
            time.sleep(0.5)


acquire(os.environ["CORPUS_LOCK"])
