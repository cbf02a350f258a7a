"""The effect ledger: no effect of a tool that is not idempotent happens twice because a step was repeated.

A step of a durable run happens at least once: the process may die between the effect and its record. The ledger writes
the intent before the effect and the result after it. A repeated call finds either the result, which is returned, or an
intent without a result: then nobody knows whether the effect happened, and a person is asked where one can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import JSON, Column, Connection, String, Table, delete, select, update

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_shared.clock import Clock, SystemClock, iso

effects = Table(
    "effects",
    metadata,
    Column("key", String, primary_key=True),
    Column("tool", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("result", JSON),
    Column("started", String, nullable=False),
    Column("finished", String, nullable=False, default=""),
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the ledger knows of an effect: `done` with its result, or `unknown` after a crash in the window."""

    state: Literal["done", "unknown"]
    result: dict[str, Any] | None = None


class Ledger:
    """Intents and results of effects, by idempotency key."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def find(self, key: str) -> Earlier | None:
        """Return what is known of an effect; None = nothing was begun under `key`."""
        return await self._database.read(lambda connection: _find(connection, key))

    async def begin(self, key: str, tool: str, digest: str) -> Earlier | None:
        """Record the intent; None = go on, nothing was begun under `key` before."""
        now = iso(self._clock.now())

        def work(connection: Connection) -> Earlier | None:
            values = {"key": key, "tool": tool, "digest": digest, "state": "started", "started": now, "finished": ""}
            statement = insert(connection, effects).values(values).on_conflict_do_nothing().returning(effects.c.key)
            if connection.execute(statement).first() is not None:
                return None
            return _find(connection, key)

        return await self._database.write(work)

    async def finish(self, key: str, result: dict[str, Any]) -> None:
        """Record the result of an effect that was begun."""
        values = {"state": "done", "result": result, "finished": iso(self._clock.now())}
        change = update(effects).where(effects.c.key == key).values(values)
        await self._database.write(lambda connection: connection.execute(change))

    async def forget(self, key: str) -> None:
        """Take an intent back: the call was refused before it reached the tool, or a person said to repeat it."""
        await self._database.write(lambda connection: connection.execute(delete(effects).where(effects.c.key == key)))


def _find(connection: Connection, key: str) -> Earlier | None:
    row = connection.execute(select(effects.c.state, effects.c.result).where(effects.c.key == key)).first()
    if row is None:
        return None
    return Earlier("done", row[1]) if row[0] == "done" else Earlier("unknown")
