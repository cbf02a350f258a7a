"""SQL on documents: how they come in, change, move and go."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from homeport_rag.records import Outcome, Source
from homeport_rag.results.documents import Details, Document, Version
from homeport_rag.store import full_text
from homeport_rag.store.dialect import Connection, without_case
from homeport_rag.store.full_text import INDEX
from homeport_shared.errors import HomeportError

KEPT_VERSIONS = 20
ORDERS = {
    "title": "d.title",
    "added": "d.added",
    "updated": "d.updated",
    "chunks": "d.passages",
    "size": "d.size",
}
STATUS = (
    "CASE WHEN d.error != '' THEN 'failed' WHEN EXISTS (SELECT 1 FROM chunks c LEFT JOIN vectors v ON v.chunk_id = c.id"
    " AND v.model_id = k.wanted WHERE c.document_id = d.id AND v.chunk_id IS NULL) THEN 'pending' ELSE 'embedded' END"
)
_ORIGIN = (
    "CASE WHEN d.media_type = 'message/rfc822' THEN 'email' WHEN d.uri LIKE 'file:%' THEN 'folder'"
    " WHEN d.uri LIKE 'upload:%' THEN 'upload' ELSE 'text' END"
)
_COLUMNS = (
    (  # the columns of `_NAMES`
        "d.id, d.title, d.uri, %ORIGIN%, k.name, d.media_type, d.size, d.passages,"
        " (SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = k.wanted"
        " WHERE c.document_id = d.id), d.metadata, d.warnings, d.modified, %STATUS%, d.error, d.language, d.added,"
        " d.updated, d.archived"
    )
    .replace("%STATUS%", STATUS)
    .replace("%ORIGIN%", _ORIGIN)
)
_NAMES = (
    *("document_id", "title", "source", "origin", "collection", "media_type", "size", "chunks", "embedded", "metadata"),
    *("warnings", "modified", "status", "error", "language", "added", "updated", "archived"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents are listed, in which order; empty = all.

    Attributes:
        text: Some letters of the title or the source, in this order.
        kind: A media type or a file ending.
        status: `embedded`, `pending` or `failed`.
        origin: `folder`, `upload`, `email` or `text`.
        order: One of `ORDERS`.
        falling: Greatest first.
    """

    collection: str = ""
    text: str = ""
    kind: str = ""
    status: str = ""
    origin: str = ""
    order: str = "title"
    falling: bool = False


def no_document(identifier: str) -> HomeportError:
    """Return the error for an id that no document has."""
    return HomeportError("not_found", f"There is no document {identifier!r}.", "list_documents names all there are.")


def is_there(connection: Connection, identifier: str) -> bool:
    """Tell whether there is such a document; what is in a hidden collection is none to anybody who asks for it."""
    return (
        connection.execute(
            "SELECT 1 FROM documents d JOIN collections k ON k.id = d.collection_id"
            " WHERE d.id = ? AND k.name NOT LIKE '.%'",
            (identifier,),
        ).fetchone()
        is not None
    )


def document(connection: Connection, identifier: str) -> Document:
    """Return what is known about a document.

    Raises:
        HomeportError: `not_found`.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM documents d JOIN collections k ON k.id = d.collection_id"  # noqa: S608 - our own words
        " WHERE d.id = ? AND k.name NOT LIKE '.%'",
        (identifier,),
    ).fetchone()
    if row is None:
        raise no_document(identifier)
    return _document(row)


def details(connection: Connection, identifier: str) -> Details:
    """Return all about a document.

    Raises:
        HomeportError: `not_found`.
    """
    found = document(connection, identifier)
    structure, versions, searches = connection.execute(
        "SELECT structure, (SELECT count(*) FROM versions WHERE document_id = d.id),"
        " (SELECT count(DISTINCT query_id) FROM query_hits WHERE document_id = d.id) FROM documents d WHERE id = ?",
        (identifier,),
    ).fetchone()
    return Details(**found.model_dump(), **json.loads(structure), versions=versions, searches=searches)


def listed(connection: Connection, wanted: Wanted, after: Sequence[Any], limit: int) -> list[Document]:
    """Return up to `limit` documents that come after the position `after` (sort value, id) in the wanted order."""
    where, values = ["k.name NOT LIKE '.%'"], list[Any]()
    sign, direction = ("<", "DESC") if wanted.falling else (">", "ASC")
    order, mark = ORDERS[wanted.order], "?"
    if wanted.order == "title":
        order, mark = without_case(connection, order), without_case(connection, mark)
    for condition, value in (
        ("k.name = ?", wanted.collection),
        (f"{STATUS} = ?", wanted.status),
        ("(lower(d.title) LIKE lower(?) ESCAPE '\\' OR lower(d.uri) LIKE lower(?) ESCAPE '\\')", wanted.text),
    ):
        if value:
            where.append(condition)
            values += [_loose(value)] * 2 if value is wanted.text else [value]
    if wanted.kind:
        where.append("(d.media_type = ? OR lower(d.uri) LIKE '%.' || lower(ltrim(?, '.')))")
        values += [wanted.kind, wanted.kind]
    if wanted.origin:
        where.append(f"{_ORIGIN} = ?")
        values.append(wanted.origin)
    if after:
        where.append(f"({order}, d.id) {sign} ({mark}, ?)")
        values += after
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM documents d JOIN collections k ON k.id = d.collection_id"  # noqa: S608 - our own words
        f" WHERE {' AND '.join(where)} ORDER BY {order} {direction}, d.id {direction} LIMIT ?",
        (*values, limit),
    )
    return [_document(row) for row in rows]


def _loose(text: str) -> str:
    """Return the LIKE pattern that finds the characters of `text` in their order, with anything between words."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return "%" + "%".join(escaped.split()) + "%"


def _document(row: tuple[Any, ...]) -> Document:
    fields = dict(zip(_NAMES, row, strict=True))
    fields |= {name: json.loads(fields[name]) for name in ("metadata", "warnings")}
    return Document(uri=f"rag://documents/{fields['document_id']}", **fields)


def statuses(connection: Connection) -> dict[str, int]:
    """Return how many documents are failed, archived, and waiting to be embedded."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE error != ''), coalesce(sum(archived), 0), coalesce(sum(held), 0) FROM documents"
    ).fetchone()
    return dict(zip(("failed", "archived", "held"), row, strict=True))


def put(
    connection: Connection,
    source: Source,
    collection: int,
    *,
    english: bool,
    actor: str,
    now: str,
    force: bool = False,
) -> Outcome:
    """Store a document in place of what is there under its id and URI; say what that changed.

    What a person edited of its metadata stays, and the former text is kept as a version.

    Args:
        connection: In a transaction.
        source: The document.
        collection: Id of its collection.
        english: That collection's index has English word stems.
        actor: Who stores it.
        now: RFC 3339.
        force: Also when nothing of it changed.
    """
    old = connection.execute(
        "SELECT id, collection_id, sha256, title, metadata, added, edits, archived FROM documents WHERE id = ?"
        " OR (collection_id = ? AND uri = ?)",
        (source.id, collection, source.uri),
    ).fetchall()
    same = [row for row in old if row[0] == source.id]
    edits: dict[str, Any] = json.loads(same[0][6]) if same else {}
    metadata = {k: v for k, v in (source.metadata | edits).items() if v is not None}
    stored = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
    if not force and [row[:5] for row in old] == [(source.id, collection, source.sha256, source.title, stored)]:
        connection.execute(
            "UPDATE documents SET mtime_ns = ?, error = '', tries = 0 WHERE id = ?", (source.mtime_ns, source.id)
        )
        return "unchanged"
    for identifier, _, sha256, *_ in old:
        if sha256 not in ("", source.sha256):
            _keep_version(connection, identifier)
        delete(connection, identifier, versions=False)
    added, archived = (same[0][5], same[0][7]) if same else (now, 0)
    rest = {"added": added, "archived": archived, "edits": json.dumps(edits), "actor": actor, "updated": now}
    _insert(connection, source, collection, stored, rest)
    connection.executemany(
        "INSERT INTO chunks (document_id, collection_id, ordinal, header, text, page, line, end_line)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (source.id, collection, number, each.header, each.text, each.page, each.line, each.end_line)
            for number, each in enumerate(source.passages)
        ],
    )
    full_text.add(connection, source.id, INDEX[english])
    outcome: Outcome = "changed" if any(row[2] for row in old) else "new"
    if source.job:
        note(connection, source.job, source.uri, outcome, chunks=len(source.passages))
    return outcome


def _insert(connection: Connection, source: Source, collection: int, metadata: str, rest: dict[str, Any]) -> None:
    names = ("id", "uri", "title", "media_type", "size", "sha256", "mtime_ns", "modified", "language", "error")
    values = {name: getattr(source, name) for name in names} | {
        "collection_id": collection,
        "metadata": metadata,
        "warnings": json.dumps(source.warnings, ensure_ascii=False),
        "passages": len(source.passages),
        "structure": json.dumps(source.structure, ensure_ascii=False),
        **rest,
    }
    columns = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    connection.execute(f"INSERT INTO documents ({columns}) VALUES ({marks})", [*values.values()])  # noqa: S608 - our own names
    connection.execute("INSERT INTO texts VALUES (?, ?)", (source.id, source.text))
    full_text.add_name(connection, source.id, source.title, source.uri)


def fail(connection: Connection, source: Source, collection: int, *, actor: str, now: str) -> None:
    """Note on a document why it could not be read: what is stored of it stays, and it is tried again."""
    row = connection.execute(
        "UPDATE documents SET error = ?, mtime_ns = 0, failed_ns = ?,"
        " tries = CASE WHEN failed_ns = ? THEN tries + 1 ELSE 1 END WHERE collection_id = ? AND uri = ?"
        " RETURNING id",
        (source.error, source.mtime_ns, source.mtime_ns, collection, source.uri),
    ).fetchone()
    if row is None:
        rest = {"added": now, "archived": 0, "edits": "{}", "actor": actor, "updated": now}
        rest |= {"tries": 1, "failed_ns": source.mtime_ns}
        _insert(connection, replace(source, mtime_ns=0), collection, "{}", rest)


def note(connection: Connection, job: str, uri: str, outcome: Outcome, *, chunks: int = 0, message: str = "") -> None:
    """Note what became of the file at `uri` in `job`."""
    connection.execute(
        "INSERT INTO outcomes (job, uri, outcome, chunks, message) VALUES (?, ?, ?, ?, ?) ON CONFLICT (job, uri)"
        " DO UPDATE SET outcome = excluded.outcome, chunks = excluded.chunks, message = excluded.message",
        (job, uri, outcome, chunks, message),
    )


def delete(connection: Connection, identifier: str, *, versions: bool = True) -> int:
    """Delete one document with its text, passages, index entries and vectors; return the number of passages."""
    (language,) = connection.execute(
        "SELECT k.language FROM documents d JOIN collections k ON k.id = d.collection_id WHERE d.id = ?", (identifier,)
    ).fetchone()
    chunks = full_text.remove(connection, identifier, INDEX[language == "en"])
    connection.execute(
        "INSERT INTO changes (operation, chunk_id, collection_id, model_id) SELECT 'remove', c.id, c.collection_id,"
        " v.model_id FROM chunks c JOIN vectors v ON v.chunk_id = c.id WHERE c.document_id = ?",
        (identifier,),
    )
    connection.execute(
        "DELETE FROM vectors WHERE chunk_id IN (SELECT id FROM chunks WHERE document_id = ?)", (identifier,)
    )
    connection.execute("DELETE FROM chunks WHERE document_id = ?", (identifier,))
    full_text.remove_name(connection, identifier)
    connection.execute("DELETE FROM documents WHERE id = ?", (identifier,))
    if versions:
        connection.execute("DELETE FROM versions WHERE document_id = ?", (identifier,))
    return chunks


def delete_all(connection: Connection, identifiers: Iterable[str]) -> tuple[int, int, list[str]]:
    """Delete documents; return how many documents and chunks are gone, and the ids that were not there."""
    found, chunks, missing = 0, 0, list[str]()
    for identifier in dict.fromkeys(identifiers):
        if is_there(connection, identifier):
            chunks += delete(connection, identifier)
            found += 1
        else:
            missing.append(identifier)
    return found, chunks, missing


def text(connection: Connection, identifier: str) -> str:
    """Return the whole text of a document.

    Raises:
        HomeportError: `not_found`.
    """
    if not is_there(connection, identifier):
        raise no_document(identifier)
    return connection.execute("SELECT text FROM texts WHERE document_id = ?", (identifier,)).fetchone()[0]


def edit(connection: Connection, identifier: str, changes: Mapping[str, Any], now: str) -> None:
    """Change metadata: a value of None removes the key. A later ingest of the same file keeps these values.

    Raises:
        HomeportError: `not_found`.
    """
    if not is_there(connection, identifier):
        raise no_document(identifier)
    row = connection.execute("SELECT metadata, edits FROM documents WHERE id = ?", (identifier,)).fetchone()
    metadata, edits = ({**json.loads(column), **changes} for column in row)
    kept = {k: v for k, v in metadata.items() if v is not None}
    connection.execute(
        "UPDATE documents SET metadata = ?, edits = ?, updated = ? WHERE id = ?",
        (json.dumps(kept, ensure_ascii=False, sort_keys=True), json.dumps(edits), now, identifier),
    )


def archive(connection: Connection, identifier: str, *, archived: bool) -> None:
    """Take a document out of the search, or back into it.

    Raises:
        HomeportError: `not_found`.
    """
    if not is_there(connection, identifier):
        raise no_document(identifier)
    connection.execute("UPDATE documents SET archived = ? WHERE id = ?", (int(archived), identifier))


def hold(connection: Connection, identifier: str) -> None:
    """Let a document wait for `release` before it is embedded."""
    connection.execute("UPDATE documents SET held = 1 WHERE id = ?", (identifier,))


def release(connection: Connection, identifiers: Sequence[str]) -> int:
    """Let waiting documents be embedded, all when none is named; return how many they are."""
    return connection.execute(
        "UPDATE documents SET held = 0 WHERE held = 1 AND (? = '[]' OR id IN (SELECT value FROM json_each(?)))",
        [json.dumps(list(identifiers))] * 2,
    ).rowcount


def _keep_version(connection: Connection, identifier: str) -> None:
    connection.execute(
        "INSERT INTO versions (document_id, title, text, metadata, actor, updated) SELECT id, title, text, metadata,"
        " actor, updated FROM documents JOIN texts ON document_id = id WHERE id = ?",
        (identifier,),
    )
    connection.execute(
        "DELETE FROM versions WHERE document_id = ? AND id NOT IN"
        " (SELECT id FROM versions WHERE document_id = ? ORDER BY id DESC LIMIT ?)",
        (identifier, identifier, KEPT_VERSIONS),
    )


def versions(connection: Connection, identifier: str) -> list[Version]:
    """Return the former versions of a document, newest first."""
    rows = connection.execute(
        "SELECT id, title, text, actor, updated FROM versions WHERE document_id = ? ORDER BY id DESC", (identifier,)
    )
    return [Version(version=i, title=title, text=text, actor=actor, updated=at) for i, title, text, actor, at in rows]
