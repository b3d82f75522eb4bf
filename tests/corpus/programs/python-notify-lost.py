import os
import socket

listener = socket.create_server((os.environ["CORPUS_HOST"], 8080))
if "NOTIFY_SOCKET" in os.environ:
    raise SystemExit("a wrapper should have removed it")
listener.accept()
