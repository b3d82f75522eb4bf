import os
import socket
import time


def wait_for_cache():
    while True:
        try:
            return socket.create_connection((os.environ["CORPUS_HOST"], 6379))
        except OSError:
            time.sleep(0.3)


wait_for_cache()
