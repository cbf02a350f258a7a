"""The resources of one server that somebody follows."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourceUpdated, SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from homeport_host.gateway.connections import send

logger = logging.getLogger(__name__)
AGAIN_SECONDS = 1.0


@dataclass
class _Watch:
    holders: int = 0
    acknowledged: anyio.Event = field(default_factory=anyio.Event)
    followed: bool = False  # there was a time when news of it came
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Watches:
    """Follows each resource that somebody holds, over as many connections as it takes.

    Args:
        updated: Awaited with the resource's own URI when its content changed.
    """

    def __init__(self, updated: Callable[[str], Awaitable[None]]) -> None:
        self._updated = updated
        self._watches: dict[str, _Watch] = {}
        self._connection: tuple[Client, TaskGroup] | None = None

    def hold(self, uri: str) -> None:
        """Follow `uri` until each `hold` has its `release`."""
        watch = self._watches.setdefault(uri, _Watch())
        watch.holders += 1
        if watch.holders == 1:
            self._start(uri)

    def release(self, uri: str) -> None:
        """Undo one `hold`."""
        if watch := self._watches.get(uri):
            watch.holders -= 1
            if watch.holders == 0:
                del self._watches[uri]
                watch.scope.cancel()

    async def acknowledged(self, uri: str) -> None:
        """Wait until the server has accepted to tell about `uri`."""
        if watch := self._watches.get(uri):
            await watch.acknowledged.wait()

    def connected(self, client: Client, tasks: TaskGroup) -> None:
        """Follow everything that is held over this connection; `tasks` ends with it."""
        self._connection = client, tasks
        for uri in self._watches:
            self._start(uri)

    def lost(self) -> None:
        """The connection ended; what is held is followed again over the next one."""
        self._connection = None
        for watch in self._watches.values():
            watch.acknowledged = anyio.Event()

    def _start(self, uri: str) -> None:
        if self._connection is not None:
            client, tasks = self._connection
            self._watches[uri].scope = anyio.CancelScope()
            tasks.start_soon(self._follow, client, uri, self._watches[uri])

    async def _follow(self, client: Client, uri: str, watch: _Watch) -> None:
        modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
        with watch.scope:
            while True:
                try:
                    await (self._listen if modern else self._subscribe)(client, uri, watch)
                except (MCPError, SubscriptionLost):
                    logger.debug("no updates of %s", uri, exc_info=True)
                    watch.acknowledged.set()  # who waits gets content without updates rather than nothing
                await anyio.sleep(AGAIN_SECONDS)

    async def _accepted(self, uri: str, watch: _Watch) -> None:
        watch.acknowledged.set()
        if watch.followed:  # what changed in between was told to nobody
            await self._updated(uri)
        watch.followed = True

    async def _listen(self, client: Client, uri: str, watch: _Watch) -> None:
        async with client.listen(resource_subscriptions=[uri]) as stream:
            await self._accepted(uri, watch)
            async for event in stream:
                if isinstance(event, ResourceUpdated):
                    await self._updated(str(event.uri))

    async def _subscribe(self, client: Client, uri: str, watch: _Watch) -> None:
        await send(client, "resources/subscribe", {"uri": uri})
        await self._accepted(uri, watch)
        try:
            await anyio.sleep_forever()  # updates arrive as messages of the connection
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(MCPError, TimeoutError), anyio.fail_after(1):
                await send(client, "resources/unsubscribe", {"uri": uri})
