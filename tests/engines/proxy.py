"""A proxy that encrypts for the node behind it and changes nothing: LISTEN-PORT CERTIFICATE KEY PORT-BEHIND."""

import asyncio
import ssl
import sys

listen, certificate, key, behind = sys.argv[1:]


async def copy(reader, writer):
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    node = await asyncio.open_connection("127.0.0.1", int(behind))
    await asyncio.gather(copy(reader, node[1]), copy(node[0], writer))


async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with await asyncio.start_server(serve, "127.0.0.1", int(listen), ssl=tls) as server:
        await server.serve_forever()


asyncio.run(main())
