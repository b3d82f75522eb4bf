import os
import select
import socket


def wait_for_pong(peer):
    peer.sendall(b"PING\r\n")
    while True:
        readable, _, _ = select.select([peer], [], [], 0.5)
        if readable:
            return peer.recv(64)


wait_for_pong(socket.create_connection((os.environ["CORPUS_HOST"], 6379)))
