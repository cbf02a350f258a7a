"""All servers that the host is connected to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from homeport_host.gateway import processes
from homeport_host.gateway.config import ServerConfig
from homeport_host.gateway.upstream import CONNECT_SECONDS, Upstream
from homeport_shared.errors import HomeportError
from homeport_shared.events import EventSink
from homeport_shared.gateway import Gateway
from homeport_shared.neighbours import Neighbours


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a trial of a server showed.

    Attributes:
        reason: Why it does not work; empty when it does.
        protocol: The version that was agreed on.
    """

    works: bool
    reason: str = ""
    title: str = ""
    protocol: str = ""
    tools: int = 0
    resources: int = 0
    prompts: int = 0


class Upstreams:
    """Starts, keeps and ends the connections.

    Args:
        tasks: One task per server runs here.
        home: The data root.
        events: Returns where the server of that key, in this process, puts its events.
        gateway: Returns who has work done for servers in this process, once they connect.
        neighbours: Returns the way of a server in this process to the others.
        connect_seconds: How long a server may take to introduce itself.

    Attributes:
        on_change: Awaited after a state or a list of any server changed.
        on_update: Awaited with the server's key and the resource's own URI after its content changed.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        *,
        home: Path,
        events: Callable[[str], EventSink] | None = None,
        gateway: Callable[[], Gateway | None] = lambda: None,
        neighbours: Callable[[str], Neighbours] | None = None,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._tasks = tasks
        self._home = home
        self._events = events
        self._gateway = gateway
        self._neighbours = neighbours
        self._connect_seconds = connect_seconds
        self._all: dict[str, Upstream] = {}
        self.on_change: list[Callable[[], Awaitable[None]]] = []
        self.on_update: list[Callable[[str, str], Awaitable[None]]] = []
        processes.clean_up(home / "host" / "processes")

    def add(self, config: ServerConfig) -> Upstream:
        """Take up a server; it connects in the background, unless it is disabled.

        Raises:
            HomeportError: `conflict`, when there is one of that name.
        """
        if config.name in self._all:
            raise HomeportError("conflict", f"There is a server {config.name!r} already.", "Choose another name.")
        upstream = self._make(config)
        self._all[config.name] = upstream
        if config.enabled:
            self._tasks.start_soon(upstream.run)
        return upstream

    async def remove(self, name: str) -> None:
        """Disconnect a server and forget it; returns when its process is gone.

        Raises:
            HomeportError: `not_found`.
        """
        upstream = self.get(name)
        del self._all[name]
        if upstream.config.enabled:
            await upstream.stop()
        await self._changed()

    def get(self, name: str) -> Upstream:
        """Return the server of that name.

        Raises:
            HomeportError: `not_found`.
        """
        if name not in self._all:
            raise HomeportError("not_found", f"There is no server {name!r}.", "List the servers and use one of them.")
        return self._all[name]

    def all(self) -> list[Upstream]:
        """Return the servers in the order in which they were configured."""
        return list(self._all.values())

    async def test(self, config: ServerConfig) -> ServerReport:
        """Connect to a server once, on the side, and say what it offers or why it does not work."""
        trial = self._make(config, quiet=True)
        report = ServerReport(False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trial.run)
            await trial.settled()
            report = _report(trial)
            await trial.stop()
        return report

    async def wait_ready(self, seconds: float = 2.0, names: Collection[str] = ()) -> None:
        """Wait until each server, or each of `names`, is ready or has failed once, but not longer than `seconds`."""
        with anyio.move_on_after(seconds):
            for upstream in self.all():
                if upstream.config.enabled and (not names or upstream.name in names):
                    await upstream.settled()

    def _make(self, config: ServerConfig, *, quiet: bool = False) -> Upstream:
        return Upstream(
            config,
            home=self._home,
            events=self._events(config.name) if self._events else None,
            gateway=self._gateway,
            neighbours=self._neighbours(config.name) if self._neighbours and config.bundled else None,
            changed=_nothing if quiet else self._changed,
            updated=self._updated,
            connect_seconds=self._connect_seconds,
        )

    async def _changed(self) -> None:
        for listener in list(self.on_change):
            await listener()

    async def _updated(self, server: str, uri: str) -> None:
        for listener in list(self.on_update):
            await listener(server, uri)


def _report(trial: Upstream) -> ServerReport:
    return ServerReport(
        works=trial.state == "ready",
        reason="" if trial.state == "ready" else trial.reason,
        title=trial.title,
        protocol=trial.protocol,
        tools=len(trial.tools),
        resources=len(trial.resources) + len(trial.templates),
        prompts=len(trial.prompts),
    )


async def _nothing() -> None:
    """A trial changes nothing that anybody sees."""
