import multiprocessing
import os
import socket


def fetch(number):
    peer = socket.create_connection((os.environ["CORPUS_HOST"], 6379))
    return peer.recv(number)


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(fetch, [1, 2])
