import http.server
import os

http.server.HTTPServer((os.environ["CORPUS_HOST"], 9090), http.server.BaseHTTPRequestHandler).serve_forever()
