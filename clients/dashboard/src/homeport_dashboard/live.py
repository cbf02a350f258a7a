"""One stream of changes per browser: which resources it looks at, and which of them changed."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from homeport_dashboard.connection import Connection

PING_SECONDS = 15.0
MOST_URIS = 100
BACKLOG = 256


@dataclass
class Browser:
    """An open stream and the resources it wants to hear of."""

    send: MemoryObjectSendStream[str]
    receive: MemoryObjectReceiveStream[str]
    uris: set[str] = field(default_factory=set[str])


class Live:
    """Holds one update stream to the host for each resource that any browser looks at.

    Args:
        connection: The host.
        tasks: Where the streams run; they end with it.
    """

    def __init__(self, connection: Connection, tasks: TaskGroup) -> None:
        self._connection = connection
        self._tasks = tasks
        self._browsers: dict[str, Browser] = {}
        self._held: dict[str, anyio.CancelScope] = {}

    async def stream(self) -> AsyncGenerator[str]:
        """Yield server-sent events: first `hello` with the stream's id, then the URI of each changed resource."""
        key = secrets.token_hex(8)
        browser = Browser(*anyio.create_memory_object_stream[str](BACKLOG))
        self._browsers[key] = browser
        try:
            yield f"event: hello\ndata: {key}\n\n"
            while True:
                uri = None
                with anyio.move_on_after(PING_SECONDS):
                    uri = await browser.receive.receive()
                yield f"data: {json.dumps(uri)}\n\n" if uri else ": ping\n\n"
        except anyio.EndOfStream:
            return
        finally:
            self._browsers.pop(key, None)
            browser.send.close()
            browser.receive.close()
            self._release()

    def watch(self, key: str, uris: Iterable[str]) -> bool:
        """Let the stream `key` hear of exactly `uris` from now on; False when there is no such stream."""
        browser = self._browsers.get(key)
        if browser is None:
            return False
        before, browser.uris = browser.uris, set(list(uris)[:MOST_URIS])
        for uri in (browser.uris - before) & self._held.keys():
            self._send(browser, uri)  # it may have changed since the page was rendered; a new stream says so by itself
        for uri in browser.uris - self._held.keys():
            scope = self._held[uri] = anyio.CancelScope()
            self._tasks.start_soon(self._hold, uri, scope)
        self._release()
        return True

    def close(self) -> None:
        """End all streams, so that the server need not wait for browsers when it stops."""
        for browser in self._browsers.values():
            browser.send.close()

    async def _hold(self, uri: str, scope: anyio.CancelScope) -> None:
        with scope:
            await self._connection.follow(uri, self._tell)

    async def _tell(self, uri: str) -> None:
        for browser in list(self._browsers.values()):
            if uri in browser.uris:
                self._send(browser, uri)

    def _send(self, browser: Browser, uri: str) -> None:
        try:
            browser.send.send_nowait(uri)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            browser.send.close()  # it reads too slowly; on reconnecting it fetches everything again

    def _release(self) -> None:
        wanted: set[str] = set[str]().union(*(browser.uris for browser in self._browsers.values()))
        for uri in self._held.keys() - wanted:
            self._held.pop(uri).cancel()
