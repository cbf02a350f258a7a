"""One connection to PostgreSQL: opened when needed, off the event loop, with the statements of all stores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import psycopg
from psycopg import conninfo, errors

from homeport_rag.store.postgres import halfvec
from homeport_rag.store.postgres.schema import NAME, SCHEMA
from homeport_shared.errors import HomeportError

T = TypeVar("T")
LEAST = (0, 8)  # the version of pgvector that looks further when a filter leaves too few
ROWS = 500  # in one statement
WAIT = "60s"  # that a writer waits for another, and that a frozen one keeps the others waiting
_WRITER = 0x686F6D65  # the advisory lock of whoever writes
_OPTIONS = (
    f"-c search_path={NAME},public -c lock_timeout={WAIT} -c idle_in_transaction_session_timeout={WAIT}"
    " -c jit=off -c hnsw.ef_search=200 -c hnsw.iterative_scan=strict_order"
)


class Session:
    """An open connection; see `homeport_rag.store.dialect.Connection`.

    All `bytes` are vectors; other binary values are passed as `bytearray`.

    Attributes:
        raw: The driver's own.
        writing: A transaction that may have written is open.
    """

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self.writing = False

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """See `Connection`."""
        return self.raw.execute(_translated(statement), _storable(values), binary=True)

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> None:
        """See `Connection`; rows (an INSERT ends with them) go many at a time, as triggers run once per statement."""
        head, mark, row = statement.partition(" VALUES ")
        if not mark:
            self.raw.cursor().executemany(_translated(statement), [_storable(each) for each in values])
            return
        rows = list(values)
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            given = [value for each in part for value in each]
            self.execute(f"{head}{mark}{', '.join([row] * len(part))}", given)


@lru_cache(maxsize=1024)
def _translated(statement: str) -> bytes:
    return statement.replace("%", "%%").replace("?", "%s").encode()


def _storable(values: Sequence[Any]) -> list[Any]:
    """PostgreSQL has no texts with a NUL in them."""
    return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in values]


class Link:
    """One connection, used by one thread at a time; a broken one is opened again at the next use.

    Args:
        address: Of the database, such as `postgresql://user@host/name`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._limiter = anyio.CapacityLimiter(1)
        self._session: Session | None = None

    async def read(self, work: Callable[[Session], T]) -> T:
        """Return `work(session)`; each statement is a transaction by itself.

        Raises:
            HomeportError: What `work` raises; `unavailable`, `denied` or `invalid`, when PostgreSQL says so.
        """
        return await anyio.to_thread.run_sync(self._run, work, limiter=self._limiter)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run `work(session)` in one transaction, all or nothing, while nobody else writes.

        Raises:
            HomeportError: What `work` raises; `unavailable`, `denied` or `invalid`, when PostgreSQL says so.
        """

        def in_transaction(session: Session) -> T:
            with alone(session):
                session.writing = True
                return work(session)

        return await anyio.to_thread.run_sync(self._run, in_transaction, limiter=self._limiter)

    def interrupt(self) -> None:
        """Stop the statement that is running, if there is one; it then fails as cancelled."""
        if self._session is not None:
            self._session.raw.cancel_safe(timeout=5)

    async def aclose(self) -> None:
        """Close the connection; the next use opens it again."""

        def close() -> None:
            if self._session is not None:
                self._session.raw.close()
                self._session = None

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(close, limiter=self._limiter)

    def _run(self, work: Callable[[Session], T]) -> T:
        again = self._session is not None  # it may have broken while nobody used it
        try:
            while True:
                session = self._session = self._session or opened(self._address)
                session.writing = False
                try:
                    return work(session)
                except psycopg.OperationalError:
                    if not session.raw.closed:
                        raise
                    self._session = None
                    if session.writing or not again:
                        raise
                    again = False
        except psycopg.Error as error:
            raise explained(error, self._address) from error


@contextmanager
def alone(session: Session) -> Generator[None]:
    """Make one transaction of the block, in which no other process writes, as in SQLite: the statements rely on it."""
    with session.raw.transaction():
        session.execute("SELECT pg_advisory_xact_lock(?)", (_WRITER,))
        yield


def opened(address: str) -> Session:
    """Connect, and make the tables or bring them up to date.

    Raises:
        HomeportError: `invalid`, when the address is none; `unavailable`, when there is no pgvector; `conflict`, when
            the tables are of a later version.
        psycopg.Error: When the server says so.
    """
    place(address)
    session = Session(
        psycopg.connect(address, autocommit=True, prepare_threshold=None, connect_timeout=10, options=_OPTIONS)
    )
    try:
        version = _version(session)
        if version > len(SCHEMA.versions):
            raise HomeportError(
                "conflict", f"The tables of {place(address)} are of a later version.", "Update this Homeport."
            )
        if version < len(SCHEMA.versions):
            _upgrade(session, address)
        _use_vectors(session, address)
    except BaseException:
        session.raw.close()
        raise
    return session


def _version(session: Session) -> int:
    tables = f"{NAME}.schema_versions"
    if session.execute("SELECT to_regclass(?)", (tables,)).fetchone() == (None,):
        return 0
    row = session.execute(f"SELECT version FROM {tables} WHERE name = ?", (SCHEMA.name,)).fetchone()  # noqa: S608 - our own name
    return row[0] if row else 0


def _upgrade(session: Session, address: str) -> None:
    """Run the scripts that are missing; another process that starts at the same moment waits and finds none."""
    with alone(session):
        try:
            session.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except (errors.FeatureNotSupported, errors.UndefinedFile, errors.InsufficientPrivilege) as error:
            raise _no_vectors(address) from error
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {NAME}")
        session.execute("CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL)")
        _use_vectors(session, address)
        for script in SCHEMA.versions[_version(session) :]:
            session.raw.execute(script.encode())
        session.execute(
            "INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            (SCHEMA.name, len(SCHEMA.versions)),
        )


def _use_vectors(session: Session, address: str) -> None:
    """Let statements name the types of pgvector, whatever schema it is in."""
    found = session.execute(
        "SELECT extversion, quote_ident(nspname), to_regtype(quote_ident(nspname) || '.halfvec')::oid::int"
        " FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"
    ).fetchone()
    if found is None or tuple(int(part) for part in found[0].split(".")[:2]) < LEAST:
        raise _no_vectors(address)
    session.execute("SELECT set_config('search_path', ?, false)", (f"{NAME}, {found[1]}, public",))
    halfvec.register(session.raw, found[2])


def _no_vectors(address: str) -> HomeportError:
    least = ".".join(map(str, LEAST))
    return HomeportError(
        "unavailable",
        f"The database {place(address)} has no pgvector {least} or later.",
        "Install it on the server, and have its administrator run CREATE EXTENSION vector in this database.",
    )


def place(address: str) -> str:
    """Return where a database is, without what is secret in its address.

    Raises:
        HomeportError: `invalid`, when the address is none.
    """
    try:
        parts = conninfo.conninfo_to_dict(address) if address.startswith(("postgresql://", "postgres://")) else {}
    except psycopg.Error:
        parts = {}
    if not parts.get("dbname"):  # what is wrong is not repeated: it may hold a password
        raise HomeportError(
            "invalid",
            "`database` in the section [rag] is no address of a PostgreSQL database.",
            "Write it like postgresql://user@host/name.",
        )
    host, port = parts.get("host", "localhost"), f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{host}{port}/{parts['dbname']}"


def explained(error: psycopg.Error, address: str) -> HomeportError:
    """Turn an error of PostgreSQL into one that says what to do."""
    said = str(error).strip().partition("\n")[0].rstrip(".")
    where = f"The database {place(address)}"
    if isinstance(error, errors.LockNotAvailable):
        return HomeportError("unavailable", f"Another process keeps {place(address)} locked.", "Try again in a moment.")
    if isinstance(error, errors.InsufficientPrivilege | errors.ReadOnlySqlTransaction):
        return HomeportError("denied", f"{where} cannot be written ({said}).", "Give its user the right to.")
    if isinstance(error, psycopg.DataError):
        return HomeportError("invalid", f"{where} cannot store this ({said}).", "Leave out what it names.")
    if isinstance(error, errors.DiskFull):
        return HomeportError("unavailable", f"The disk of {place(address)} is full.", "Free some space there.")
    if isinstance(error, psycopg.OperationalError):
        return HomeportError(
            "unavailable",
            f"{where} cannot be reached ({said}).",
            "Start it, or correct `database` in the section [rag] of homeport.toml.",
        )
    return HomeportError("internal", f"{where} refused a statement ({said}).")
