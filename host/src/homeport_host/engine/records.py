"""What the engine keeps beside DBOS's own tables: which runs were accepted, and the signals sent to them.

A run is accepted with the commit of its row here, so none is lost between the promise and the start, and an id is
never started twice. Signals wait here until a run asks for them, so a waiting run needs no polling.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, Connection, Index, Integer, String, Table, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from homeport_host.database import Database, metadata
from homeport_shared.clock import Clock, SystemClock, iso

accepted = Table(
    "engine_runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("accepted", String, nullable=False),
    Column("ended", String, nullable=False, default="", index=True),
)
signals = Table(
    "engine_signals",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run", String, nullable=False),
    Column("name", String, nullable=False),
    Column("value", JSON),
    Index("engine_signals_run", "run", "name"),
)


class Records:
    """Accepted runs and signals."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def accept(self, run: str, kind: str, parameters: dict[str, Any]) -> bool:
        """Store a run; False when its id was accepted before."""
        values = {"run": run, "kind": kind, "parameters": parameters, "accepted": iso(self._clock.now()), "ended": ""}
        statement = insert(accepted).values(values).on_conflict_do_nothing().returning(accepted.c.run)
        return await self._database.write(lambda connection: connection.execute(statement).first() is not None)

    async def end(self, run: str) -> None:
        """Note that a run needs no further care."""
        change = update(accepted).where(accepted.c.run == run).values(ended=iso(self._clock.now()))
        await self._database.write(lambda connection: connection.execute(change))

    async def unfinished(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return id, kind and parameters of the runs that were accepted and did not end."""
        query = select(accepted.c.run, accepted.c.kind, accepted.c.parameters).where(accepted.c.ended == "")
        return await self._database.read(lambda connection: [tuple(row) for row in connection.execute(query)])

    async def parameters(self, run: str) -> dict[str, Any] | None:
        """Return what a run was started with; None when it is not known."""
        query = select(accepted.c.parameters).where(accepted.c.run == run)
        return await self._database.read(lambda connection: connection.scalar(query))

    async def forget(self, run: str) -> None:
        """Forget a run and its signals."""

        def work(connection: Connection) -> None:
            connection.execute(delete(accepted).where(accepted.c.run == run))
            connection.execute(delete(signals).where(signals.c.run == run))

        await self._database.write(work)

    async def send(self, run: str, name: str, value: Any) -> None:
        """Keep a signal for a run."""
        statement = signals.insert().values(run=run, name=name, value=value)
        await self._database.write(lambda connection: connection.execute(statement))

    async def signal(self, run: str, name: str, number: int) -> tuple[Any] | None:
        """Return the value of the signal with this number among those of one name, from 0; None when not sent yet."""
        query = select(signals.c.value).where(signals.c.run == run, signals.c.name == name)

        def find(connection: Connection) -> tuple[Any] | None:
            row = connection.execute(query.order_by(signals.c.seq).offset(number).limit(1)).first()
            return (row[0],) if row else None

        return await self._database.read(find)
