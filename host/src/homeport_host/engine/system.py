"""How DBOS is configured, and its own tables opened: a SQLite file, or the schema `dbos` of a PostgreSQL database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread
from sqlalchemy import create_engine, event

from homeport_host.dialects import FROZEN_SECONDS, Where, set_pragmas

if TYPE_CHECKING:
    from dbos import DBOSConfig, StepInfo
    from sqlalchemy import Engine

ABI = "graph-abi-1"  # changes only when recorded steps can no longer be replayed by this code


async def load() -> None:
    """Import DBOS, which takes 0.4 s, in a thread.

    The part of SQLAlchemy that DBOS needs comes first, in this thread: it registers itself while it is imported, and
    statements that are made meanwhile would meet it half done.
    """
    import sqlalchemy.orm  # noqa: F401  # pyright: ignore[reportUnusedImport]

    def rest() -> None:
        import dbos  # noqa: F401  # pyright: ignore[reportUnusedImport]

    await anyio.to_thread.run_sync(rest)


def configuration(where: Where, worker: str) -> DBOSConfig:
    """Return DBOS's configuration.

    Args:
        where: Its SQLite file, or a PostgreSQL database.
        worker: DBOS recovers the runs of this name when it starts.
    """
    from dbos import DBOSConfig, DBOSPortableJSONSerializer

    config = DBOSConfig(
        name="homeport",
        application_version=ABI,
        executor_id=worker,
        serializer=DBOSPortableJSONSerializer(),  # its default is pickle: whoever writes the file would run code
        log_level="ERROR",
        enable_otlp=False,
        max_executor_threads=8,
        use_listen_notify=False,  # signals are ours, and a connection that only listens breaks behind a pooler
    )
    if isinstance(where, Path):
        config["system_database_url"] = f"sqlite:///{where}"
        config["system_database_engine"] = _sqlite_engine(where)
    else:
        config["system_database_url"] = where.render_as_string(hide_password=False)
        config["sys_db_pool_size"] = 5
        config["sys_db_idle_transaction_timeout_sec"] = FROZEN_SECONDS
    return config


def shaped(step: StepInfo) -> dict[str, Any]:
    """Return a recorded step as the engine's protocol has it."""
    recorded = cast("dict[str, Any]", step["output"] or {})
    return {
        "number": step["function_id"],
        "name": step["function_name"],
        "result": recorded.get("value"),
        "error": recorded.get("failed") or (str(step["error"]) if step["error"] else None),
        "started": step["started_at_epoch_ms"],
        "completed": step["completed_at_epoch_ms"],
    }


def _sqlite_engine(path: Path) -> Engine:
    """Return an engine as DBOS wants it: it begins its own transactions, so the driver takes the write lock."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def pragmas(connection: sqlite3.Connection, _: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = "IMMEDIATE"
        set_pragmas(connection)

    return engine
