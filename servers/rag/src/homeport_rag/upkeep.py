"""Upkeep: read and embed documents anew, check, clean up, make the file small again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from homeport_rag import reading
from homeport_rag.ingest import Ingest
from homeport_rag.meaning import Meaning
from homeport_rag.records import Source, Space
from homeport_rag.results.documents import Document
from homeport_rag.results.upkeep import Cleanup, Finding, Validation
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store, collections, documents, embeddings, integrity
from homeport_rag.store.dialect import Connection
from homeport_rag.uploads import kept_at
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Run
from homeport_shared.paths import path_of_uri


class Upkeep:
    """What keeps the knowledge base whole.

    Args:
        context: The server's context.
        store: What is kept up.
        meaning: Embeds.
        ingest: Reads files.
    """

    def __init__(self, context: ServerContext, store: Store, meaning: Meaning, ingest: Ingest) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
        self._ingest = ingest

    async def rebuild(self, run: Run) -> None:
        """Read, divide and embed documents anew with the present settings: the handler of `rebuild` jobs.

        A document answers with its old passages until its new ones have their vectors. What was done before a crash
        is not done again.
        """
        wanted: list[str] = run.job.params["documents"]
        for_all: list[str] = run.job.params["collections"]
        rows = await self._store.read_slowly(integrity.to_rebuild, wanted, for_all, run.job.created)
        notes: list[str] = []
        chunks = 0
        for number, identifier in enumerate(rows):
            document = await self._store.read(documents.document, identifier)
            run.progress(done=number, total=len(rows), message=document.title, counters={"chunks": chunks}, notes=notes)
            try:
                chunks += await self._again(document)
            except HomeportError as error:
                notes.append(f"{document.title}: {error}")
        if for_all:
            spaces = [await self._store.read(collections.space, name) for name in for_all]
            now = iso(self._context.clock.now())
            await self._store.write(collections.rebuilt, [space.id for space in spaces], now)
        run.progress(done=len(rows), total=len(rows), message="", counters={"chunks": chunks}, notes=notes)
        await self._context.changes.updated("rag://collections", "rag://stats")

    async def _again(self, document: Document) -> int:
        space = await self._store.read(collections.space, document.collection)
        source = await self._source(document, await self._ingest.dividing(space))
        source = replace(source, metadata=source.metadata | document.metadata)
        embedder, _ = await self._meaning.embedder(space.settings.choice)
        vectors: list[bytes] = []
        if embedder:
            vectors = await embedder.embed([f"{each.header}\n{each.text}".strip("\n") for each in source.passages])
        now, model = iso(self._context.clock.now()), embedder.model.key if embedder else ""
        await self._store.write(_replace, source, space, vectors, model, now)
        await self._context.changes.updated(f"rag://documents/{document.document_id}")
        return len(source.passages)

    async def _source(self, document: Document, dividing: reading.Dividing) -> Source:
        """Read a document's file again; what has none, or no longer, is divided again from its stored text."""
        if document.source.startswith("file:"):
            path = await anyio.to_thread.run_sync(path_of, document.source)
            if path:
                return await self._ingest.read(str(path), document.document_id, dividing)
        if (path := kept_at(self._context.folder, document.source)) and await anyio.Path(path).is_file():
            data = await anyio.Path(path).read_bytes()
            return await self._ingest.read_bytes(data, path.name, document.document_id, document.source, dividing)
        text = await self._store.read(documents.text, document.document_id)
        source = await anyio.to_thread.run_sync(
            reading.given, text, document.document_id, document.source, document.title, document.modified, dividing
        )
        return replace(source, media_type=document.media_type, size=document.size, metadata=document.metadata)

    async def vacuum(self, run: Run) -> None:
        """Merge the full-text indexes and give free pages back to the disk: the handler of `vacuum` jobs."""
        before = await self._store.size()
        await self._store.read_slowly(integrity.vacuum)
        after = await self._store.size()
        run.progress(done=1, total=1, counters={"bytes_before": before, "bytes_after": after})
        await self._context.changes.updated("rag://stats")

    async def validate(self) -> Validation:
        """Check that documents, passages, full-text index, vectors and the index in memory agree."""
        problems = await self._store.write(integrity.problems)
        for space in await self._store.read(collections.all_spaces):
            embedder, _ = await self._meaning.answering(space)
            if embedder is None or not space.answering:
                continue
            stored = await self._store.read(collections.count, space.id, space.answering)
            wrong = await self._store.read_slowly(integrity.wrong_dimension, space, 2 * embedder.model.dimension)
            if wrong:
                problems.append(f"{wrong} vectors of {space.name} have not {embedder.model.dimension} numbers.")
            elif (found := await self._meaning.vectors.indexed(embedder, space.id)) != stored:
                problems.append(f"The index of {space.name} holds {found} vectors, the database {stored}.")
        checked = "documents, passages, full-text index, vectors, dimensions"
        if self._store.path is not None:
            checked = f"SQLite pages, {checked}, FAISS index"
        return Validation(ok=not problems, problems=problems, checked=checked)

    async def cleanup(self, remove: Sequence[str]) -> Cleanup:
        """Find what can go, and remove of it what `remove` names.

        That is: documents whose file is gone, duplicates, expired and obsolete ones, and what belongs to no document or
        no model any more.

        Returns:
            What was found before, and how much was removed of it; `bytes` of texts and vectors are free for new ones,
            and are given back to the disk by a vacuum.
        """
        today = iso(self._context.clock.now())[:10]
        folders = self._context.settings(RagSettings).folders
        gone = await self._store.read_slowly(integrity.with_files)
        vanished = await anyio.to_thread.run_sync(lambda: [row for row in gone if path_of(row.source) is None])
        obsolete = await anyio.to_thread.run_sync(outside, gone, folders)
        found = await self._store.read_slowly(integrity.removable, today)
        remains = await self._store.read_slowly(integrity.remains)
        by_id = {row.document_id: row for row in [*remains, *obsolete, *found, *vanished]}
        chosen = [identifier for identifier in remove if identifier in by_id]
        removed = await self._store.write(integrity.remove, chosen)
        if chosen:
            await self._context.changes.updated("rag://collections", "rag://stats")
        return Cleanup(found=list(by_id.values()), **removed)


def outside(rows: Sequence[Finding], folders: Sequence[str]) -> list[Finding]:
    """Return the documents whose file is there but no longer below a folder that may be read."""
    allowed = [Path(folder).expanduser().resolve() for folder in folders]

    def obsolete(path: Path | None) -> bool:
        return path is not None and not any(folder in path.parents for folder in allowed)

    if not allowed:
        return []
    reason = "its folder is no longer one of those that may be read"
    return [row.model_copy(update={"reason": reason}) for row in rows if obsolete(path_of(row.source))]


def path_of(uri: str) -> Path | None:
    """Return the path of a `file:` URI; None when no file is there now."""
    path = path_of_uri(uri)
    return path if path.is_file() else None


def _replace(connection: Connection, source: Source, space: Space, vectors: list[bytes], model: str, now: str) -> None:
    """Store a document anew with its vectors in one transaction."""
    actor = connection.execute("SELECT actor FROM documents WHERE id = ?", (source.id,)).fetchone()[0]
    english = space.language == "en"
    documents.put(connection, source, space.id, english=english, actor=actor, now=now, force=True)
    ids = [passage.id for passage in embeddings.searched(connection, source.id)]
    if vectors:
        embeddings.put(connection, model, zip(ids, vectors, strict=True))
