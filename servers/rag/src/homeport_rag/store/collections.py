"""SQL on collections: their settings, counts and models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from homeport_rag.records import CollectionSettings, Space
from homeport_rag.results.upkeep import Collection
from homeport_rag.store import documents, full_text
from homeport_rag.store.dialect import Connection
from homeport_rag.store.full_text import INDEX
from homeport_rag.store.schema import BUILT_IN
from homeport_shared.errors import HomeportError

_SPACE = "SELECT id, name, language, settings, wanted, answering, choice FROM collections"


def spaces(connection: Connection, names: Sequence[str], *, hidden: bool = False) -> list[Space]:
    """Return the named collections, hidden ones only when asked to; all but hidden ones when none is named.

    Raises:
        HomeportError: `not_found`, when one does not exist.
    """
    if names:
        return [space(connection, name, hidden=hidden) for name in names]
    return [_space(row) for row in connection.execute(f"{_SPACE} WHERE name NOT LIKE '.%' ORDER BY id")]


def all_spaces(connection: Connection) -> list[Space]:
    """Return all collections, hidden ones too."""
    return [_space(row) for row in connection.execute(f"{_SPACE} ORDER BY id")]


def space(connection: Connection, name: str, *, hidden: bool = False) -> Space:
    """Return one collection, a hidden one only when asked to.

    Raises:
        HomeportError: `not_found`.
    """
    row = connection.execute(f"{_SPACE} WHERE name = ?", (name,)).fetchone()
    if row is None or (name.startswith(".") and not hidden):
        known = ", ".join(each.name for each in spaces(connection, [])[:20])
        raise HomeportError("not_found", f"There is no collection {name!r}.", f"There are: {known}.")
    return _space(row)


def _space(row: tuple[int, str, str, str, str, str, str]) -> Space:
    identifier, name, language, settings, wanted, answering, choice = row
    return Space(
        identifier,
        name,
        language,
        CollectionSettings(**json.loads(settings)),
        wanted,
        answering,
        tuple(json.loads(choice)),
    )


def create(connection: Connection, name: str, language: str, now: str) -> None:
    """Create an empty collection.

    Raises:
        HomeportError: `conflict`, when there is one of that name.
    """
    if connection.execute("SELECT 1 FROM collections WHERE name = ?", (name,)).fetchone():
        raise HomeportError("conflict", f"There is a collection {name!r} already.", "Choose another name.")
    connection.execute("INSERT INTO collections (name, language, created) VALUES (?, ?, ?)", (name, language, now))


def delete(connection: Connection, name: str) -> tuple[int, int]:
    """Delete a collection with all that is in it; a built-in one is emptied and stays.

    Returns:
        Number of documents and of chunks that are gone.

    Raises:
        HomeportError: `not_found`.
    """
    found = space(connection, name)
    rows = connection.execute("SELECT id FROM documents WHERE collection_id = ?", (found.id,)).fetchall()
    chunks = sum(documents.delete(connection, identifier) for (identifier,) in rows)
    if name not in BUILT_IN:
        connection.execute("DELETE FROM collections WHERE id = ?", (found.id,))
        connection.execute("DELETE FROM counts WHERE collection_id = ?", (found.id,))
    return len(rows), chunks


def change(connection: Connection, name: str, settings: CollectionSettings) -> None:
    """Replace the settings of a collection.

    Raises:
        HomeportError: `not_found`.
    """
    found = space(connection, name)
    connection.execute("UPDATE collections SET settings = ? WHERE id = ?", (json.dumps(asdict(settings)), found.id))


def rebuilt(connection: Connection, identifiers: Sequence[int], now: str) -> None:
    """Note that all documents of these collections were read and embedded anew."""
    connection.executemany("UPDATE collections SET rebuilt = ? WHERE id = ?", [(now, each) for each in identifiers])


def counted(connection: Connection) -> list[Collection]:
    """Return all collections that are not hidden with their counts."""
    rows = connection.execute(
        "SELECT k.name, k.language, count(d.id), count(*) FILTER (WHERE d.error != ''), coalesce(sum(d.archived), 0),"
        " coalesce((SELECT count FROM counts WHERE collection_id = k.id AND model_id = '*'), 0),"
        " coalesce((SELECT count FROM counts WHERE collection_id = k.id AND model_id = k.wanted), 0),"
        " k.wanted, k.rebuilt, k.settings FROM collections k LEFT JOIN documents d ON d.collection_id = k.id"
        " WHERE k.name NOT LIKE '.%' GROUP BY k.id ORDER BY k.id"
    )
    return [
        Collection(
            name=name,
            language=language,
            documents=documents,
            pending=0,
            failed=failed,
            archived=archived,
            chunks=chunks,
            embedded=embedded,
            model=wanted,
            rebuilt=rebuilt,
            settings=json.loads(settings),
        )
        for name, language, documents, failed, archived, chunks, embedded, wanted, rebuilt, settings in rows
    ]


def pending(connection: Connection, name: str, after: int) -> int:
    """Return how many documents of a collection wait for vectors; chunks up to the id `after` are known to have them.

    Documents that are to wait are counted without looking at their chunks.
    """
    return connection.execute(
        "SELECT (SELECT count(DISTINCT c.document_id) FROM chunks c JOIN documents d ON d.id = c.document_id"
        " LEFT JOIN vectors v ON v.chunk_id = c.id AND v.model_id = k.wanted WHERE c.id > ? AND d.held = 0"
        " AND c.collection_id = k.id AND v.chunk_id IS NULL)"
        " + (SELECT count(*) FROM documents WHERE collection_id = k.id AND held = 1) FROM collections k WHERE name = ?",
        (after, name),
    ).fetchone()[0]


def count(connection: Connection, collection: int, model: str = "*") -> int:
    """Return the number of vectors of `model` in a collection, `*` = of passages."""
    row = connection.execute(
        "SELECT count FROM counts WHERE collection_id = ? AND model_id = ?", (collection, model)
    ).fetchone()
    return row[0] if row else 0


def answer_with(connection: Connection, space: Space, model: str, choice: tuple[str, str]) -> None:
    """Let the vectors of `model` answer from now on and drop those of any other."""
    connection.execute(
        "UPDATE collections SET answering = ?, choice = ? WHERE id = ?", (model, json.dumps(choice), space.id)
    )
    of_others = "FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id != ? WHERE c.collection_id = ?"
    connection.execute(
        "INSERT INTO changes (operation, chunk_id, collection_id, model_id)"
        f" SELECT 'remove', c.id, c.collection_id, v.model_id {of_others}",
        (model, space.id),
    )
    connection.execute(
        "DELETE FROM vectors WHERE model_id != ? AND chunk_id IN (SELECT id FROM chunks WHERE collection_id = ?)",
        (model, space.id),
    )


def move(connection: Connection, document: str, target: Space) -> bool:
    """Move a document to another collection with its passages and vectors.

    Returns:
        False, when it is there already.

    Raises:
        HomeportError: `conflict`, when the collection holds the same source already.
    """
    row = connection.execute(
        "SELECT collection_id, uri, k.language FROM documents d JOIN collections k ON k.id = collection_id"
        " WHERE d.id = ? AND k.name NOT LIKE '.%'",
        (document,),
    ).fetchone()
    if row is None:
        raise documents.no_document(document)
    if row[0] == target.id:
        return False
    if connection.execute(
        "SELECT 1 FROM documents WHERE collection_id = ? AND uri = ?", (target.id, row[1])
    ).fetchone():
        raise HomeportError(
            "conflict", f"{row[1]} is in the collection {target.name!r} already.", "Delete one of them."
        )
    changed = (
        "INSERT INTO changes (operation, chunk_id, collection_id, model_id) SELECT ?, c.id, c.collection_id, v.model_id"
        " FROM chunks c JOIN vectors v ON v.chunk_id = c.id WHERE c.document_id = ?"
    )
    vectors = connection.execute(
        "SELECT v.model_id, count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id WHERE c.document_id = ?"
        " GROUP BY 1 UNION ALL SELECT '*', count(*) FROM chunks WHERE document_id = ?",
        (document, document),
    ).fetchall()
    connection.execute(changed, ("remove", document))
    connection.execute("UPDATE documents SET collection_id = ? WHERE id = ?", (target.id, document))
    connection.execute("UPDATE chunks SET collection_id = ? WHERE document_id = ?", (target.id, document))
    connection.execute(changed, ("add", document))
    for model, number in vectors:
        for collection, difference in ((row[0], -number), (target.id, number)):
            connection.execute(
                "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT (collection_id, model_id)"
                " DO UPDATE SET count = counts.count + excluded.count",
                (collection, model, difference),
            )
    old, new = INDEX[row[2] == "en"], INDEX[target.language == "en"]
    if old != new:
        full_text.remove(connection, document, old)
        full_text.add(connection, document, new)
    return True
