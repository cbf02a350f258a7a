"""What changes here because a resource of a server changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams


class Echoes:
    """Follows one resource of each server that has it, for as long as the host runs.

    Args:
        upstreams: The servers.
        find: Returns the own URI of the resource; None for a server without it.
        changed: Awaited when one of them changed.
    """

    def __init__(
        self, upstreams: Upstreams, find: Callable[[Upstream], str | None], changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._upstreams = upstreams
        self._find = find
        self._changed = changed
        self._followed: dict[str, tuple[Upstream, str]] = {}
        upstreams.on_change.append(self._look)
        upstreams.on_update.append(self._updated)

    async def _look(self) -> None:
        there = {upstream.name: upstream for upstream in self._upstreams.all()}
        for name, (upstream, _) in list(self._followed.items()):
            if there.get(name) is not upstream:
                del self._followed[name]
        for name, upstream in there.items():
            uri = self._find(upstream) if name not in self._followed else None
            if uri is not None:
                self._followed[name] = upstream, uri
                upstream.hold(uri)

    async def _updated(self, server: str, uri: str) -> None:
        if server in self._followed and self._followed[server][1] == uri:
            await self._changed()
