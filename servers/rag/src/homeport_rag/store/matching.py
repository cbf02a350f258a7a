"""SQL on passages: which match words and filters, and what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from homeport_rag.results.documents import Chunk
from homeport_rag.results.searches import Hit
from homeport_rag.search import Filters
from homeport_rag.store import full_text
from homeport_rag.store.dialect import Connection, has_value

MOST_NAMES = 1_000  # that are looked at


def conditions(connection: Connection, scope: list[int], filters: Filters) -> tuple[str, list[Any]]:
    """Return the SQL condition on chunks `c` and documents `d` that `scope` and `filters` make, and its values."""
    where = ["d.archived = 0", "c.collection_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"]
    values = list[Any]([json.dumps(scope)])
    if filters.types:
        where.append(
            "EXISTS (SELECT 1 FROM json_each(?) t WHERE d.media_type = t.value"
            " OR lower(d.uri) LIKE '%.' || ltrim(lower(t.value), '.'))"
        )
        values.append(json.dumps(list(filters.types)))
    for bound, sign in ((filters.after, ">="), (filters.before, "<=")):
        if bound:
            where.append(f"substr(d.modified, 1, {len(bound)}) {sign} ?")
            values.append(bound)
    for key, value in filters.metadata.items():
        condition, given = has_value(connection, key, value)
        where.append(condition)
        values += given
    if filters.documents:
        where.append("d.id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(filters.documents)))
    return " AND ".join(where), values


def match(
    connection: Connection, index: str, query: str, scope: list[int], filters: Filters, limit: int
) -> list[tuple[int, float]]:
    """Return the best matches of `query` in one full-text index: (chunk id, BM25 score, greater = better)."""
    where, values = conditions(connection, scope, filters)
    rows = connection.execute(
        f"SELECT c.id, -{index}.rank FROM {index} JOIN chunks c ON c.id = {index}.rowid"  # noqa: S608 - our own names
        f" JOIN documents d ON d.id = c.document_id WHERE {index} MATCH ? AND {where}"
        f" ORDER BY {index}.rank LIMIT ?",
        (query, *values, limit),
    )
    return rows.fetchall()


def match_names(
    connection: Connection, threes: Sequence[str], scope: list[int], filters: Filters, limit: int
) -> list[tuple[int, float]]:
    """Return the first passages of the documents whose title or file name shares most letters with a text.

    Args:
        connection: The database.
        threes: The groups of three letters in the text.
        scope: Ids of the collections.
        filters: What the documents must be like.
        limit: Most passages.
    """
    where, values = conditions(connection, scope, filters)
    found = dict(full_text.names(connection, threes, MOST_NAMES))
    rows = connection.execute(
        "SELECT n.id, min(c.id) FROM json_each(?) j JOIN names n ON n.id = CAST(j.value AS BIGINT)"  # noqa: S608 - our own words
        " JOIN documents d ON d.id = n.document_id JOIN chunks c ON c.document_id = d.id"
        f" WHERE {where} GROUP BY n.id",
        (json.dumps(list(found)), *values),
    )
    return sorted(((chunk, found[name]) for name, chunk in rows), key=lambda hit: (-hit[1], hit[0]))[:limit]


def titles(connection: Connection, threes: Sequence[str], limit: int) -> list[str]:
    """Return the titles of documents whose title or file name shares most letters with a text."""
    found = [name for name, _ in full_text.names(connection, threes, MOST_NAMES)]
    rows = connection.execute(
        "SELECT d.title FROM json_each(?) j JOIN names n ON n.id = CAST(j.value AS BIGINT)"
        " JOIN documents d ON d.id = n.document_id JOIN collections k ON k.id = d.collection_id"
        " WHERE k.name NOT LIKE '.%' ORDER BY CAST(j.key AS BIGINT) LIMIT ?",
        (json.dumps(found), limit),
    )
    return list(dict.fromkeys(title for (title,) in rows))


def passing(connection: Connection, chunks: Sequence[int], scope: list[int], filters: Filters) -> list[int]:
    """Return those of `chunks` that exist, are in `scope` and pass `filters`, in the given order."""
    where, values = conditions(connection, scope, filters)
    rows = connection.execute(
        "SELECT c.id FROM json_each(?) j JOIN chunks c ON c.id = CAST(j.value AS BIGINT) JOIN documents d"  # noqa: S608 - our own words
        f" ON d.id = c.document_id WHERE {where} ORDER BY CAST(j.key AS BIGINT)",
        [json.dumps(list(chunks)), *values],
    )
    return [identifier for (identifier,) in rows]


def all_passing(connection: Connection, scope: list[int], filters: Filters) -> list[int]:
    """Return all passages that are in `scope` and pass `filters`, by id."""
    where, values = conditions(connection, scope, filters)
    rows = connection.execute(
        f"SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE {where} ORDER BY c.id",  # noqa: S608 - our own words
        values,
    )
    return [identifier for (identifier,) in rows]


def hits(connection: Connection, chunks: Sequence[int], scope: list[int], filters: Filters, limit: int) -> list[Hit]:
    """Return the first `limit` of `chunks` that exist and pass, in the given order, without scores.

    Most pass, so only as many as are wanted are read first, then twice as many each time.
    """
    where, values = conditions(connection, scope, filters)
    statement = (
        "SELECT c.document_id, c.id, d.title, d.uri, k.name, c.text, c.page, c.line, c.end_line FROM json_each(?) j"  # noqa: S608 - our own words
        " JOIN chunks c ON c.id = CAST(j.value AS BIGINT) JOIN documents d ON d.id = c.document_id"
        f" JOIN collections k ON k.id = c.collection_id WHERE {where} ORDER BY CAST(j.key AS BIGINT)"
    )
    found: list[Hit] = []
    start, size = 0, limit
    while len(found) < limit and start < len(chunks):
        rows = connection.execute(statement, [json.dumps(list(chunks[start : start + size])), *values])
        found += [hit(row) for row in rows]
        start, size = start + size, 2 * size
    return found[:limit]


def passages(connection: Connection, document: str, after: int, limit: int) -> list[Hit]:
    """Return up to `limit` passages of a document with ids greater than `after`, in their order."""
    rows = connection.execute(
        "SELECT c.document_id, c.id, d.title, d.uri, k.name, c.text, c.page, c.line, c.end_line FROM chunks c"
        " JOIN documents d ON d.id = c.document_id JOIN collections k ON k.id = c.collection_id"
        " WHERE c.document_id = ? AND c.id > ? ORDER BY c.id LIMIT ?",
        (document, after, limit),
    )
    return [hit(row) for row in rows]


def chunks(connection: Connection, document: str, text: str, after: int, limit: int) -> list[Chunk]:
    """Return up to `limit` chunks of a document with ids greater than `after` that hold `text`, in their order."""
    rows = connection.execute(
        "SELECT c.id, c.text, c.header, c.page, c.line, c.end_line, coalesce(v.model_id, ''), d.metadata, d.updated"
        " FROM chunks c JOIN documents d ON d.id = c.document_id JOIN collections k ON k.id = c.collection_id"
        " LEFT JOIN vectors v ON v.chunk_id = c.id AND v.model_id = k.wanted WHERE c.document_id = ? AND c.id > ?"
        " AND (? = '' OR instr(lower(c.header || '\n' || c.text), lower(?)) > 0) ORDER BY c.id LIMIT ?",
        (document, after, text, text, limit),
    )
    names = ("vector_id", "text", "header", "page", "line", "end_line", "model", "metadata", "updated")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [
        Chunk.model_validate(row | {"page": row["page"] or 0, "metadata": json.loads(row["metadata"])}) for row in found
    ]


def hit(row: tuple[Any, ...]) -> Hit:
    """Return a row of a passage as a hit without score."""
    document, chunk, title, source, collection, text, page, line, end_line = row
    return Hit(
        document_id=document,
        chunk_id=chunk,
        title=title,
        uri=f"rag://documents/{document}?line={line}",
        source=source,
        collection=collection,
        text=text,
        score=0,
        parts={},
        page=page or 0,
        line=line,
        end_line=end_line,
    )
