"""Events of a server that runs in a process of its own: kept here until the host, or who else follows them, read them.

A reader gives the place up to which it has read and gets the events after it with the next place. A place names this
file, so that one of a file that was deleted begins with the new one instead of leaving something out.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from anyio.abc import TaskGroup

from homeport_shared import identity
from homeport_shared.batching import Batcher
from homeport_shared.changes import ChangeBus
from homeport_shared.events import Event
from homeport_shared.sqlite import Schema, SqliteFile

SCHEME = "outbox://"
FEED = f"{identity.PREFIX}events"  # on a resource template: the address that is followed for news of its events
MOST_KEPT = 20_000  # events; older ones are forgotten, read or not
MOST_AT_ONCE = 200
LARGEST_PAGE = 256 * 1024  # characters
SCHEMA = Schema(
    "homeport.outbox",
    (
        """
        CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
        CREATE TABLE file (name TEXT NOT NULL);
        INSERT INTO file VALUES (lower(hex(randomblob(6))));
        """,
    ),
)
GATHER = 0.02  # seconds: what one change leads to is written together


class Outbox:
    """The events of one server; implements `homeport_shared.events.EventSink`.

    Args:
        path: The database file; made at the first use.
        name: The server's key.
        tasks: Runs the writer.
        changes: Told that there are new events.

    Attributes:
        uri: The address that is followed for news.
    """

    def __init__(self, path: Path, name: str, tasks: TaskGroup, changes: ChangeBus) -> None:
        self.uri = f"{SCHEME}{name}"
        self._file = SqliteFile(path, SCHEMA)
        self._changes = changes
        self._batcher = Batcher[tuple[Event, str]](tasks, self._write, gather=GATHER)

    async def publish(self, event: Event) -> None:
        """Keep `event` with the run that it happened in; returns at once."""
        await self._batcher.add((event, identity.current().run), durable=False)

    async def page(self, after: str) -> str:
        """Return the events after a place as JSON: `events`, `cursor` = the next place, `more` = there are more.

        Args:
            after: A place; what is none of this file, such as `0`, is the beginning.
        """
        file, _, seq = after.partition("-")

        def work(connection: sqlite3.Connection) -> dict[str, Any]:
            begun = _name(connection)
            return _page(connection, begun, int(seq) if file == begun and seq.isdecimal() else 0)

        return json.dumps(await self._file.read(work), ensure_ascii=False)

    async def newest(self) -> str:
        """Return the place after the newest event, as a page without events."""

        def work(connection: sqlite3.Connection) -> dict[str, Any]:
            seq = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
            return {"events": [], "cursor": f"{_name(connection)}-{seq}", "more": False}

        return json.dumps(await self._file.read(work))

    async def aclose(self) -> None:
        """Write what is still to be written and close the file."""
        await self._batcher.drain()
        await self._file.aclose()

    async def _write(self, batch: list[tuple[Event, str]]) -> None:
        rows = [
            (json.dumps({"kind": event.kind, "subject": event.subject, "data": event.data,
                         "correlation": event.correlation, "run": run}, ensure_ascii=False),)
            for event, run in batch
        ]  # fmt: skip

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO events (body) VALUES (?)", rows)
            connection.execute("DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?", (MOST_KEPT,))

        await self._file.write(work)
        await self._changes.updated(self.uri)


def _name(connection: sqlite3.Connection) -> str:
    return connection.execute("SELECT name FROM file").fetchone()[0]


def _page(connection: sqlite3.Connection, name: str, seq: int) -> dict[str, Any]:
    query = "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
    rows = connection.execute(query, (seq, MOST_AT_ONCE + 1)).fetchall()
    taken, size = 0, 0
    while taken < min(len(rows), MOST_AT_ONCE) and (not taken or size + len(rows[taken][1]) <= LARGEST_PAGE):
        size += len(rows[taken][1])
        taken += 1
    last = rows[taken - 1][0] if taken else seq
    events = [json.loads(body) for _, body in rows[:taken]]
    return {"events": events, "cursor": f"{name}-{last}", "more": len(rows) > taken}
