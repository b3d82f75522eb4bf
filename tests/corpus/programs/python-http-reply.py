import os
import urllib.request


def fetch_flags():
    return urllib.request.urlopen("http://" + os.environ["CORPUS_PEER"] + "/flags").read()


fetch_flags()
