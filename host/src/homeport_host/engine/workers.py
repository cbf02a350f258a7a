"""Which processes work on the runs of one database, and which of them are dead.

A worker counts up one number for as long as it lives. Who sees the number of another stand still for a whole lease
takes that worker for dead. Only the looker's own monotonic clock decides, so clocks that differ or jump do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Column, Connection, Integer, String, Table, select

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert

workers = Table(
    "engine_workers",
    metadata,
    Column("worker", String, primary_key=True),
    Column("beats", Integer, nullable=False),
)


class Workers:
    """The workers of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, worker: str) -> dict[str, int]:
        """Count up for `worker`, and return the number of each of the others."""

        def work(connection: Connection) -> dict[str, int]:
            row = insert(connection, workers).values(worker=worker, beats=1)
            more = {"beats": workers.c.beats + 1}
            connection.execute(row.on_conflict_do_update(index_elements=["worker"], set_=more))
            others = select(workers.c.worker, workers.c.beats).where(workers.c.worker != worker)
            return {each[0]: each[1] for each in connection.execute(others)}

        return await self._database.write(work)


@dataclass
class Sightings:
    """What one worker has seen of the others.

    Attributes:
        lease: Seconds without a beat after which a worker counts as dead.
    """

    lease: float
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])

    def dead(self, beats: Mapping[str, int], now: float) -> set[str]:
        """Return the workers whose number has stood still for the lease.

        Args:
            beats: The number of each worker now.
            now: Of a monotonic clock, in seconds.
        """
        for worker, count in beats.items():
            if worker not in self._seen or self._seen[worker][0] != count:
                self._seen[worker] = (count, now)
        self._seen = {worker: seen for worker, seen in self._seen.items() if worker in beats}
        return {worker for worker, (_, since) in self._seen.items() if now - since >= self.lease}
