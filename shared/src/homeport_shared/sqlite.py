"""SQLite as every store uses it: WAL, nothing lost at a power cut, safe for several processes, off the event loop."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from homeport_shared.errors import HomeportError

T = TypeVar("T")
BUSY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one store.

    Attributes:
        name: Told apart by it when several stores share a file.
        versions: SQL scripts; the first makes the tables, each later one brings them one version further. A script
            that was released is never changed.
    """

    name: str
    versions: tuple[str, ...]


class SqliteFile:
    """One connection to one database file, used by one thread at a time.

    The file and its tables are made at the first use. Several processes may open the same file: readers never wait,
    writers wait up to `BUSY_MS` milliseconds for each other.

    Args:
        path: The database file; its folder is made when missing.
        schema: Its tables, brought up to date at the first use; None where the caller makes them.
    """

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self.path = path
        self._schema = schema
        self._limiter = anyio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work(connection)` on the store's thread and return its result.

        Raises:
            HomeportError: `damaged` or `unavailable`, when SQLite says so.
        """
        return await anyio.to_thread.run_sync(self._run, work, limiter=self._limiter)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work(connection)` in one transaction: all of it is kept, or on an exception none of it.

        The wait for another process's lock happens before `work` starts, so `work` runs once.

        Raises:
            HomeportError: `damaged` or `unavailable`, when SQLite says so.
        """

        def in_transaction(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                return work(connection)

        return await anyio.to_thread.run_sync(self._run, in_transaction, limiter=self._limiter)

    async def aclose(self) -> None:
        """Close the connection; the next use opens it again."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(close, limiter=self._limiter)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = connect(self.path, self._schema)
            return work(self._connection)
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        except OverflowError as error:
            raise HomeportError("invalid", "A number is too large to be stored.", "Use a smaller one.") from error


def connect(path: Path, schema: Schema | None = None) -> sqlite3.Connection:
    """Open `path` with Homeport's pragmas and bring its tables up to date.

    Raises:
        sqlite3.Error: When the file is no database or cannot be opened.
        OSError: When its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, check_same_thread=False, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")
        if schema is not None and _version(connection, schema) < len(schema.versions):
            _upgrade(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, schema: Schema) -> int:
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'schema_versions'"
    if connection.execute(tables).fetchone() is None:
        return 0
    row = connection.execute("SELECT version FROM schema_versions WHERE name = ?", (schema.name,)).fetchone()
    return row[0] if row else 0


def _upgrade(connection: sqlite3.Connection, schema: Schema) -> None:
    """Run the scripts that are missing; another process that starts at the same moment waits and finds none."""
    with transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL)"
        )
        for script in schema.versions[_version(connection, schema) :]:
            for statement in statements(script):
                connection.execute(statement)
        connection.execute("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", (schema.name, len(schema.versions)))


def statements(script: str) -> Generator[str]:
    """Take a script apart; unlike `executescript` this leaves the transaction open in which it is run."""
    statement = ""
    for part in script.strip().rstrip(";").split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):  # not within a string or the body of a trigger
            yield statement
            statement = ""


@contextmanager
def exclusive(lock: Path) -> Generator[None]:
    """Keep every other process out of the block that uses the same `lock` file; the lock goes with its holder.

    For work that no transaction can span, such as renaming a file beside the database.

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
