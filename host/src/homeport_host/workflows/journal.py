"""What happened in runs of workflows, step by step: what a restarted run goes by, and what people look at.

The interpreter records each step here itself, not as steps of the engine: those must come in the same order again after
a crash, which steps of parallel branches do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy import JSON, Boolean, Column, Connection, Integer, String, Table, delete, func, select, update

from homeport_host.agents.runs import runs
from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_shared.errors import HomeportError

StepState = Literal["running", "waiting", "completed", "failed", "cancelled", "pinned", "shown", "undone"]
DONE: frozenset[str] = frozenset({"completed", "pinned", "shown", "undone"})
workflow_runs = Table(
    "workflow_runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("workflow", String, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("dry", Boolean, nullable=False),
)
workflow_steps = Table(
    "workflow_steps",
    metadata,
    Column("run", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("node", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("started", String, nullable=False),
    Column("finished", String, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("input", JSON),
    Column("output", JSON),
    Column("error", JSON),
    Column("following", String, nullable=False),
    Column("undo", JSON),
    Column("notes", JSON, nullable=False),
)


@dataclass
class Step:
    """One node as it was done once.

    Attributes:
        path: The node's id behind those of the loops, maps and branches around it: `each[2]/send`.
        seq: Counts the steps of a run in the order in which they began.
        input: The node's fields with their variables filled in.
        following: The node after it, as it turned out; empty = none.
        undo: The call that takes it back.
        notes: What it needs after a restart: the approval or run that it waits for, the moment it waits until.
    """

    path: str
    node: str
    kind: str
    state: StepState = "running"
    seq: int = 0
    started: str = ""
    finished: str = ""
    milliseconds: int = 0
    attempts: int = 1
    input: Any = None
    output: Any = None
    error: dict[str, str] | None = None
    following: str = ""
    undo: dict[str, Any] | None = None
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


class Journal:
    """The steps of all runs of workflows, in the host's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, run: str, workflow: str, version: int, *, dry: bool) -> None:
        """Note that a run is one of a workflow."""
        values = {"run": run, "workflow": workflow, "version": version, "dry": dry}
        await self._database.write(
            lambda c: c.execute(insert(c, workflow_runs).values(values).on_conflict_do_nothing()) and None
        )

    async def put(self, run: str, step: Step) -> None:
        """Store a step as it is now.

        Raises:
            DBAPIError: As the driver said it: such as a full disk must not end the run, the engine tries again.
        """
        values = {"run": run, **asdict(step)}

        def work(connection: Connection) -> None:
            statement = insert(connection, workflow_steps).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["run", "path"], set_=values))

        try:
            await self._database.write(work)
        except HomeportError as error:
            raise error.__cause__ or error from None

    async def steps(self, run: str) -> list[Step]:
        """Return the steps of a run in their order."""
        query = select(*(column for column in workflow_steps.c if column.name != "run"))
        query = query.where(workflow_steps.c.run == run).order_by(workflow_steps.c.seq, workflow_steps.c.path)
        return await self._database.read(
            lambda connection: [Step(**dict(row)) for row in connection.execute(query).mappings()]
        )

    async def stop(self, run: str) -> None:
        """Note that the steps that were under way were cancelled."""
        under_way = workflow_steps.c.state.in_(("running", "waiting"))
        change = update(workflow_steps).where(workflow_steps.c.run == run, under_way).values(state="cancelled")
        await self._database.write(lambda connection: connection.execute(change))

    async def forget(self, ids: Sequence[str]) -> None:
        """Forget the steps of runs."""
        for table in (workflow_steps, workflow_runs):
            statement = delete(table).where(table.c.run.in_(ids))
            await self._database.write(lambda connection, statement=statement: connection.execute(statement))

    async def of_run(self, run: str) -> tuple[str, int, bool] | None:
        """Return workflow, version and whether it was a dry run; None for a run of something else."""
        query = select(workflow_runs.c.workflow, workflow_runs.c.version, workflow_runs.c.dry)
        row = await self._database.read(lambda c: c.execute(query.where(workflow_runs.c.run == run)).first())
        return (row[0], row[1], row[2]) if row else None

    async def runs_of(self, workflow: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest runs of a workflow: id, version, dry, state, begun by, times, what they used."""
        r = runs.c
        columns = (r.id, r.state, r.origin, r.created, r.started, r.finished, r.usage)
        query = select(*columns, workflow_runs.c.version, workflow_runs.c.dry)
        query = query.join(workflow_runs, workflow_runs.c.run == r.id).where(workflow_runs.c.workflow == workflow)
        query = query.order_by(r.created.desc(), r.id.desc()).limit(limit)
        return await self._database.read(lambda c: [dict(row) for row in c.execute(query).mappings()])

    async def slowest(self, workflow: str, limit: int = 5) -> list[dict[str, Any]]:
        """Return the nodes of a workflow that took the longest on average: node, runs, milliseconds, failed."""
        s = workflow_steps
        mean = func.avg(s.c.milliseconds)
        failed = func.count().filter(s.c.state == "failed")
        query = select(s.c.node, func.count().label("steps"), mean.label("milliseconds"), failed.label("failed"))
        query = query.join(workflow_runs, workflow_runs.c.run == s.c.run).where(workflow_runs.c.workflow == workflow)
        query = query.where(workflow_runs.c.dry.is_(False)).group_by(s.c.node).order_by(mean.desc()).limit(limit)
        return await self._database.read(lambda c: [dict(row) for row in c.execute(query).mappings()])
