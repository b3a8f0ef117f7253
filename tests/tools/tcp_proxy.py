#!/usr/bin/env python3
# A TCP proxy whose stop is a network cut: tcp_proxy.py LISTEN-PORT TARGET-PORT.  SIGSTOP: nothing passes, nobody is told.
import asyncio, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    try:
        r, w = await asyncio.open_connection('127.0.0.1', int(sys.argv[2]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, w), pump(r, writer))

async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
