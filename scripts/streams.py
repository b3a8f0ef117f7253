#!/usr/bin/env python3
"""Opens COUNT event streams at HOST:PORT with the token in TOKEN, says "ready" when each has begun, and holds them."""
import os
import resource
import socket
import sys
import time

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
request = f"GET /v1/admin/events HTTP/1.1\r\nHost: x\r\nAuthorization: {os.environ['TOKEN']}\r\n\r\n".encode()
streams = []
for _ in range(count):
    s = socket.create_connection((host, port), timeout=30)
    s.sendall(request)
    streams.append(s)
begun = sum(b" 200 " in s.recv(4096) for s in streams)
print(f"ready: {begun} of {count} streams began", flush=True)
time.sleep(600)
