"""Which runs have read private data and untrusted content: what they send out then needs a person."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Connection, String, Table, select

from homeport_host.database import Database, metadata
from homeport_host.dialects import insert
from homeport_host.governance.calls import Caller, Label

taints = Table(
    "taints",
    metadata,
    Column("subject", String, primary_key=True),
    Column("private", Boolean, nullable=False),
    Column("untrusted", Boolean, nullable=False),
)


def subject_of(caller: Caller) -> str:
    """Return what taint sticks to: the run, or the client where there is no run.

    Empty for a person outside a run: what somebody clicks one after the other is not one piece of work.
    """
    if caller.kind == "person" and not caller.identity.run:
        return ""
    return caller.identity.run or f"{caller.kind}:{caller.name}"


def of_server(name: str) -> str:
    """Return what sticks to all that the server of that key tells by itself."""
    return f"server:{name}"


class Taints:
    """Sticky marks, kept over a restart so that a resumed run is no cleaner than before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[bool, bool]] = {}

    async def is_tainted(self, subject: str) -> bool:
        """Say whether `subject` has read both private data and untrusted content."""
        return bool(subject) and all(await self._marks(subject))

    async def is_untrusted(self, subject: str) -> bool:
        """Say whether `subject` has read untrusted content."""
        return bool(subject) and (await self._marks(subject))[1]

    async def mark(self, subject: str, labels: frozenset[Label]) -> None:
        """Add what a successful call or read with `labels` brought into `subject`."""
        if not subject:
            return
        private, untrusted = await self._marks(subject)
        after = (private or "reads-private" in labels, untrusted or "untrusted-content" in labels)
        if after == (private, untrusted):
            return
        self._known[subject] = after
        await self._database.write(lambda connection: _store(connection, subject, after))

    async def inherit(self, child: str, parent: str) -> None:
        """Give a delegated run the marks of the run that started it."""
        private, untrusted = await self._marks(parent)
        labels: set[Label] = set()
        if private:
            labels.add("reads-private")
        if untrusted:
            labels.add("untrusted-content")
        await self.mark(child, frozenset(labels))

    async def _marks(self, subject: str) -> tuple[bool, bool]:
        if subject not in self._known:
            query = select(taints.c.private, taints.c.untrusted).where(taints.c.subject == subject)
            row = await self._database.read(lambda connection: connection.execute(query).first())
            self._known[subject] = (row[0], row[1]) if row else (False, False)
        return self._known[subject]


def _store(connection: Connection, subject: str, marks: tuple[bool, bool]) -> None:
    values = {"subject": subject, "private": marks[0], "untrusted": marks[1]}
    statement = insert(connection, taints).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=values))
