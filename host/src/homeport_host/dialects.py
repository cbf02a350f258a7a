"""What differs between SQLite and PostgreSQL: how they are opened, how they fail, and single statements."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, OperationalError

from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import BUSY_MS, explain

Where = Path | URL
FROZEN_SECONDS = 8  # a process that is frozen inside a transaction keeps its locks from the others for so long
_GONE = ("08", "25P03", "57P01", "57P02", "57P03")  # SQLSTATE: lost, idle too long, shutdown, crash, starting


def parse(url: str) -> URL:
    """Return the address of a PostgreSQL database.

    Raises:
        HomeportError: `invalid`, for anything else.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in {"postgresql", "postgres"} or not parsed.database:
        raise HomeportError(
            "invalid",
            "`database` is no address of a PostgreSQL database.",
            "Write it like postgresql://user@host/name.",
        )
    return parsed.set(drivername="postgresql+psycopg")


def engine_for(where: Where) -> Engine:
    """Return an engine on a SQLite file, with WAL, synchronous=FULL and real transactions, or on PostgreSQL."""
    if isinstance(where, Path):
        return _sqlite_engine(where)
    options = f"-c idle_in_transaction_session_timeout={FROZEN_SECONDS * 1000}"
    arguments = {"connect_timeout": 10, "options": options}
    return create_engine(where, json_serializer=_json, pool_size=2, connect_args=arguments)


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", json_serializer=_json)

    @event.listens_for(engine, "connect")
    def pragmas(connection: sqlite3.Connection, _: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # the driver's own BEGIN comes too late and takes no write lock
        set_pragmas(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        only_reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def set_pragmas(connection: sqlite3.Connection) -> None:
    """Let a connection survive a power cut with everything that was committed, and wait for other writers."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def insert(connection: Connection, table: Table) -> sqlite.Insert:
    """Return an INSERT that knows ON CONFLICT; both dialects write it with the same words."""
    dialect = sqlite if is_sqlite(connection) else postgresql
    return cast("sqlite.Insert", dialect.insert(table))


def is_sqlite(connection: Connection) -> bool:
    """Say whether the database is a SQLite file, where a transaction that writes is alone."""
    return connection.dialect.name == "sqlite"


def transaction_number(connection: Connection) -> str | None:
    """Return PostgreSQL's number of the transaction that `connection` is in; None when it changed nothing."""
    if is_sqlite(connection):
        return None
    return connection.scalar(text("SELECT pg_current_xact_id_if_assigned()::text"))


def was_committed(connection: Connection, number: str) -> bool | None:
    """Say whether PostgreSQL kept a transaction; None = it is still going on."""
    status = connection.scalar(text("SELECT pg_xact_status(CAST(:number AS xid8))"), {"number": number})
    return None if status == "in progress" else status == "committed"


def is_lost(error: DBAPIError) -> bool:
    """Say whether the server is away or starting, so that another attempt may succeed."""
    if isinstance(error.orig, sqlite3.Error):
        return False
    state: str | None = getattr(error.orig, "sqlstate", None)  # none, when there was no server to give one
    gone = state.startswith(_GONE) if state else isinstance(error, OperationalError)
    return gone or error.connection_invalidated


def explained(error: DBAPIError, where: Where) -> HomeportError:
    """Turn an error of a database into one that says what to do."""
    if isinstance(where, Path):
        cause = error.orig if isinstance(error.orig, sqlite3.Error) else sqlite3.Error(str(error.orig))
        return explain(cause, where)
    said = str(error.orig).strip().partition("\n")[0]
    if is_lost(error):
        return HomeportError(
            "unavailable",
            f"The database {where.render_as_string()} cannot be reached ({said}).",
            "Start it, or correct `database` in the section [host] of homeport.toml.",
        )
    if isinstance(error, DataError):
        return HomeportError("invalid", f"The database cannot store this: {said}.", "Leave out what it names.")
    return HomeportError("internal", f"The database {where.render_as_string()} refused a statement ({said}).")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
