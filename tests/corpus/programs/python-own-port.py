import http.server
import os
import urllib.request

HOST = os.environ["CORPUS_HOST"]


def check_itself():
    return urllib.request.urlopen(f"http://{HOST}:8080/healthz").read()


server = http.server.HTTPServer((HOST, 8080), http.server.SimpleHTTPRequestHandler)
check_itself()
server.serve_forever()
