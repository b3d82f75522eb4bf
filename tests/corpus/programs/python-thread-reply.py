import os
import socket
import threading


def sync_prices():
    socket.create_connection((os.environ["CORPUS_HOST"], 6379)).recv(16)


worker = threading.Thread(target=sync_prices)
worker.start()
worker.join()
