"""SQL on vectors: which passages have none yet, and the log that the index in memory follows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from homeport_rag.records import Space, Unembedded
from homeport_rag.store import collections
from homeport_rag.store.dialect import Connection


def want(connection: Connection, space: Space, model: str) -> None:
    """Note that the passages of a collection are to have vectors of `model`."""
    connection.execute("UPDATE collections SET wanted = ? WHERE id = ?", (model, space.id))


def missing(connection: Connection, spaces: Sequence[Space], model: str) -> int:
    """Return how many passages of `spaces` have no vector of `model`, but for documents that are to wait."""
    held = (
        "SELECT count(*) FROM documents d JOIN chunks c ON c.document_id = d.id LEFT JOIN vectors v"
        " ON v.chunk_id = c.id AND v.model_id = ? WHERE d.held = 1 AND d.collection_id = ? AND v.chunk_id IS NULL"
    )
    return sum(
        collections.count(connection, space.id)
        - collections.count(connection, space.id, model)
        - connection.execute(held, (model, space.id)).fetchone()[0]
        for space in spaces
    )


def unembedded(connection: Connection, spaces: Sequence[Space], model: str, after: int, limit: int) -> list[Unembedded]:
    """Return up to `limit` passages of `spaces` with ids greater than `after` that have no vector of `model`, by id."""
    rows = connection.execute(
        "SELECT c.id, trim(c.header || '\n' || c.text, '\n') FROM chunks c LEFT JOIN vectors v"
        " ON v.chunk_id = c.id AND v.model_id = ? WHERE v.chunk_id IS NULL AND c.id > ?"
        " AND +c.collection_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
        " AND c.document_id NOT IN (SELECT id FROM documents WHERE held = 1) ORDER BY c.id LIMIT ?",
        (model, after, json.dumps([space.id for space in spaces]), limit),
    )
    return [Unembedded(*row) for row in rows]


def searched(connection: Connection, document: str) -> list[Unembedded]:
    """Return all passages of a document with the text that is embedded of them, in their order."""
    rows = connection.execute(
        "SELECT id, trim(header || '\n' || text, '\n') FROM chunks WHERE document_id = ? ORDER BY id",
        (document,),
    )
    return [Unembedded(*row) for row in rows]


def put(connection: Connection, model: str, vectors: Iterable[tuple[int, bytes]]) -> None:
    """Store vectors (chunk id, float16 little endian) of `model`; those of chunks that are gone are dropped."""
    given = dict(vectors)
    rows = connection.execute(
        "SELECT c.id, c.collection_id FROM json_each(?) j JOIN chunks c ON c.id = CAST(j.value AS BIGINT)"
        " LEFT JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ? WHERE v.chunk_id IS NULL",
        (json.dumps(list(given)), model),
    ).fetchall()
    connection.executemany(
        "INSERT INTO vectors (chunk_id, model_id, vector) VALUES (?, ?, ?)",
        [(chunk, model, given[chunk]) for chunk, _ in rows],
    )
    connection.executemany(
        "INSERT INTO changes (operation, chunk_id, collection_id, model_id) VALUES ('add', ?, ?, ?)",
        [(chunk, collection, model) for chunk, collection in rows],
    )


def of_document(connection: Connection, document: str, model: str, limit: int) -> list[tuple[int, bytes]]:
    """Return (chunk id, vector) of a document's first passages, in their order."""
    return connection.execute(
        "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.document_id = ? ORDER BY c.id LIMIT ?",
        (model, document, limit),
    ).fetchall()
