"""The knowledge base on disk: one SQLite file, of which the full-text index is a part.

Searches read on a connection of their own, so they never wait for a document that is being stored.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from homeport_rag.records import Known, Outcome, Source, Unembedded
from homeport_rag.results import Collection, Document, Hit
from homeport_rag.schema import BUILT_IN, migrations
from homeport_rag.search import Filters, full_text_query, searchable
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import SqliteFile

_INDEX = {True: "chunks_fts", False: "chunks_fts_plain"}  # by whether the collection is English


class Store:
    """The documents, passages and vectors of one data root.

    Args:
        path: The database; made at the first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    async def aclose(self) -> None:
        """Close the database, if it was used."""
        for name in ("_reading", "_writing"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()

    @cached_property
    def _reading(self) -> SqliteFile:
        return SqliteFile(self.path, migrations())

    @cached_property
    def _writing(self) -> SqliteFile:
        return SqliteFile(self.path, migrations())

    async def collections(self, model: str = "") -> list[Collection]:
        """Return all collections with their counts; `embedded` counts the vectors of `model`."""
        return await self._reading.read(lambda database: _collections(database.conn, model))

    async def create_collection(self, name: str, language: str, now: str) -> None:
        """Create an empty collection.

        Raises:
            HomeportError: `conflict`, when there is one of that name.
        """

        def work(database: Any) -> None:
            if database.conn.execute("SELECT 1 FROM collections WHERE name = ?", (name,)).fetchone():
                raise HomeportError("conflict", f"There is a collection {name!r} already.", "Choose another name.")
            database.conn.execute(
                "INSERT INTO collections (name, language, created) VALUES (?, ?, ?)", (name, language, now)
            )

        await self._writing.write(work)

    async def delete_collection(self, name: str) -> tuple[int, int]:
        """Delete a collection with all that is in it; a built-in one is emptied and stays.

        Returns:
            Number of documents and of chunks that are gone.
        """

        def work(database: Any) -> tuple[int, int]:
            collection, _ = _collection(database.conn, name)
            rows = database.conn.execute("SELECT id FROM documents WHERE collection_id = ?", (collection,)).fetchall()
            chunks = sum(_delete(database.conn, identifier) for (identifier,) in rows)
            if name not in BUILT_IN:
                database.conn.execute("DELETE FROM collections WHERE id = ?", (collection,))
            return len(rows), chunks

        return await self._writing.write(work)

    async def put(self, source: Source, collection: str, *, actor: str, now: str) -> Outcome:
        """Store a document and its passages in one transaction, in place of what was there under its id and URI.

        Returns:
            `unchanged`, when the same content and metadata are there already, else `new` or `changed`.
        """

        def work(database: Any) -> Outcome:
            identifier, language = _collection(database.conn, collection)
            return _put(database.conn, source, identifier, english=language == "en", actor=actor, now=now)

        return await self._writing.write(work)

    async def remove(self, job: str, gone: dict[str, str]) -> None:
        """Delete the documents `gone` (URI → id) and note them as removed by `job`, all or nothing."""

        def work(database: Any) -> None:
            for uri, identifier in gone.items():
                if database.conn.execute("SELECT 1 FROM documents WHERE id = ?", (identifier,)).fetchone():
                    _delete(database.conn, identifier)
                    _note(database.conn, job, uri, "removed")

        await self._writing.write(work)

    async def note(self, job: str, uri: str, outcome: Outcome, message: str) -> None:
        """Note what became of the file at `uri` in `job`."""
        await self._writing.write(lambda database: _note(database.conn, job, uri, outcome, message=message))

    async def outcomes(self, job: str) -> tuple[dict[str, float], list[str]]:
        """Return how many files of each outcome `job` has had, its chunks, and the messages of the failed ones."""

        def work(database: Any) -> tuple[dict[str, float], list[str]]:
            rows = database.conn.execute(
                "SELECT outcome, count(*), sum(chunks) FROM outcomes WHERE job = ? GROUP BY outcome", (job,)
            ).fetchall()
            counters: dict[str, float] = {"new": 0, "changed": 0, "removed": 0, "failed": 0}
            counters |= {outcome: count for outcome, count, _ in rows}
            counters["chunks"] = sum(chunks for _, _, chunks in rows)
            messages = database.conn.execute(
                "SELECT message FROM outcomes WHERE job = ? AND message != '' ORDER BY uri LIMIT 50", (job,)
            )
            return counters, [message for (message,) in messages]

        return await self._reading.read(work)

    async def delete(self, identifiers: Iterable[str]) -> tuple[int, int, list[str]]:
        """Delete documents.

        Returns:
            Number of documents and chunks that are gone, and the ids that were not there.
        """

        def work(database: Any) -> tuple[int, int, list[str]]:
            found, chunks, missing = 0, 0, list[str]()
            for identifier in dict.fromkeys(identifiers):
                if database.conn.execute("SELECT 1 FROM documents WHERE id = ?", (identifier,)).fetchone():
                    chunks += _delete(database.conn, identifier)
                    found += 1
                else:
                    missing.append(identifier)
            return found, chunks, missing

        return await self._writing.write(work)

    async def document(self, identifier: str, model: str = "") -> Document:
        """Return what is known about a document.

        Raises:
            HomeportError: `not_found`.
        """

        def work(database: Any) -> Document:
            for document in _documents(database.conn, "d.id = ?", (identifier,), 1, model):
                return document
            raise _no_document(identifier)

        return await self._reading.read(work)

    async def text(self, identifier: str) -> str:
        """Return the whole text of a document.

        Raises:
            HomeportError: `not_found`.
        """

        def work(database: Any) -> str:
            row = database.conn.execute("SELECT text FROM texts WHERE document_id = ?", (identifier,)).fetchone()
            if row is None:
                raise _no_document(identifier)
            return row[0]

        return await self._reading.read(work)

    async def documents(
        self, collection: str, *, after: tuple[str, str] = ("", ""), limit: int = 50, model: str = ""
    ) -> list[Document]:
        """Return up to `limit` documents in the order of their titles.

        Args:
            collection: Its name; empty = all.
            after: Title and id of the last document of the page before.
            limit: Most documents to return.
            model: The embedding model whose vectors are counted.
        """

        def work(database: Any) -> list[Document]:
            where, values = "(d.title COLLATE NOCASE, d.id) > (?, ?)", list[Any](after)
            if collection:
                where += " AND d.collection_id = ?"
                values.append(_collection(database.conn, collection)[0])
            return _documents(database.conn, where, values, limit, model)

        return await self._reading.read(work)

    async def scope(self, names: Sequence[str]) -> dict[int, str]:
        """Return id → language of the named collections, of all when none is named.

        Raises:
            HomeportError: `not_found`, when one does not exist.
        """

        def work(database: Any) -> dict[int, str]:
            if names:
                return dict(_collection(database.conn, name) for name in names)
            return dict(database.conn.execute("SELECT id, language FROM collections").fetchall())

        return await self._reading.read(work)

    async def find_words(
        self, text: str, scope: dict[int, str], filters: Filters, limit: int
    ) -> list[list[tuple[int, float]]]:
        """Return the best matches of each full-text index that `scope` needs: (chunk id, BM25 score, greater = better).

        Args:
            text: The user's query.
            scope: Collection id → language.
            filters: What the documents must be like.
            limit: Most matches per index.
        """

        def work(database: Any) -> list[list[tuple[int, float]]]:
            found: list[list[tuple[int, float]]] = []
            for english in (True, False):
                ids = [identifier for identifier, language in scope.items() if (language == "en") is english]
                query = full_text_query(text, english=english)
                if ids and query:
                    found.append(_match(database.conn, _INDEX[english], query, ids, filters, limit))
            return found

        return await self._reading.read(work)

    async def passing(self, chunks: Sequence[int], scope: Iterable[int], filters: Filters) -> list[int]:
        """Return those of `chunks` that still exist, are in `scope` and pass `filters`, in the given order."""

        def work(database: Any) -> list[int]:
            where, values = _conditions(list(scope), filters)
            rows = database.conn.execute(
                "SELECT c.id FROM json_each(?) j JOIN chunks c ON c.id = j.value JOIN documents d"
                f" ON d.id = c.document_id WHERE {where} ORDER BY j.key",
                [json.dumps(list(chunks)), *values],
            )
            return [identifier for (identifier,) in rows]

        return await self._reading.read(work)

    async def hits(self, chunks: Sequence[int]) -> list[Hit]:
        """Return the passages of these ids in the given order, without scores; ids that are gone are left out."""

        def work(database: Any) -> list[Hit]:
            rows = database.conn.execute(
                "SELECT c.document_id, c.id, d.title, d.uri, k.name, c.text, c.page, c.line, c.end_line"
                " FROM json_each(?) j JOIN chunks c ON c.id = j.value JOIN documents d ON d.id = c.document_id"
                " JOIN collections k ON k.id = c.collection_id ORDER BY j.key",
                (json.dumps(list(chunks)),),
            )
            return [_hit(row) for row in rows]

        return await self._reading.read(work)

    async def unembedded(self, model: str, after: int, limit: int) -> list[Unembedded]:
        """Return up to `limit` passages with ids greater than `after` that have no vector of `model`, by id."""

        def work(database: Any) -> list[Unembedded]:
            rows = database.conn.execute(
                "SELECT c.id, trim(c.header || char(10) || c.text, char(10)) FROM chunks c LEFT JOIN vectors v"
                " ON v.chunk_id = c.id AND v.model_id = ? WHERE v.chunk_id IS NULL AND c.id > ? ORDER BY c.id LIMIT ?",
                (model, after, limit),
            )
            return [Unembedded(*row) for row in rows]

        return await self._writing.read(work)  # may take long: searches do not wait for it

    async def count_after(self, after: int) -> int:
        """Return the number of passages with ids greater than `after`."""

        def work(database: Any) -> int:
            return database.conn.execute("SELECT count(*) FROM chunks WHERE id > ?", (after,)).fetchone()[0]

        return await self._writing.read(work)

    async def put_vectors(self, model: str, vectors: Iterable[tuple[int, bytes]]) -> None:
        """Store vectors (chunk id, float16 little endian) of `model`; those of chunks that are gone are dropped."""

        def work(database: Any) -> None:
            for chunk, vector in vectors:
                added = database.conn.execute(
                    "INSERT OR IGNORE INTO vectors SELECT id, ?, ? FROM chunks WHERE id = ?", (model, vector, chunk)
                )
                if added.rowcount:
                    database.conn.execute(
                        "INSERT INTO changes (operation, chunk_id, collection_id, model_id)"
                        " SELECT 'add', id, collection_id, ? FROM chunks WHERE id = ?",
                        (model, chunk),
                    )

        await self._writing.write(work)

    async def known(self, collection: str, uri: str) -> dict[str, Known]:
        """Return URI → what is stored of the documents of `collection` at `uri` and below it."""

        def work(database: Any) -> dict[str, Known]:
            identifier, _ = _collection(database.conn, collection)
            rows = database.conn.execute(
                "SELECT uri, id, size, mtime_ns, sha256 FROM documents WHERE collection_id = ?"
                " AND (uri = ? OR substr(uri, 1, ?) = ?)",
                (identifier, uri, len(uri) + 1, f"{uri.rstrip('/')}/"),
            )
            return {found: Known(*rest) for found, *rest in rows}

        return await self._reading.read(work)

    async def forget_outcomes(self, *, keep: str) -> None:
        """Delete the outcomes of jobs that ended a while ago: all but `keep` and those noted last."""

        def work(database: Any) -> None:
            database.conn.execute(
                "DELETE FROM outcomes WHERE job != ? AND job NOT IN"
                " (SELECT job FROM outcomes GROUP BY job ORDER BY max(rowid) DESC LIMIT 20)",
                (keep,),
            )

        await self._writing.write(work)


def _collection(connection: sqlite3.Connection, name: str) -> tuple[int, str]:
    row = connection.execute("SELECT id, language FROM collections WHERE name = ?", (name,)).fetchone()
    if row is None:
        names = ", ".join(n for (n,) in connection.execute("SELECT name FROM collections ORDER BY id LIMIT 20"))
        raise HomeportError("not_found", f"There is no collection {name!r}.", f"There are: {names}.")
    return row


def _no_document(identifier: str) -> HomeportError:
    return HomeportError("not_found", f"There is no document {identifier!r}.", "list_documents names all there are.")


def _collections(connection: sqlite3.Connection, model: str) -> list[Collection]:
    rows = connection.execute(
        "SELECT name, language, (SELECT count(*) FROM documents WHERE collection_id = k.id),"
        " (SELECT count(*) FROM chunks WHERE collection_id = k.id),"
        " (SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.collection_id = k.id) FROM collections k ORDER BY id",
        (model,),
    )
    names = ("name", "language", "documents", "chunks", "embedded")
    return [Collection(**dict(zip(names, row, strict=True))) for row in rows]


def _documents(
    connection: sqlite3.Connection, where: str, values: Sequence[Any], limit: int, model: str
) -> list[Document]:
    rows = connection.execute(
        "SELECT d.id, title, uri, k.name, media_type, size, (SELECT count(*) FROM chunks WHERE document_id = d.id),"
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


def _hit(row: tuple[Any, ...]) -> Hit:
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


def _conditions(scope: list[int], filters: Filters) -> tuple[str, list[Any]]:
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


def _match(
    connection: sqlite3.Connection, index: str, query: str, scope: list[int], filters: Filters, limit: int
) -> list[tuple[int, float]]:
    where, values = _conditions(scope, filters)
    rows = connection.execute(
        f"SELECT c.id, -{index}.rank FROM {index} JOIN chunks c ON c.id = {index}.rowid"  # noqa: S608 - our own names
        f" JOIN documents d ON d.id = c.document_id WHERE {index} MATCH ? AND {where}"
        f" ORDER BY {index}.rank LIMIT ?",
        (query, *values, limit),
    )
    return rows.fetchall()


def _put(
    connection: sqlite3.Connection, source: Source, collection: int, *, english: bool, actor: str, now: str
) -> Outcome:
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
        _delete(connection, identifier)
    connection.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            source.id,
            collection,
            source.uri,
            source.title,
            source.media_type,
            source.size,
            source.sha256,
            source.mtime_ns,
            source.modified,
            metadata,
            json.dumps(source.warnings, ensure_ascii=False),
            actor,
            now,
        ),
    )
    connection.execute("INSERT INTO texts VALUES (?, ?)", (source.id, source.text))
    for ordinal, passage in enumerate(source.passages):
        row = connection.execute(
            "INSERT INTO chunks (document_id, collection_id, ordinal, header, text, page, line, end_line)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                source.id,
                collection,
                ordinal,
                passage.header,
                passage.text,
                passage.page,
                passage.line,
                passage.end_line,
            ),
        ).lastrowid
        connection.execute(
            f"INSERT INTO {_INDEX[english]} (rowid, header, text) VALUES (?, ?, ?)",  # noqa: S608 - our own names
            (row, searchable(passage.header), searchable(passage.text)),
        )
    outcome: Outcome = "changed" if old else "new"
    if source.job:
        _note(connection, source.job, source.uri, outcome, chunks=len(source.passages))
    return outcome


def _note(
    connection: sqlite3.Connection, job: str, uri: str, outcome: Outcome, *, chunks: int = 0, message: str = ""
) -> None:
    connection.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)", (job, uri, outcome, chunks, message))


def _delete(connection: sqlite3.Connection, identifier: str) -> int:
    """Delete one document with its text, passages, index entries and vectors; return the number of passages."""
    (language,) = connection.execute(
        "SELECT language FROM documents d JOIN collections k ON k.id = d.collection_id WHERE d.id = ?", (identifier,)
    ).fetchone()
    index = _INDEX[language == "en"]
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
