"""SQL that checks the database, finds what can go, and makes the file small again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from homeport_rag.records import Space
from homeport_rag.results import Finding
from homeport_rag.store.matching import INDEX

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


def problems(connection: sqlite3.Connection) -> list[str]:
    """Return a sentence for each thing that does not agree."""
    found: list[str] = []
    for (row,) in connection.execute("PRAGMA quick_check(5)"):
        if row != "ok":
            found.append(f"SQLite says: {row}.")
    for what, query in _CHECKS.items():
        (count,) = connection.execute(query).fetchone()
        if count:
            found.append(f"There are {count} {what}.")
    for name in (*INDEX.values(), "names_fts"):
        try:
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('integrity-check')")  # noqa: S608 - our own names
        except sqlite3.DatabaseError:
            found.append(f"The full-text index {name} is damaged: rebuild the index.")
    return found


def wrong_dimension(connection: sqlite3.Connection, space: Space, size: int) -> int:
    """Return how many vectors of the answering model have not `size` bytes."""
    return connection.execute(
        "SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.collection_id = ? AND length(v.vector) != ?",
        (space.answering, space.id, size),
    ).fetchone()[0]


def removable(connection: sqlite3.Connection, today: str) -> list[Finding]:
    """Return the documents that are duplicates of an older one in their collection, or have expired.

    A document expires on the date in its metadata under `expires`.
    """
    duplicates = connection.execute(
        "SELECT d.id, d.title, d.uri, 'the same content as ' || o.title FROM documents d JOIN documents o"
        " ON o.sha256 = d.sha256 AND o.collection_id = d.collection_id AND (o.added, o.id) < (d.added, d.id)"
        " JOIN collections k ON k.id = d.collection_id WHERE d.sha256 != '' AND k.name NOT LIKE '.%' GROUP BY d.id"
    ).fetchall()
    expired = connection.execute(
        "SELECT id, title, uri, 'expired on ' || json_extract(metadata, '$.expires') FROM documents"
        " WHERE json_extract(metadata, '$.expires') < ?",
        (today,),
    ).fetchall()
    return [_finding(row) for row in [*duplicates, *expired]]


def with_files(connection: sqlite3.Connection) -> list[Finding]:
    """Return the documents that come from a file on this machine."""
    rows = connection.execute("SELECT id, title, uri, 'its file is gone' FROM documents WHERE uri LIKE 'file:%'")
    return [_finding(row) for row in rows]


def _finding(row: tuple[str, str, str, str]) -> Finding:
    document, title, source, reason = row
    return Finding(document_id=document, title=title, source=source, reason=reason)


def to_rebuild(connection: sqlite3.Connection, chosen: Sequence[str], names: Sequence[str], since: str) -> list[str]:
    """Return the ids of the chosen documents, and of all in the collections `names`, not updated since `since`."""
    rows = connection.execute(
        "SELECT d.id FROM documents d JOIN collections k ON k.id = d.collection_id WHERE k.name NOT LIKE '.%'"
        " AND (d.id IN (SELECT value FROM json_each(?)) OR k.name IN (SELECT value FROM json_each(?)))"
        " AND d.updated < ? ORDER BY d.id",
        (json.dumps(list(chosen)), json.dumps(list(names)), since),
    )
    return [identifier for (identifier,) in rows]


def vacuum(connection: sqlite3.Connection) -> None:
    """Merge the full-text indexes, empty the change log, and write the file anew without free pages."""
    for name in (*INDEX.values(), "names_fts"):
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608 - our own names
    connection.execute("DELETE FROM changes")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
