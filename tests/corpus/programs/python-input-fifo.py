import os


def read_secret():
    return open(os.environ["CORPUS_FIFO"]).read()


read_secret()
