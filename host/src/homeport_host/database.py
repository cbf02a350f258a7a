"""The host's own database through SQLAlchemy Core: a SQLite file, or the same tables on PostgreSQL."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import MetaData
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from homeport_host import dialects
from homeport_host.dialects import Where
from homeport_host.migrations import bring_up
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import BUSY_MS, explain

T = TypeVar("T")
metadata = MetaData()
WHOLE_CHECK_BYTES = 64 << 20  # larger files are only opened: reading them whole would delay each start
OUTAGE_SECONDS = 30.0  # how long a statement waits for a PostgreSQL that went away
AGAIN_SECONDS = 0.1


class Database:
    """One database, used off the event loop by one thread at a time.

    A PostgreSQL that goes away is waited for; what was under way is then done again, unless it turns out to be stored.

    Args:
        where: The SQLite file, whose folder and tables are made by `open`, or the address of a PostgreSQL database.
        outage_seconds: How long a PostgreSQL that went away is waited for.
    """

    def __init__(self, where: Where, *, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self.where = where
        self.engine = dialects.engine_for(where)
        self._outage_seconds = outage_seconds
        self._limiter = anyio.CapacityLimiter(1)

    async def open(self) -> None:
        """Make the tables, or lead those of an earlier version up to this one.

        Raises:
            HomeportError: `damaged`, `denied` or `unavailable`, when the database says so; `conflict` for a newer
                version.
        """
        if isinstance(self.where, Path):
            self.where.parent.mkdir(parents=True, exist_ok=True)
        await self._off_loop(lambda: self._write(lambda connection: bring_up(connection, metadata)), patience=0)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work(connection)` and return its result; nothing it writes is kept.

        Raises:
            HomeportError: `damaged`, `denied` or `unavailable`, when the database says so.
        """

        def run() -> T:
            with self.engine.connect().execution_options(reads=True) as connection:
                return work(connection)

        return await self._off_loop(run, patience=self._outage_seconds)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work(connection)` in one transaction: kept as a whole, or on an exception not at all.

        Raises:
            HomeportError: `damaged`, `denied` or `unavailable`, when the database says so.
        """
        return await self._off_loop(lambda: self._write(work), patience=self._outage_seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.engine.dispose, limiter=self._limiter)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            with connection.begin() as transaction:
                result = work(connection)
                number = dialects.transaction_number(connection)
                try:
                    transaction.commit()
                except DBAPIError as error:
                    if number is None or not dialects.is_lost(error):
                        raise
                    unsure = _UnsureError(error, number, result)
                    unsure.settle = lambda: self._settle(unsure, work)
                    raise unsure from error
            return result

    async def _off_loop(self, run: Callable[[], T], *, patience: float) -> T:
        until = time.monotonic() + patience
        while True:
            try:
                return await anyio.to_thread.run_sync(run, limiter=self._limiter)
            except _UnsureError as error:
                lost, run = error.cause, error.settle
            except DBAPIError as error:
                lost = error
            except OverflowError as error:
                raise HomeportError("invalid", "A number is too large to be stored.", "Use a smaller one.") from error
            if not dialects.is_lost(lost) or time.monotonic() >= until:
                raise dialects.explained(lost, self.where) from lost
            await anyio.sleep(AGAIN_SECONDS)

    def _settle(self, unsure: _UnsureError, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            kept = dialects.was_committed(connection, unsure.number)
        if kept is None:
            raise unsure
        return unsure.result if kept else self._write(work)


class _UnsureError(Exception):
    """The connection broke in the COMMIT, so only the server knows whether the transaction was kept."""

    def __init__(self, cause: DBAPIError, number: str, result: Any) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.number = number
        self.result = result
        self.settle: Callable[[], Any] = lambda: result


def refuse_damaged(path: Path) -> None:
    """Look whether the SQLite file that may be at `path` is sound, page by page up to 64 MiB; nothing is made there.

    Raises:
        HomeportError: `damaged`, `denied` or `unavailable`, when SQLite says so.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_MS / 1000)) as connection:
            connection.execute("PRAGMA schema_version")
            if path.stat().st_size <= WHOLE_CHECK_BYTES:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {' '.join(found.split())}")
    except sqlite3.Error as error:
        raise explain(error, path) from error
