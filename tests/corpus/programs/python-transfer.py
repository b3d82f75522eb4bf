import os
import socket
import subprocess
import sys

HOST = os.environ["CORPUS_HOST"]
SENDER = """
import socket, sys, time
connection, _ = socket.socket(fileno=0).accept()
while True:
    connection.send(b"row\\n" * 2000)
    time.sleep(0.15)
"""


def load_snapshot(database):
    rows = 0
    while data := database.recv(65536):
        rows += data.count(b"\n")
    return rows


listener = socket.create_server((HOST, 5432))
subprocess.Popen([sys.executable, "-c", SENDER], stdin=listener)
listener.close()
load_snapshot(socket.create_connection((HOST, 5432)))
