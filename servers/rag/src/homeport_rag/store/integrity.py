"""SQL that checks the database, finds what can go, and makes the file small again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from homeport_rag.records import Space
from homeport_rag.results.upkeep import Finding
from homeport_rag.store import documents, full_text
from homeport_rag.store.dialect import Connection, bytes_of, is_sqlite
from homeport_rag.store.full_text import INDEX, TOKENIZER

REMAINS = "remains:"  # before the id of what belongs to no document

_CHECKS = {
    "passages without a document": "SELECT count(*) FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)",
    "documents without a text": "SELECT count(*) FROM documents WHERE id NOT IN (SELECT document_id FROM texts)",
    "vectors without a passage": "SELECT count(*) FROM vectors WHERE chunk_id NOT IN (SELECT id FROM chunks)",
    "passages in another collection than their document": "SELECT count(*) FROM chunks c JOIN documents d"
    " ON d.id = c.document_id WHERE c.collection_id != d.collection_id",
    "documents with another number of passages than they had": "SELECT count(*) FROM documents d WHERE passages !="
    " (SELECT count(*) FROM chunks WHERE document_id = d.id)",
    "collections whose passages are counted wrongly": "SELECT count(*) FROM counts n WHERE model_id = '*' AND count !="
    " (SELECT count(*) FROM chunks WHERE collection_id = n.collection_id)",
    "collections whose vectors are counted wrongly": "SELECT count(*) FROM counts n WHERE model_id != '*' AND count !="
    " (SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = n.model_id"
    " WHERE c.collection_id = n.collection_id)",
}


def problems(connection: Connection) -> list[str]:
    """Return a sentence for each thing that does not agree."""
    found: list[str] = []
    if is_sqlite(connection):
        rows = connection.execute("PRAGMA quick_check(5)")
        found += [f"SQLite says: {row}." for (row,) in rows if row != "ok"]
    for what, query in _CHECKS.items():
        (count,) = connection.execute(query).fetchone()
        if count:
            found.append(f"There are {count} {what}.")
    damaged = full_text.damaged(connection)
    return found + [f"The full-text index {name} is damaged: rebuild the index." for name in damaged]


def wrong_dimension(connection: Connection, space: Space, size: int) -> int:
    """Return how many vectors of the answering model have not `size` bytes."""
    return connection.execute(
        "SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.collection_id = ? AND length(v.vector) != ?",
        (space.answering, space.id, size),
    ).fetchone()[0]


def removable(connection: Connection, today: str) -> list[Finding]:
    """Return the documents that are duplicates of an older one in their collection, or have expired.

    A document expires on the date in its metadata under `expires`.
    """
    duplicates = connection.execute(
        "SELECT d.id, d.title, d.uri, 'the same content as ' || min(o.title) FROM documents d JOIN documents o"
        " ON o.sha256 = d.sha256 AND o.collection_id = d.collection_id AND (o.added, o.id) < (d.added, d.id)"
        " JOIN collections k ON k.id = d.collection_id WHERE d.sha256 != '' AND k.name NOT LIKE '.%' GROUP BY d.id"
    ).fetchall()
    expired = connection.execute(
        "SELECT id, title, uri, 'expired on ' || json_extract(metadata, '$.expires') FROM documents"
        " WHERE json_extract(metadata, '$.expires') < ?",
        (today,),
    ).fetchall()
    return [_finding(row) for row in [*duplicates, *expired]]


_ORPHANS = "FROM vectors WHERE chunk_id NOT IN (SELECT id FROM chunks)"
_UNUSED = "FROM vectors WHERE model_id NOT IN (SELECT wanted FROM collections UNION SELECT answering FROM collections)"
_LOST = "FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)"


def remains(connection: Connection) -> list[Finding]:
    """Return what belongs to no document or no model any more, as one finding for each kind."""
    found: list[Finding] = []
    for kind, what, query in (
        ("vectors", "vectors of chunks that are gone", _ORPHANS),
        ("models", "vectors of models that no collection uses", _UNUSED),
        ("chunks", "chunks of documents that are gone", _LOST),
    ):
        (count,) = connection.execute(f"SELECT count(*) {query}").fetchone()
        if count:
            reason = "orphaned" if kind != "models" else "obsolete"
            found.append(_finding((f"{REMAINS}{kind}", f"{count:,} {what}", "", reason)))
    return found


def remove(connection: Connection, chosen: Sequence[str]) -> dict[str, int]:
    """Remove findings; return how many documents, chunks and vectors are gone, and bytes of texts and vectors."""
    before = _contents(connection)
    removed, _, _ = documents.delete_all(connection, [each for each in chosen if not each.startswith(REMAINS)])
    if f"{REMAINS}chunks" in chosen:
        for (identifier,) in connection.execute(f"SELECT DISTINCT document_id {_LOST}").fetchall():
            for name in INDEX.values():  # nobody knows any more in which of them it is
                full_text.remove(connection, identifier, name, known=True)
        connection.execute(f"DELETE {_LOST}")
    if f"{REMAINS}models" in chosen:
        connection.execute(f"DELETE {_UNUSED}")
    if f"{REMAINS}vectors" in chosen:
        connection.execute(f"DELETE {_ORPHANS}")
    after = _contents(connection)
    chunks, vectors, size = (one - other for one, other in zip(before, after, strict=True))
    return {"removed": removed, "chunks": chunks, "vectors": vectors, "bytes": size}


def _contents(connection: Connection) -> tuple[int, int, int]:
    """Return the number of chunks and of vectors, and the bytes of texts and vectors."""
    chunks, text = connection.execute(
        f"SELECT count(*), coalesce(sum({bytes_of(connection, 'text')}), 0) FROM chunks"  # noqa: S608 - our own words
    ).fetchone()
    vectors, size = connection.execute("SELECT count(*), coalesce(sum(length(vector)), 0) FROM vectors").fetchone()
    (whole,) = connection.execute(
        f"SELECT coalesce(sum({bytes_of(connection, 'text')}), 0) FROM texts"  # noqa: S608 - our own words
    ).fetchone()
    return chunks, vectors, text + size + whole


def with_files(connection: Connection) -> list[Finding]:
    """Return the documents that come from a file on this machine."""
    rows = connection.execute("SELECT id, title, uri, 'its file is gone' FROM documents WHERE uri LIKE 'file:%'")
    return [_finding(row) for row in rows]


def _finding(row: tuple[str, str, str, str]) -> Finding:
    document, title, source, reason = row
    return Finding(document_id=document, title=title, source=source, reason=reason)


def to_rebuild(connection: Connection, chosen: Sequence[str], names: Sequence[str], since: str) -> list[str]:
    """Return the ids of the chosen documents, and of all in the collections `names`, not updated since `since`."""
    rows = connection.execute(
        "SELECT d.id FROM documents d JOIN collections k ON k.id = d.collection_id WHERE k.name NOT LIKE '.%'"
        " AND (d.id IN (SELECT value FROM json_each(?)) OR k.name IN (SELECT value FROM json_each(?)))"
        " AND d.updated < ? ORDER BY d.id",
        (json.dumps(list(chosen)), json.dumps(list(names)), since),
    )
    return [identifier for (identifier,) in rows]


def vacuum(connection: Connection) -> None:
    """Merge the full-text indexes, empty the change log, and write the file anew without free pages."""
    if not is_sqlite(connection):
        from homeport_rag.store.postgres.schema import tables

        connection.execute(f"VACUUM (ANALYZE) {', '.join(tables())}")
        return
    for name in TOKENIZER:
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608 - our own names
    connection.execute("DELETE FROM changes")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
