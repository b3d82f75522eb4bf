import http.client
import os


def fetch_settings():
    connection = http.client.HTTPConnection(os.environ["CORPUS_HOST"], 6379)
    connection.request("GET", "/settings")
    return connection.getresponse().read()


fetch_settings()
