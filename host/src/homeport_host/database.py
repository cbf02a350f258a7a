"""The host's own database through SQLAlchemy Core: SQLite now, the same tables on PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import DBAPIError

from homeport_host.migrations import bring_up
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import BUSY_MS, explain

T = TypeVar("T")
metadata = MetaData()
WHOLE_CHECK_BYTES = 64 << 20  # larger files are only opened: reading them whole would delay each start


class Database:
    """One database, used off the event loop by one thread at a time.

    Args:
        path: The SQLite file; folder and tables are made by `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._limiter = anyio.CapacityLimiter(1)
        self.engine: Engine = sqlite_engine(path)

    async def open(self) -> None:
        """Make the tables, or lead those of an earlier version up to this one.

        Raises:
            HomeportError: `damaged`, `denied` or `unavailable`, when SQLite says so; `conflict` for a newer version.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        await self.write(lambda connection: bring_up(connection, metadata))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work(connection)` and return its result; nothing it writes is kept.

        Raises:
            HomeportError: `damaged`, `denied` or `unavailable`, when SQLite says so.
        """

        def run() -> T:
            with self.engine.connect().execution_options(reads=True) as connection:
                return work(connection)

        return await self._off_loop(run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work(connection)` in one transaction: kept as a whole, or on an exception not at all.

        Raises:
            HomeportError: `damaged`, `denied` or `unavailable`, when SQLite says so.
        """

        def run() -> T:
            with self.engine.begin() as connection:
                return work(connection)

        return await self._off_loop(run)

    async def aclose(self) -> None:
        """Close the connections."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.engine.dispose, limiter=self._limiter)

    async def _off_loop(self, run: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(run, limiter=self._limiter)
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise explain(error.orig, self.path) from error
            raise HomeportError("internal", f"The database {self.path} refused a statement.") from error
        except OverflowError as error:
            raise HomeportError("invalid", "A number is too large to be stored.", "Use a smaller one.") from error


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


def sqlite_engine(path: Path) -> Engine:
    """Return an engine on `path` with WAL, synchronous=FULL and real transactions."""
    engine = create_engine(f"sqlite:///{path}", json_serializer=_json)

    @event.listens_for(engine, "connect")
    def pragmas(connection: sqlite3.Connection, _: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # the driver's own BEGIN comes too late and takes no write lock
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        only_reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
