"""What the engine keeps beside DBOS's own tables: which runs were accepted, and the signals sent to them.

A run is accepted with the commit of its row here, so none is lost between the promise and the start, and an id is
never started twice. Signals wait here until a run asks for them, so a waiting run needs no polling.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from anyio.abc import TaskGroup
from sqlalchemy import JSON, Column, Connection, Index, Integer, String, Table, delete, select, update

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_host.engine.workers import workers
from homeport_shared.batching import Batcher
from homeport_shared.clock import Clock, SystemClock, iso

GATHER = 0.05  # seconds
Accepted = tuple[str, str, dict[str, Any]]  # a run's id, kind and parameters
accepted = Table(
    "engine_runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("accepted", String, nullable=False),
    Column("ended", String, nullable=False, default="", index=True),
    Column("worker", String, nullable=False, server_default="local"),
    Column("starts", Integer, nullable=False, server_default="0"),
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
    """Accepted runs and signals.

    Args:
        database: The host's.
        tasks: Notes ends in the background: a run that ended unnoted is found ended at the next launch.
        clock: Replaces the machine's clock.
    """

    def __init__(self, database: Database, tasks: TaskGroup, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._ends = Batcher[str](tasks, self._end, gather=GATHER)

    async def accept(self, run: str, kind: str, parameters: dict[str, Any], worker: str) -> bool:
        """Store a run for a worker; False when its id was accepted before."""
        values = {"run": run, "kind": kind, "parameters": parameters, "accepted": iso(self._clock.now()), "ended": ""}
        values |= {"worker": worker, "starts": 1}

        def work(connection: Connection) -> bool:
            statement = insert(connection, accepted).values(values).on_conflict_do_nothing()
            return connection.execute(statement.returning(accepted.c.run)).first() is not None

        return await self._database.write(work)

    async def end(self, run: str, *, durable: bool = True) -> None:
        """Note that a run needs no further care; without `durable` a little later."""
        await self._ends.add(run, durable=durable)

    async def drain(self) -> None:
        """Wait until all ends are noted."""
        await self._ends.drain()

    async def _end(self, runs: list[str]) -> None:
        change = update(accepted).where(accepted.c.run.in_(runs)).values(ended=iso(self._clock.now()))
        await self._database.write(lambda connection: connection.execute(change))

    async def go_on(self, run: str, worker: str) -> int:
        """Note that a worker goes on with a run; return how often it was begun since it last got a step further."""
        change = update(accepted).where(accepted.c.run == run)
        change = change.values(worker=worker, starts=accepted.c.starts + 1).returning(accepted.c.starts)
        return await self._database.write(lambda connection: connection.scalar(change)) or 1

    async def sound(self, runs: Collection[str]) -> None:
        """Note that runs got further, or stop because their worker is stopped: nothing is wrong with them."""
        change = update(accepted).where(accepted.c.run.in_(runs)).values(starts=0)
        await self._database.write(lambda connection: connection.execute(change))

    async def take_over(self, dead: str, beats: int, by: str) -> list[Accepted]:
        """Give the unfinished runs of a silent worker to another, and return them; none if it has beaten meanwhile.

        Its row goes in the same transaction: with its next beat it finds itself missing, and its runs elsewhere.

        Args:
            dead: The worker that seems dead.
            beats: Its number when that was found out.
            by: The worker that goes on with its runs.
        """
        leave = delete(workers).where(workers.c.worker == dead, workers.c.beats == beats)
        change = update(accepted).where(accepted.c.worker == dead, accepted.c.ended == "").values(worker=by)
        change = change.returning(accepted.c.run, accepted.c.kind, accepted.c.parameters)

        def work(connection: Connection) -> list[Accepted]:
            if connection.execute(leave).rowcount == 0:
                return []
            return [(run, kind, parameters) for run, kind, parameters in connection.execute(change)]

        return await self._database.write(work)

    async def lost(self, runs: Collection[str], worker: str) -> set[str]:
        """Return which of these runs another worker goes on with."""
        query = select(accepted.c.run).where(accepted.c.run.in_(runs), accepted.c.worker != worker)
        return await self._database.read(lambda connection: set(connection.scalars(query)))

    async def ended(self, runs: Collection[str]) -> set[str]:
        """Return which of these runs need no further care."""
        query = select(accepted.c.run).where(accepted.c.run.in_(runs), accepted.c.ended != "")
        return await self._database.read(lambda connection: set(connection.scalars(query)))

    async def unfinished(self, worker: str) -> list[Accepted]:
        """Return the runs that a worker accepted and that did not end."""
        query = select(accepted.c.run, accepted.c.kind, accepted.c.parameters)
        query = query.where(accepted.c.ended == "", accepted.c.worker == worker)
        return await self._database.read(lambda connection: [tuple(row) for row in connection.execute(query)])

    async def find(self, run: str) -> tuple[str, dict[str, Any]] | None:
        """Return the kind of a run and what it was started with; None when it is not known."""
        query = select(accepted.c.kind, accepted.c.parameters).where(accepted.c.run == run)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return (row[0], row[1]) if row else None

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

    async def signalled(self, after: int) -> tuple[int, set[str]]:
        """Return the number of the newest signal, and which runs got one after the number `after`."""
        query = select(signals.c.seq, signals.c.run).where(signals.c.seq > after)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return max((row[0] for row in rows), default=after), {row[1] for row in rows}

    async def signal(self, run: str, name: str, number: int) -> tuple[Any] | None:
        """Return the value of the signal with this number among those of one name, from 0; None when not sent yet."""
        query = select(signals.c.value).where(signals.c.run == run, signals.c.name == name)

        def find(connection: Connection) -> tuple[Any] | None:
            row = connection.execute(query.order_by(signals.c.seq).offset(number).limit(1)).first()
            return (row[0],) if row else None

        return await self._database.read(find)
