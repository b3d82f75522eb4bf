import os
import socket
import time


def connect_with_backoff(host, port):
    delay = 0.2
    while True:
        try:
            return socket.create_connection((host, port), timeout=3)
        except OSError:
            time.sleep(delay)
            delay = min(delay * 1.5, 0.8)


class Pool:
    def __init__(self, host):
        self.first = connect_with_backoff(host, 6379)


Pool(os.environ["CORPUS_HOST"])
