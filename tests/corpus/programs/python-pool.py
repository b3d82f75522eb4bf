import multiprocessing
import os
import socket


def warm(number):
    return socket.create_connection((os.environ["CORPUS_HOST"], 6379)).recv(10)


def warm_all():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(warm, range(2))


warm_all()
