"""SQL on one connection: what the methods of the store are made of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from homeport_rag.records import Outcome, Passage, Source
from homeport_rag.results import Collection, Document, Hit
from homeport_rag.search import Filters, full_text_query, searchable, telling
from homeport_shared.errors import HomeportError

BUDGET = 8_000  # passages that one query ranks: about 10 ms
INDEX = {True: "chunks_fts", False: "chunks_fts_plain"}  # by whether the collection is English


def collection(connection: sqlite3.Connection, name: str) -> tuple[int, str]:
    """Return id and language of a collection.

    Raises:
        HomeportError: `not_found`.
    """
    row = connection.execute("SELECT id, language FROM collections WHERE name = ?", (name,)).fetchone()
    if row is None:
        names = ", ".join(n for (n,) in connection.execute("SELECT name FROM collections ORDER BY id LIMIT 20"))
        raise HomeportError("not_found", f"There is no collection {name!r}.", f"There are: {names}.")
    return row


def no_document(identifier: str) -> HomeportError:
    """Return the error for an id that no document has."""
    return HomeportError("not_found", f"There is no document {identifier!r}.", "list_documents names all there are.")


def collections(connection: sqlite3.Connection, model: str) -> list[Collection]:
    """Return all collections with their counts; `embedded` counts the vectors of `model`."""
    rows = connection.execute(
        "SELECT name, language, (SELECT count(*) FROM documents WHERE collection_id = k.id),"
        " (SELECT count(*) FROM chunks WHERE collection_id = k.id),"
        " (SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.collection_id = k.id) FROM collections k ORDER BY id",
        (model,),
    )
    names = ("name", "language", "documents", "chunks", "embedded")
    return [Collection(**dict(zip(names, row, strict=True))) for row in rows]


def documents(
    connection: sqlite3.Connection, where: str, values: Sequence[Any], limit: int, model: str
) -> list[Document]:
    """Return up to `limit` documents `d` that fulfil the SQL condition `where`, by title."""
    rows = connection.execute(
        "SELECT d.id, title, uri, k.name, media_type, size,"  # noqa: S608 - our own words, the values are bound
        " (SELECT count(*) FROM chunks WHERE document_id = d.id),"
        " (SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.document_id = d.id), metadata, warnings, modified FROM documents d"
        f" JOIN collections k ON k.id = d.collection_id WHERE {where} ORDER BY title COLLATE NOCASE, d.id LIMIT ?",
        (model, *values, limit),
    )
    return [
        Document(
            document_id=row[0],
            title=row[1],
            uri=row[2],
            collection=row[3],
            media_type=row[4],
            size=row[5],
            chunks=row[6],
            embedded=row[7],
            metadata=json.loads(row[8]),
            warnings=json.loads(row[9]),
            modified=row[10],
        )
        for row in rows
    ]


def hit(row: tuple[Any, ...]) -> Hit:
    """Return a row of a passage as a hit without score."""
    document, chunk, title, uri, collection, text, page, line, end_line = row
    return Hit(
        document_id=document,
        chunk_id=chunk,
        title=title,
        uri=uri,
        collection=collection,
        text=text,
        score=0,
        parts={},
        page=page or 0,
        line=line,
        end_line=end_line,
    )


def conditions(scope: list[int], filters: Filters) -> tuple[str, list[Any]]:
    """Return the SQL condition on chunks `c` and documents `d` that `scope` and `filters` make, and its values."""
    where, values = ["c.collection_id IN (SELECT value FROM json_each(?))"], list[Any]([json.dumps(scope)])
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
        where.append("EXISTS (SELECT 1 FROM json_each(d.metadata) m WHERE m.key = ? AND m.value = ?)")
        values += [key, value]
    return " AND ".join(where), values


def affordable(connection: sqlite3.Connection, index: str, words: list[str]) -> list[str]:
    """Return those of `words` whose matches can be ranked without delay; all of them while there are few passages."""
    (passages,) = connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()
    if passages <= BUDGET or len(words) == 1:
        return words
    count = f"SELECT count(*) FROM (SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT ?)"  # noqa: S608 - our own names
    found = {word: connection.execute(count, (full_text_query([word]), BUDGET)).fetchone()[0] for word in words}
    return telling({word: frequency for word, frequency in found.items() if frequency} or found, BUDGET)


def match(
    connection: sqlite3.Connection, index: str, query: str, scope: list[int], filters: Filters, limit: int
) -> list[tuple[int, float]]:
    """Return the best matches of `query` in one full-text index: (chunk id, BM25 score, greater = better)."""
    where, values = conditions(scope, filters)
    rows = connection.execute(
        f"SELECT c.id, -{index}.rank FROM {index} JOIN chunks c ON c.id = {index}.rowid"  # noqa: S608 - our own names
        f" JOIN documents d ON d.id = c.document_id WHERE {index} MATCH ? AND {where}"
        f" ORDER BY {index}.rank LIMIT ?",
        (query, *values, limit),
    )
    return rows.fetchall()


def put(
    connection: sqlite3.Connection, source: Source, collection: int, *, english: bool, actor: str, now: str
) -> Outcome:
    """Store a document in place of what is there under its id and URI; say what that changed."""
    metadata = json.dumps(source.metadata, ensure_ascii=False, sort_keys=True)
    old = connection.execute(
        "SELECT id, collection_id, sha256, title, metadata FROM documents WHERE id = ?"
        " UNION SELECT id, collection_id, sha256, title, metadata FROM documents WHERE collection_id = ? AND uri = ?",
        (source.id, collection, source.uri),
    ).fetchall()
    if old == [(source.id, collection, source.sha256, source.title, metadata)]:
        connection.execute("UPDATE documents SET mtime_ns = ? WHERE id = ?", (source.mtime_ns, source.id))
        return "unchanged"
    for identifier, *_ in old:
        delete(connection, identifier)
    values = {
        "collection": collection,
        "metadata": metadata,
        "warnings": json.dumps(source.warnings, ensure_ascii=False),
        "actor": actor,
        "now": now,
        **{name: getattr(source, name) for name in ("id", "uri", "title", "media_type", "size", "sha256")},
        **{name: getattr(source, name) for name in ("mtime_ns", "modified", "text")},
    }
    connection.execute(
        "INSERT INTO documents VALUES (:id, :collection, :uri, :title, :media_type, :size, :sha256, :mtime_ns,"
        " :modified, :metadata, :warnings, :actor, :now)",
        values,
    )
    connection.execute("INSERT INTO texts VALUES (:id, :text)", values)
    for ordinal, passage in enumerate(source.passages):
        _insert(connection, source.id, collection, ordinal, passage, INDEX[english])
    outcome: Outcome = "changed" if old else "new"
    if source.job:
        note(connection, source.job, source.uri, outcome, chunks=len(source.passages))
    return outcome


def _insert(
    connection: sqlite3.Connection, document: str, collection: int, ordinal: int, passage: Passage, index: str
) -> None:
    chunk = connection.execute(
        "INSERT INTO chunks (document_id, collection_id, ordinal, header, text, page, line, end_line)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (document, collection, ordinal, passage.header, passage.text, passage.page, passage.line, passage.end_line),
    ).lastrowid
    connection.execute(
        f"INSERT INTO {index} (rowid, header, text) VALUES (?, ?, ?)",  # noqa: S608 - our own names
        (chunk, searchable(passage.header), searchable(passage.text)),
    )


def note(
    connection: sqlite3.Connection, job: str, uri: str, outcome: Outcome, *, chunks: int = 0, message: str = ""
) -> None:
    """Note what became of the file at `uri` in `job`."""
    connection.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)", (job, uri, outcome, chunks, message))


def delete(connection: sqlite3.Connection, identifier: str) -> int:
    """Delete one document with its text, passages, index entries and vectors; return the number of passages."""
    (language,) = connection.execute(
        "SELECT language FROM documents d JOIN collections k ON k.id = d.collection_id WHERE d.id = ?", (identifier,)
    ).fetchone()
    index = INDEX[language == "en"]
    rows = connection.execute("SELECT id, header, text FROM chunks WHERE document_id = ?", (identifier,)).fetchall()
    connection.executemany(
        f"INSERT INTO {index} ({index}, rowid, header, text) VALUES ('delete', ?, ?, ?)",  # noqa: S608 - our own names
        [(row, searchable(header), searchable(text)) for row, header, text in rows],
    )
    connection.execute(
        "INSERT INTO changes (operation, chunk_id, collection_id, model_id) SELECT 'remove', c.id, c.collection_id,"
        " v.model_id FROM chunks c JOIN vectors v ON v.chunk_id = c.id WHERE c.document_id = ?",
        (identifier,),
    )
    connection.execute(
        "DELETE FROM vectors WHERE chunk_id IN (SELECT id FROM chunks WHERE document_id = ?)", (identifier,)
    )
    connection.execute("DELETE FROM chunks WHERE document_id = ?", (identifier,))
    connection.execute("DELETE FROM documents WHERE id = ?", (identifier,))
    return len(rows)
