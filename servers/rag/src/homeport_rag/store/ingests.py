"""SQL on what became of files, job by job, and on what is known of them."""

from __future__ import annotations

from homeport_rag.records import Known
from homeport_rag.store import documents
from homeport_rag.store.dialect import Connection


def known(connection: Connection, collection: int, uri: str) -> dict[str, Known]:
    """Return URI → what is stored of the documents of a collection at `uri` and below it."""
    rows = connection.execute(
        "SELECT uri, id, size, mtime_ns, sha256, tries, failed_ns FROM documents WHERE collection_id = ?"
        " AND (uri = ? OR substr(uri, 1, ?) = ?)",
        (collection, uri, len(uri) + 1, f"{uri.rstrip('/')}/"),
    )
    return {found: Known(*rest) for found, *rest in rows}


def same_bytes(connection: Connection, collection: int, sha256: str) -> list[tuple[str, str]]:
    """Return id and title of the documents of a collection that have the same bytes."""
    return connection.execute(
        "SELECT id, title FROM documents WHERE sha256 = ? AND collection_id = ?", (sha256, collection)
    ).fetchall()


def remove(connection: Connection, job: str, gone: dict[str, str]) -> None:
    """Delete the documents `gone` (URI → id) and note them as removed by `job`."""
    for uri, identifier in gone.items():
        if connection.execute("SELECT 1 FROM documents WHERE id = ?", (identifier,)).fetchone():
            documents.delete(connection, identifier)
            documents.note(connection, job, uri, "removed")


def outcomes(connection: Connection, job: str) -> tuple[dict[str, float], list[str]]:
    """Return how many files of each outcome `job` has had, its chunks, and the messages of the failed ones."""
    rows = connection.execute(
        "SELECT outcome, count(*), sum(chunks) FROM outcomes WHERE job = ? GROUP BY outcome", (job,)
    ).fetchall()
    counters: dict[str, float] = {"new": 0, "changed": 0, "removed": 0, "failed": 0}
    counters |= {outcome: count for outcome, count, _ in rows}
    counters["chunks"] = sum(chunks for _, _, chunks in rows)
    messages = connection.execute(
        "SELECT message FROM outcomes WHERE job = ? AND message != '' ORDER BY uri LIMIT 50", (job,)
    )
    return counters, [message for (message,) in messages]


def forget_outcomes(connection: Connection, *, keep: str) -> None:
    """Delete the outcomes of jobs that ended a while ago: all but `keep` and those noted last."""
    connection.execute(
        "DELETE FROM outcomes WHERE job != ? AND job NOT IN"
        " (SELECT job FROM outcomes GROUP BY job ORDER BY max(rowid) DESC LIMIT 20)",
        (keep,),
    )
