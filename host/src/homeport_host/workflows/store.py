"""Workflows as they are kept: one row each, and every version that was saved."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import JSON, Boolean, Column, Connection, Integer, String, Table, delete, func, select, update

from homeport_host.database import Database, metadata
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError

Status = Literal["draft", "active"]
workflows = Table(
    "workflows",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner", String, nullable=False),
    Column("created", String, nullable=False),
    Column("updated", String, nullable=False),
)
workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("graph", JSON, nullable=False),
    Column("saved", String, nullable=False),
    Column("author", String, nullable=False),
    Column("note", String, nullable=False),
    Column("agreed", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow without its graph.

    Attributes:
        status: A `draft` is started by hand only.
        version: The current one.
        owner: The program or agent that made it; empty for a person's own.
    """

    id: str
    name: str
    status: Status
    version: int
    created: str
    updated: str
    description: str = ""
    tags: list[str] = field(default_factory=list[str])
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One saved version.

    Attributes:
        agreed: A person saved it: what its calls say word for word may be done unasked.
    """

    workflow: str
    version: int
    graph: dict[str, Any]
    saved: str
    author: str
    note: str
    agreed: bool


class WorkflowStore:
    """Workflows and their versions in the host's database."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def save(
        self, workflow: str, graph: dict[str, Any], *, author: str, owner: str, note: str, agreed: bool, expected: int
    ) -> Workflow:
        """Store a version of a workflow, or with an empty id a new workflow as a draft.

        Args:
            workflow: Its id.
            graph: As `Graph.as_json` gives it.
            author: Who saved it.
            owner: Whose a new one is.
            note: What is new, for people.
            agreed: A person saved it.
            expected: The version that the change was made on; 0 = whatever is there.

        Raises:
            HomeportError: `not_found`; `conflict`, when the name is taken or somebody saved another version meanwhile.
        """
        now = iso(self._clock.now())
        shown = {"name": graph["name"], "description": graph.get("description", ""), "tags": graph.get("tags", [])}

        def work(connection: Connection) -> Workflow:
            _refuse_taken(connection, workflow, graph["name"])
            if workflow:
                before = _get(connection, workflow)
                if expected and before.version != expected:
                    raise HomeportError(
                        "conflict",
                        f"{before.name} has version {before.version} by now, not {expected}.",
                        "Read it again, then make the change.",
                    )
                id, number = before.id, _highest(connection, before.id) + 1
                change = update(workflows).where(workflows.c.id == id)
                connection.execute(change.values(**shown, version=number, updated=now))
            else:
                id, number = secrets.token_hex(8), 1
                first = {"id": id, "status": "draft", "version": 1, "owner": owner, "created": now, "updated": now}
                connection.execute(workflows.insert().values(**shown, **first))
            row = {"workflow": id, "version": number, "graph": graph, "saved": now, "author": author, "note": note}
            connection.execute(workflow_versions.insert().values(**row, agreed=agreed))
            return _get(connection, id)

        return await self._database.write(work)

    async def get(self, key: str) -> Workflow:
        """Return a workflow by id or name.

        Raises:
            HomeportError: `not_found`.
        """
        return await self._database.read(lambda connection: _get(connection, key))

    async def list(self, query: str = "") -> list[Workflow]:
        """Return the workflows by name; `query` looks into names, descriptions, tags and makers."""

        def work(connection: Connection) -> list[Workflow]:
            rows = connection.execute(select(workflows).order_by(func.lower(workflows.c.name)).limit(1_000)).mappings()
            found = [Workflow(**dict(row)) for row in rows]
            words = query.lower().split()
            texts = {one.id: f"{one.name} {one.description} {' '.join(one.tags)} {one.owner}".lower() for one in found}
            return [one for one in found if all(word in texts[one.id] for word in words)]

        return await self._database.read(work)

    async def version(self, workflow: str, number: int) -> Version:
        """Return one version.

        Raises:
            HomeportError: `not_found`.
        """
        v = workflow_versions
        query = select(v).where(v.c.workflow == workflow, v.c.version == number)
        row = await self._database.read(lambda connection: connection.execute(query).mappings().first())
        if row is None:
            raise HomeportError("not_found", f"There is no version {number}.", "List the versions.")
        return Version(**dict(row))

    async def versions(self, workflow: str) -> list[Version]:
        """Return all versions, the newest first."""
        v = workflow_versions
        query = select(v).where(v.c.workflow == workflow).order_by(v.c.version.desc())
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [Version(**dict(row)) for row in rows]

    async def set_status(self, workflow: str, status: Status) -> None:
        """Make a workflow a draft or active."""
        change = update(workflows).where(workflows.c.id == workflow).values(status=status)
        await self._database.write(lambda connection: connection.execute(change))

    async def remove(self, workflow: str) -> None:
        """Delete a workflow with all its versions; its runs stay."""

        def work(connection: Connection) -> None:
            connection.execute(delete(workflow_versions).where(workflow_versions.c.workflow == workflow))
            connection.execute(delete(workflows).where(workflows.c.id == workflow))

        await self._database.write(work)


def _get(connection: Connection, key: str) -> Workflow:
    query = select(workflows).where((workflows.c.id == key) | (workflows.c.name == key))
    row = connection.execute(query.order_by(workflows.c.id == key)).mappings().first()
    if row is None:
        raise HomeportError("not_found", f"There is no workflow {key[:120]!r}.", "List the workflows.")
    return Workflow(**dict(row))


def _refuse_taken(connection: Connection, workflow: str, name: str) -> None:
    query = select(workflows.c.id).where(workflows.c.name == name)
    taken = connection.scalar(query)
    if taken is not None and taken != workflow:
        raise HomeportError("conflict", f"There is a workflow {name!r} already.", "Choose another name.")


def _highest(connection: Connection, workflow: str) -> int:
    query = select(func.max(workflow_versions.c.version)).where(workflow_versions.c.workflow == workflow)
    return connection.scalar(query) or 0
