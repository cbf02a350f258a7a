"""HTTP/1.1 by hand: an ASGI server cannot break off a chunked body, and a model server in trouble does just that."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import anyio
from anyio.abc import ByteStream

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


class CutError(Exception):
    """The script wants the connection closed here, in the middle of the body."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body's JSON object; empty where there is none.

        Raises:
            ValueError: When the body is something else.
        """
        value: Any = json.loads(self.body) if self.body else {}
        if not isinstance(value, dict):
            raise ValueError("the body is no JSON object")
        return cast("dict[str, Any]", value)


class Connection:
    """One client's connection, read while it is written to, so that its end is noticed at once."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        """Write `data` as one piece."""
        await self._stream.send(data)

    async def until_gone(self) -> None:
        """Return when the client has closed its side; what it sends meanwhile is kept for the next request."""
        while await self._more():
            pass

    async def request(self) -> HttpRequest | None:
        """Return the next request, or None when the client has closed the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._buffer = bytearray(rest)
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        body = await (self._chunked() if chunked else self._take(int(headers.get("content-length", "0"))))
        return None if body is None else HttpRequest(method, target.partition("?")[0], headers, body)

    async def _chunked(self) -> bytes | None:
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                if not await self._more():
                    return None
            size = int(bytes(self._buffer).partition(b"\r\n")[0].partition(b";")[0], 16)
            del self._buffer[: self._buffer.index(b"\r\n") + 2]
            piece = await self._take(size + 2)
            if piece is None or size == 0:
                return None if piece is None else body
            body += piece[:-2]

    async def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not await self._more():
                return None
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    async def _more(self) -> bool:
        try:
            self._buffer += await self._stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return False
        return True


class Response:
    """What goes back on one request: a JSON body at once, or a chunked stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole JSON answer."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        await self._connection.send(
            _head(status, {"Content-Type": JSON, "Content-Length": str(len(body))}, headers) + body
        )

    async def html(self, page: str) -> None:
        """Send a page, as a captive portal or a proxy does."""
        body = page.encode()
        own = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
        await self._connection.send(_head(200, own, None) + body)

    async def start(self, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the head of a stream."""
        await self._connection.send(_head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"}, headers))

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a stream."""
        if data:
            await self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """End a stream as HTTP wants it."""
        await self._connection.send(b"0\r\n\r\n")


def _head(status: int, own: Mapping[str, str], more: Mapping[str, str] | None) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Client Closed Request"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in {**own, **(more or {})}.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def serve(
    stream: ByteStream,
    answer: Callable[[HttpRequest, Response], Awaitable[None]],
) -> None:
    """Answer the requests of one connection until it ends; `answer` is cancelled when the client goes away."""
    connection = Connection(stream)
    async with stream:
        while (request := await connection.request()) is not None:
            if not await _answer_one(connection, request, answer):
                return


async def _answer_one(
    connection: Connection, request: HttpRequest, answer: Callable[[HttpRequest, Response], Awaitable[None]]
) -> bool:
    whole = False
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await connection.until_gone()
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            await answer(request, Response(connection))
            whole = True
        except (CutError, anyio.BrokenResourceError):
            whole = False
        tasks.cancel_scope.cancel()
    return whole
