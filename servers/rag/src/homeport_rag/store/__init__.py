"""The knowledge base on disk: one SQLite file, of which the full-text index is a part.

Searches read on a connection of their own, so they never wait for a document that is being stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from homeport_rag.records import Known, Outcome, Source, Unembedded
from homeport_rag.results import Collection, Document, Hit
from homeport_rag.search import Filters, full_text_query, query_words
from homeport_rag.store import statements
from homeport_rag.store.schema import BUILT_IN, migrations
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import SqliteFile


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
        return await self._reading.read(lambda database: statements.collections(database.conn, model))

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
            collection, _ = statements.collection(database.conn, name)
            rows = database.conn.execute("SELECT id FROM documents WHERE collection_id = ?", (collection,)).fetchall()
            chunks = sum(statements.delete(database.conn, identifier) for (identifier,) in rows)
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
            identifier, language = statements.collection(database.conn, collection)
            return statements.put(database.conn, source, identifier, english=language == "en", actor=actor, now=now)

        return await self._writing.write(work)

    async def remove(self, job: str, gone: dict[str, str]) -> None:
        """Delete the documents `gone` (URI → id) and note them as removed by `job`, all or nothing."""

        def work(database: Any) -> None:
            for uri, identifier in gone.items():
                if database.conn.execute("SELECT 1 FROM documents WHERE id = ?", (identifier,)).fetchone():
                    statements.delete(database.conn, identifier)
                    statements.note(database.conn, job, uri, "removed")

        await self._writing.write(work)

    async def note(self, job: str, uri: str, outcome: Outcome, message: str) -> None:
        """Note what became of the file at `uri` in `job`."""
        await self._writing.write(lambda database: statements.note(database.conn, job, uri, outcome, message=message))

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
                    chunks += statements.delete(database.conn, identifier)
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
            for document in statements.documents(database.conn, "d.id = ?", (identifier,), 1, model):
                return document
            raise statements.no_document(identifier)

        return await self._reading.read(work)

    async def text(self, identifier: str) -> str:
        """Return the whole text of a document.

        Raises:
            HomeportError: `not_found`.
        """

        def work(database: Any) -> str:
            row = database.conn.execute("SELECT text FROM texts WHERE document_id = ?", (identifier,)).fetchone()
            if row is None:
                raise statements.no_document(identifier)
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
                values.append(statements.collection(database.conn, collection)[0])
            return statements.documents(database.conn, where, values, limit, model)

        return await self._reading.read(work)

    async def scope(self, names: Sequence[str]) -> dict[int, str]:
        """Return id → language of the named collections, of all when none is named.

        Raises:
            HomeportError: `not_found`, when one does not exist.
        """

        def work(database: Any) -> dict[int, str]:
            if names:
                return dict(statements.collection(database.conn, name) for name in names)
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
                words = query_words(text, english=english)
                if ids and words:
                    index = statements.INDEX[english]
                    query = full_text_query(statements.affordable(database.conn, index, words))
                    found.append(statements.match(database.conn, index, query, ids, filters, limit))
            return found

        return await self._reading.read(work)

    async def passing(self, chunks: Sequence[int], scope: Iterable[int], filters: Filters) -> list[int]:
        """Return those of `chunks` that still exist, are in `scope` and pass `filters`, in the given order."""

        def work(database: Any) -> list[int]:
            where, values = statements.conditions(list(scope), filters)
            rows = database.conn.execute(
                "SELECT c.id FROM json_each(?) j JOIN chunks c ON c.id = j.value JOIN documents d"  # noqa: S608 - our own words
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
            return [statements.hit(row) for row in rows]

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

    async def last_passage(self) -> int:
        """Return the greatest id of a passage; 0 when there is none."""
        return await self._writing.read(
            lambda database: database.conn.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()[0]
        )

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
            identifier, _ = statements.collection(database.conn, collection)
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
