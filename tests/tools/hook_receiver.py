#!/usr/bin/python3
"""Receives webhooks on PORT and writes each body, a line each, to FILE when its signature by SECRET-FILE is right.
The first FAILURES requests are answered with 500."""
import hashlib
import hmac
import http.server
import sys

port, file, secret_file, failures = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global failures
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(secret_file, encoding="ascii") as secret:
            key = secret.read().strip().encode()
        parts = dict(part.split("=", 1) for part in self.headers["Pluvio-Signature"].split(","))
        right = hmac.new(key, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        failures -= 1
        status = 500 if failures >= 0 else 200 if hmac.compare_digest(right, parts["v1"]) else 403
        if status == 200:
            with open(file, "ab") as to:
                to.write(body + b"\n")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
