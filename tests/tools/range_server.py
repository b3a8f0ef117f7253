"""Serves a folder over HTTPS, with ranges, validators and a word for each request on stderr: range_server.py FOLDER PORT CERT KEY"""
import hashlib
import http.server
import os
import re
import ssl
import sys

folder, port, cert, key = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = os.path.join(folder, os.path.basename(self.path.split("?")[0]))
        if not os.path.isfile(path):
            self.send_response(404 if self.path != "/" else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with open(path, "rb") as file:
            data = file.read()
        etag = '"%s"' % hashlib.sha256(data).hexdigest()[:32]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        start = int(wanted.group(1)) if wanted and condition in (None, etag) and int(wanted.group(1)) < len(data) else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        sys.stderr.write("%s from %d if %s\n" % (self.path, start, condition))
        sys.stderr.flush()
        self.wfile.write(data[start:])


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
