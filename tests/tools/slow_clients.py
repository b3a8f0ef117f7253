#!/usr/bin/python3
"""Holds COUNT connections to HOST:PORT open, each in the middle of a request: half of them never end their headers, half
never end their body.  Says "ready" when all are there, then sends each another byte now and then until it is killed."""
import socket
import sys
import time

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST /v1/login2 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
connections = []
for i in range(count):
    s = socket.create_connection((host, port), timeout=20)
    s.sendall(HEAD if i % 2 else BODY)
    s.setblocking(False)
    connections.append(s)
print("ready", flush=True)
while True:
    alive = 0
    for s in connections:
        try:
            s.send(b"a")
            alive += 1
        except OSError:
            pass
    print(alive, flush=True)
    time.sleep(2)
