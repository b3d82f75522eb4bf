import os
import socket
from concurrent.futures import ThreadPoolExecutor


def load(name):
    connection = socket.create_connection((os.environ["CORPUS_HOST"], 6379))
    connection.sendall(name)
    return connection.recv(100)


def load_all():
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(load, [b"users", b"prices"]))


load_all()
