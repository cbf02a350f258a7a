"""The audit log: append-only rows in a hash chain, so that a changed or missing row shows.

Each row's hash is SHA-256 over the previous row's hash and the row as canonical JSON. A bare chain does not show a
cut-off tail; `head()` is what an outside witness keeps to see that too.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from homeport_shared import redaction
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.sqlite import Schema, SqliteFile

START = "0" * 64
SCHEMA = Schema(
    "homeport.audit",
    (
        """
        CREATE TABLE audit (
            seq INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, target TEXT NOT NULL, run TEXT NOT NULL,
            outcome TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL
        );
        CREATE INDEX audit_run ON audit (run) WHERE run != '';
        CREATE INDEX audit_target ON audit (target);
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done, tried or refused.

    Attributes:
        action: What, such as `tools/call` or `approval`.
        target: On what, such as `files__write` or a URI.
        decision: `allow`, `deny`, `ask` or `-` where no policy was asked.
        outcome: `ok`, an error code, or `started` for the row written before an effect.
        details: JSON-able; credentials are taken out before it is stored.
        milliseconds: How long it took.
    """

    action: str
    target: str
    actor: str = ""
    agent: str = ""
    run: str = ""
    decision: str = "-"
    outcome: str = "ok"
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    milliseconds: float = 0.0
    trace: str = ""


class AuditLog:
    """The audit rows of one data root.

    Args:
        path: The SQLite file.
        clock: Where the time of a row comes from.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._path = path
        self._file: SqliteFile | None = None

    async def append(self, *entries: Entry) -> None:
        """Store `entries` in this order; on return they survive a power cut."""
        rows = [(iso(self._clock.now()), entry) for entry in entries]
        await self._open().write(lambda connection: _append(connection, rows))

    async def latest(self, limit: int = 100, *, before: int | None = None, run: str = "") -> list[dict[str, Any]]:
        """Return up to `limit` rows, newest first.

        Args:
            limit: Most rows to return.
            before: Only rows with a smaller `seq`, for paging.
            run: Only rows of this run.
        """

        def query(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            rows = connection.execute(
                "SELECT seq, at, body FROM audit WHERE seq < ? AND (? = '' OR run = ?) ORDER BY seq DESC LIMIT ?",
                (before if before is not None else 1 << 62, run, run, limit),
            )
            return [{"seq": seq, "at": at, **json.loads(body)} for seq, at, body in rows]

        return await self._open().read(query)

    async def head(self) -> tuple[int, str]:
        """Return the number and hash of the newest row: keep it elsewhere to notice a cut-off tail."""
        return await self._open().read(_head)

    async def broken_at(self) -> int | None:
        """Return the number of the first row that does not fit the chain; None when all do."""
        return await self._open().read(_broken_at)

    async def aclose(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._file.aclose()

    def _open(self) -> SqliteFile:
        if self._file is None:
            self._file = SqliteFile(self._path, SCHEMA)
        return self._file


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    row = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, START)


def _append(connection: sqlite3.Connection, rows: list[tuple[str, Entry]]) -> None:
    seq, previous = _head(connection)
    for at, entry in rows:
        seq += 1
        body = json.dumps(redaction.tree(asdict(entry)), sort_keys=True, separators=(",", ":"))
        previous = _chain(previous, seq, at, body)
        connection.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, at, entry.actor, entry.target, entry.run, entry.outcome, body, previous),
        )


def _chain(previous: str, seq: int, at: str, body: str) -> str:
    return hashlib.sha256(f"{previous}\n{seq}\n{at}\n{body}".encode("utf-8", "surrogatepass")).hexdigest()


def _broken_at(connection: sqlite3.Connection) -> int | None:
    previous, expected = START, 1
    for seq, at, body, stored in connection.execute("SELECT seq, at, body, hash FROM audit ORDER BY seq"):
        if seq != expected or _chain(previous, seq, at, body) != stored:
            return expected
        previous, expected = stored, seq + 1
    return None
