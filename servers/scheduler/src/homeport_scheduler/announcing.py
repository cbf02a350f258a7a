"""Tell clients that resources changed, many changes as one: a burst of runs is no burst of messages."""

from __future__ import annotations

import anyio

from homeport_shared.changes import ChangeBus

EVERY_SECONDS = 0.1
MOST = 100  # single resources that are told of; more at once are known by their lists


class Announcer:
    """Collects what changed.

    Args:
        changes: Tells the clients.
    """

    def __init__(self, changes: ChangeBus) -> None:
        self._changes = changes
        self._waiting: dict[str, None] = {}
        self._bell = anyio.Event()

    def changed(self, *uris: str) -> None:
        """Have it told that the resources at `uris` changed."""
        self._waiting.update(dict.fromkeys(uris))
        self._bell.set()

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            await self._bell.wait()
            await anyio.sleep(EVERY_SECONDS)
            self._bell = anyio.Event()
            waiting, self._waiting = list(self._waiting), {}
            lists = [uri for uri in waiting if uri.count("/") == 2]
            await self._changes.updated(*lists, *[uri for uri in waiting if uri not in lists][:MOST])
