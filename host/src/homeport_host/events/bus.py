"""One bus for everything that happened: persisted first, then delivered, and readable again from any point."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from sqlalchemy import JSON, Column, Connection, Integer, String, Table, select

from homeport_host.database import Database, metadata
from homeport_shared.batching import Batcher
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.events import Event

RECENT = "event://recent"
BUFFER = 1_000

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False, index=True),
    Column("subject", String, nullable=False),
    Column("data", JSON, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it is kept: `seq` grows by one from event to event."""

    seq: int
    at: str
    kind: str
    subject: str
    data: dict[str, Any]


class EventBus:
    """The host's events.

    Args:
        tasks: Runs the writer.
        database: Where events survive restarts.
        changes: Told that `event://recent` has news.
    """

    def __init__(self, tasks: TaskGroup, database: Database, changes: ChangeBus, clock: Clock | None = None) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock or SystemClock()
        self._batcher = Batcher[tuple[str, Event]](tasks, self._store)
        self._subscribers: dict[MemoryObjectSendStream[Stored], str] = {}

    async def publish(self, event: Event) -> None:
        """Keep and deliver `event`; returns at once."""
        await self._batcher.add((iso(self._clock.now()), event), durable=False)

    @asynccontextmanager
    async def subscribe(self, kinds: str = "*") -> AsyncGenerator[MemoryObjectReceiveStream[Stored]]:
        """Yield the events whose kind matches the pattern `kinds`, from now on.

        A subscriber that is 1,000 events behind misses the next ones; it notices by the gap in `seq` and reads them
        with `after`.
        """
        send, receive = anyio.create_memory_object_stream[Stored](BUFFER)
        self._subscribers[send] = kinds
        try:
            with send, receive:
                yield receive
        finally:
            self._subscribers.pop(send, None)

    async def after(self, seq: int, *, kinds: str = "*", limit: int = 200) -> list[Stored]:
        """Return up to `limit` events with a number above `seq`, oldest first."""
        like = events.c.kind.like(_like(kinds), escape="\\")
        query = select(events).where(events.c.seq > seq, like).order_by(events.c.seq).limit(limit)
        return await self._database.read(lambda connection: [Stored(*row) for row in connection.execute(query)])

    async def latest(self, limit: int = 50) -> list[Stored]:
        """Return the newest events, newest first."""
        query = select(events).order_by(events.c.seq.desc()).limit(limit)
        return await self._database.read(lambda connection: [Stored(*row) for row in connection.execute(query)])

    async def drain(self) -> None:
        """Wait until every published event is stored and delivered."""
        await self._batcher.drain()

    async def _store(self, batch: list[tuple[str, Event]]) -> None:
        stored = await self._database.write(lambda connection: _insert(connection, batch))
        for event in stored:
            for stream, kinds in list(self._subscribers.items()):
                if fnmatch.fnmatchcase(event.kind, kinds):
                    _offer(stream, event)
        await self._changes.updated(RECENT)


def _like(pattern: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", pattern).replace("*", "%").replace("?", "_")


def _offer(stream: MemoryObjectSendStream[Stored], event: Stored) -> None:
    try:
        stream.send_nowait(event)
    except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # it is behind or gone; it can read what it missed with `after`


def _insert(connection: Connection, batch: list[tuple[str, Event]]) -> list[Stored]:
    stored: list[Stored] = []
    for at, event in batch:
        values = {"at": at, "kind": event.kind, "subject": event.subject, "data": event.data}
        seq: int = connection.execute(events.insert().values(values).returning(events.c.seq)).scalar_one()
        stored.append(Stored(seq, at, event.kind, event.subject, event.data))
    return stored
