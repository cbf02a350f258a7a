"""What a server is given: its folder, settings, clock, change bus and where its events and audit rows go."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel

from homeport_shared import settings
from homeport_shared.audit import AuditLog
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, SystemClock
from homeport_shared.events import EventSink, NoEvents
from homeport_shared.gateway import Gateway
from homeport_shared.neighbours import Neighbours, NoNeighbours
from homeport_shared.outbox import Outbox

if TYPE_CHECKING:
    from homeport_shared.vault import Vault

S = TypeVar("S", bound=BaseModel)
KEY_VARIABLE = "HOMEPORT_CONNECTION_KEY"


@dataclass
class ServerContext:
    """Everything a server may rely on. Lives longer than any client connection, so state hangs here, not on a lifespan.

    Attributes:
        name: The server's key, such as `files`.
        home: The data root.
        tasks: Background work of this server; cancelled when the server stops.
        changes: Tells clients that resources changed.
        events: Hands events to the host, if there is one; a server in a process of its own keeps them to be read.
        gateway: Has work done by the host; None when the server runs alone.
        neighbours: Calls tools of other servers, if there is a host.
        audit: Where a server that runs alone records its calls; None in a host, which records them itself.
        in_process: The only client is the host in this process, so its word on identity is believed.
        key: The secret that a request must repeat to be believed; empty when no host started this process.
        flags: Settings from the command line.
    """

    name: str
    home: Path
    tasks: TaskGroup
    stack: AsyncExitStack
    changes: ChangeBus = field(default_factory=ChangeBus)
    clock: Clock = field(default_factory=SystemClock)
    events: EventSink = field(default_factory=NoEvents)
    gateway: Gateway | None = None
    neighbours: Neighbours = field(default_factory=NoNeighbours)
    audit: AuditLog | None = None
    in_process: bool = False
    key: str = ""
    flags: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def folder(self) -> Path:
        """The server's own folder in the data root, for its database and files."""
        return self.home / self.name

    def settings(self, model: type[S]) -> S:
        """Return this server's settings.

        Raises:
            HomeportError: `invalid`, naming each wrong field.
        """
        return settings.load(model, self.name, home=self.home, flags=self.flags)

    @cached_property
    def vault(self) -> Vault:
        """The secrets of the data root; its methods may block."""
        from homeport_shared.vault import Vault

        return Vault(self.home)

    def closing(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` when the server stops; the last one registered is called first."""
        self.stack.push_async_callback(close)


@asynccontextmanager
async def open_context(
    name: str,
    *,
    home: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    events: EventSink | None = None,
    gateway: Gateway | None = None,
    neighbours: Neighbours | None = None,
    clock: Clock | None = None,
    in_process: bool = False,
    followed: bool = False,
) -> AsyncGenerator[ServerContext]:
    """Open the context of the server `name` for as long as it serves.

    Args:
        name: The server's key.
        home: The data root; None = `HOMEPORT_HOME` or the platform's data directory.
        flags: Settings that win over all other sources.
        events: The host's event bus; None when the server runs alone.
        gateway: Has work done by the host; None when the server runs alone.
        neighbours: The host's way to other servers; None when the server runs alone.
        clock: None = the machine's clock.
        in_process: The host runs this server inside itself.
        followed: Somebody else may follow the events of this process, as its host always does.
    """
    home = home or settings.home_folder()
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        key = "" if in_process else os.environ.get(KEY_VARIABLE, "")
        audit = None if in_process or key else AuditLog(home / name / "audit.db", clock)
        context = ServerContext(
            name=name,
            home=home,
            tasks=tasks,
            stack=stack,
            clock=clock,
            events=events or NoEvents(),
            gateway=gateway,
            neighbours=neighbours or NoNeighbours(),
            audit=audit,
            in_process=in_process,
            key=key,
            flags=flags or {},
        )
        if audit is not None:
            context.closing(audit.aclose)
        if events is None and (key or followed):
            context.events = outbox = Outbox(context.folder / "events.db", name, tasks, context.changes)
            context.closing(outbox.aclose)
        try:
            yield context
        finally:
            tasks.cancel_scope.cancel()
