import http.server
import os


def serve():
    http.server.HTTPServer((os.environ["CORPUS_HOST"], 8080), http.server.BaseHTTPRequestHandler)


serve()
