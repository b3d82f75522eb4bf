import os
import socket


def ask(database):
    database.sendall(b"hello\n")
    return database.recv(64)


ask(socket.create_connection((os.environ["CORPUS_HOST"], 6379)))
