"""SQLite as every store uses it: WAL, nothing lost at a power cut, safe for several processes, off the event loop."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from homeport_shared.errors import HomeportError

if TYPE_CHECKING:  # imported on first use: it costs 60 ms
    from sqlite_utils import Database, Migrations

T = TypeVar("T")
BUSY_MS = 10_000


class SqliteFile:
    """One connection to one database file, used by one thread at a time.

    The file and its tables are made at the first use. Several processes may open the same file: readers never wait,
    writers wait up to `BUSY_MS` milliseconds for each other.

    Args:
        path: The database file; its folder is made when missing.
        migrations: Applied, each once, at the first use; None where the caller keeps its own schema.
    """

    def __init__(self, path: Path, migrations: Migrations | None = None) -> None:
        self.path = path
        self._migrations = migrations
        self._limiter = anyio.CapacityLimiter(1)
        self._database: Database | None = None

    async def read(self, work: Callable[[Database], T]) -> T:
        """Run `work(database)` on the store's thread and return its result.

        Raises:
            HomeportError: `damaged` or `unavailable`, when SQLite says so.
        """
        return await anyio.to_thread.run_sync(self._run, work, limiter=self._limiter)

    async def write(self, work: Callable[[Database], T]) -> T:
        """Run `work(database)` in one transaction: all of it is kept, or on an exception none of it.

        The wait for another process's lock happens before `work` starts, so `work` runs once.

        Raises:
            HomeportError: `damaged` or `unavailable`, when SQLite says so.
        """

        def in_transaction(database: Database) -> T:
            with transaction(database.conn):
                return work(database)

        return await anyio.to_thread.run_sync(self._run, in_transaction, limiter=self._limiter)

    async def aclose(self) -> None:
        """Close the connection; the next use opens it again."""

        def close() -> None:
            if self._database is not None:
                self._database.conn.close()
                self._database = None

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(close, limiter=self._limiter)

    def _run(self, work: Callable[[Database], T]) -> T:
        try:
            if self._database is None:
                self._database = open_database(self.path, self._migrations)
            return work(self._database)
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        except OverflowError as error:
            raise HomeportError("invalid", "A number is too large to be stored.", "Use a smaller one.") from error


def open_database(path: Path, migrations: Migrations | None = None) -> Database:
    """Open `path` with Homeport's pragmas and bring its tables up to date.

    Raises:
        sqlite3.Error: When the file is no database or cannot be opened.
        OSError: When its folder cannot be made.
    """
    from sqlite_utils import Database

    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, check_same_thread=False, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")
        database = Database(connection)
        if migrations is not None:
            _migrate(database, migrations)
    except BaseException:
        connection.close()
        raise
    return database


def _migrate(database: Database, migrations: Migrations) -> None:
    """Apply what is pending; another process that starts at the same moment waits and then finds nothing to do."""
    if database["_sqlite_migrations"].exists() and not migrations.pending(database):
        return
    with exclusive(Path(database.conn.execute("PRAGMA database_list").fetchone()[2] + ".lock")):
        if migrations.pending(database):
            migrations.apply(database)


@contextmanager
def exclusive(lock: Path) -> Generator[None]:
    """Keep every other process out of the block that uses the same `lock` file; the lock goes with its holder.

    For work that no transaction can span: a migration commits by itself, a file is renamed beside the database.

    Raises:
        sqlite3.OperationalError: When another process holds it for longer than `BUSY_MS`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    guard = sqlite3.connect(lock, timeout=BUSY_MS / 1000, isolation_level=None)
    try:
        guard.execute("BEGIN EXCLUSIVE")
        yield
        guard.execute("COMMIT")
    finally:
        guard.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Make one write transaction of the block: take the write lock first, commit at the end, undo on an exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def explain(error: sqlite3.Error, path: Path) -> HomeportError:
    """Turn an error of SQLite into one that says what to do."""
    text = str(error)
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        return HomeportError(
            "damaged",
            f"The database {path} is damaged ({text}).",
            "Stop Homeport, move that file away and start again, or put a backup in its place.",
        )
    if "disk is full" in text or "disk I/O error" in text:
        return HomeportError("unavailable", f"The disk of {path} is full or failing ({text}).", "Free some space.")
    if "locked" in text or "busy" in text:
        return HomeportError("unavailable", f"Another process keeps {path} locked.", "Try again in a moment.")
    if "pattern too complex" in text:
        return HomeportError("invalid", "The text to look for is too long.", "Look for fewer words.")
    if "readonly" in text or "unable to open" in text:
        return HomeportError("denied", f"The database {path} cannot be written ({text}).", "Check its permissions.")
    return HomeportError("internal", f"The database {path} refused a statement ({text}).")
