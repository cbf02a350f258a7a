"""SQL on memories: what is known about the documents of the hidden collection that holds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from homeport_rag.results.memories import MemoryEntry
from homeport_rag.store import documents
from homeport_rag.store.dialect import ALL, Connection

_SELECT = (
    "SELECT m.document_id, t.text, m.kind, m.subject, m.tags, m.source, m.at, m.importance, m.agent"
    " FROM memories m JOIN texts t ON t.document_id = m.document_id"
)
_COLUMNS = (
    *("document_id", "tenant", "actor", "agent", "kind", "subject", "tags", "source", "at", "importance", "recalled"),
)
_NAMES = ("memory_id", "text", "kind", "subject", "tags", "source", "at", "importance", "agent")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose memories are meant. An agent sees its own and those that belong to no agent; a person all of theirs."""

    tenant: str
    actor: str
    agent: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which memories are meant; empty = all.

    Attributes:
        since: RFC 3339 time or date.
    """

    kind: str = ""
    subject: str = ""
    tags: Sequence[str] = ()
    since: str = ""


def put(connection: Connection, owner: Owner, entry: MemoryEntry) -> None:
    """Store what is known about a memory, whose text is stored already."""
    connection.execute(
        f"INSERT INTO memories ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')"  # noqa: S608 - our own names
        f" ON CONFLICT (document_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}",
        (
            *(entry.memory_id, owner.tenant, owner.actor, entry.agent, entry.kind, entry.subject),
            *(json.dumps(entry.tags, ensure_ascii=False), entry.source, entry.at, entry.importance),
        ),
    )


def chosen(connection: Connection, owner: Owner, choice: Choice, limit: int = ALL) -> list[MemoryEntry]:
    """Return the memories of `owner` that fit `choice`, newest first."""
    where, values = ["m.tenant = ?", "m.actor = ?"], list[str | int]([owner.tenant, owner.actor])
    if owner.agent:
        where.append("m.agent IN ('', ?)")
        values.append(owner.agent)
    for condition, value in (
        ("m.kind = ?", choice.kind),
        ("m.subject = ?", choice.subject),
        ("m.at >= ?", choice.since),
    ):
        if value:
            where.append(condition)
            values.append(value)
    for tag in choice.tags:
        where.append("EXISTS (SELECT 1 FROM json_each(m.tags) t WHERE t.value = ?)")
        values.append(tag)
    rows = connection.execute(
        f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY m.at DESC, m.document_id LIMIT ?",
        (*values, limit),
    )
    return [_entry(row) for row in rows]


def one(connection: Connection, owner: Owner, identifier: str) -> MemoryEntry | None:
    """Return a memory of `owner`; None when there is none of that id."""
    return next((entry for entry in chosen(connection, owner, Choice()) if entry.memory_id == identifier), None)


def forget(connection: Connection, identifiers: Sequence[str]) -> None:
    """Delete memories with their text, passages and vectors."""
    for identifier in identifiers:
        documents.delete(connection, identifier)


def _entry(row: tuple[object, ...]) -> MemoryEntry:
    fields = dict(zip(_NAMES, row, strict=True))
    fields["tags"] = json.loads(str(fields["tags"]))
    return MemoryEntry.model_validate(fields)
