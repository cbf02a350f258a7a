"""A door to a server that asks for a token, for a suite that cannot send one: it adds the token to every request.

python token_proxy.py PORT SERVER_PORT TOKEN
"""

from __future__ import annotations

import sys

import anyio
from anyio.abc import ByteStream, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

MOST_HEADERS = 64 * 1024


async def main(port: int, server_port: int, token: str) -> None:
    async def serve(client: SocketStream) -> None:
        async with client, await anyio.connect_tcp("127.0.0.1", server_port) as server:
            await exchange(client, server)

    async def exchange(client: SocketStream, server: SocketStream) -> None:
        reader = BufferedByteReceiveStream(client)
        try:
            head = await reader.receive_until(b"\r\n\r\n", MOST_HEADERS)
        except (anyio.IncompleteRead, anyio.BrokenResourceError):
            return
        # One request on each connection: the next one needs the token, too.
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        lines[1:1] = [b"Authorization: Bearer " + token.encode(), b"Connection: close"]
        await server.send(b"\r\n".join(lines).replace(b"127.0.0.1:%d" % port, b"127.0.0.1:%d" % server_port))
        await server.send(b"\r\n\r\n" + reader.buffer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(copy, client, server)
            await copy(server, client)
            tasks.cancel_scope.cancel()

    await (await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)).serve(serve)


async def copy(source: ByteStream, target: ByteStream) -> None:
    """Pass bytes on until one side is closed."""
    try:
        async for block in source:
            await target.send(block)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
