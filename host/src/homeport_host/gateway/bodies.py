"""The bodies of HTTP answers: an answer that is longer than a stdio server's may be becomes an error of its call."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from homeport_host.gateway.lines import LONGEST_LINE, too_long

logger = logging.getLogger(__name__)
EVENT_ENDS = (b"\n\n", b"\r\r", b"\r\n\r\n")  # a blank line ends a server-sent event
SEAM = 3  # bytes of an end that the chunk before may hold
# Compressed, a short answer could fill the memory.
HEADERS = {"Accept-Encoding": "identity"}


async def limit(response: httpx2.Response) -> None:
    """Let through only what is not too long; an event hook of the client that reaches a server."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    compressed = response.headers.pop("content-encoding", "identity") != "identity"
    response.stream = LimitedBody(response, events=kind == "text/event-stream", compressed=compressed)


class LimitedBody(httpx2.AsyncByteStream):
    """A body of JSON, or of server-sent events, none of them longer than the limit.

    Args:
        response: What it is the body of.
        events: It is a stream of events.
        compressed: It cannot be read.
    """

    def __init__(self, response: httpx2.Response, *, events: bool, compressed: bool) -> None:
        self._stream: Any = response.stream
        self._request = response.request
        self._events = events
        self._compressed = compressed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces that are complete; what is too long ends it with an error."""
        if self._compressed:
            yield self._refusal("The server compresses its answers, though it was asked not to. Switch that off there.")
            return
        held: list[bytes] = []
        size = 0
        async for chunk in self._stream:
            if end := self._end(held, chunk):
                yield b"".join([*held, chunk[:end]])
                held, size = [], 0
            held.append(chunk[end:])
            size += len(chunk) - end
            if size > LONGEST_LINE:
                yield self._refusal(too_long())
                return
        yield b"".join(held)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def _end(self, held: list[bytes], chunk: bytes) -> int:
        """Return where in `chunk` the last complete event ends; 0 = nowhere."""
        if not self._events:
            return 0
        seam = b"".join(held[-SEAM:])[-SEAM:]
        text = seam + chunk
        ends = [at + len(end) for end in EVENT_ENDS if (at := text.rfind(end)) >= 0]
        return max(0, max(ends, default=0) - len(seam))

    def _refusal(self, message: str) -> bytes:
        try:
            number = json.loads(self._request.content)["id"]
        except (ValueError, KeyError, TypeError, httpx2.RequestNotRead):
            logger.warning("a server's message that answers no call was dropped: %s", message)
            return b""
        error = {"jsonrpc": "2.0", "id": number, "error": {"code": -32603, "message": message}}
        text = json.dumps(error).encode()
        return b"data: " + text + b"\n\n" if self._events else text
