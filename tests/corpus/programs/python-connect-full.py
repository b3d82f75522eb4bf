import os
import socket


def init_redis():
    return socket.create_connection((os.environ["CORPUS_HOST"], 6379))


init_redis()
