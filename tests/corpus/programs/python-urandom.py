import os


def session_key():
    return os.urandom(32).hex()


print(session_key())
