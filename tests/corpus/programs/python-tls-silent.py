import os
import socket
import ssl


def open_secure():
    plain = socket.create_connection((os.environ["CORPUS_HOST"], 6379))
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


open_secure()
