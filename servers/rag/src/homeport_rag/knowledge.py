"""The knowledge base: what the tools do, without MCP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import anyio.to_thread

from homeport_rag import reading
from homeport_rag.embedding import install_model
from homeport_rag.ingest import Ingest, Order
from homeport_rag.meaning import Meaning
from homeport_rag.results import (
    Added,
    Deleted,
    DocumentList,
    DocumentText,
    JobInfo,
    Named,
    Stats,
)
from homeport_rag.retrieval import Retrieval
from homeport_rag.settings import RagSettings
from homeport_rag.sources import folder_at, locate
from homeport_rag.store import Store
from homeport_shared import identity, paging, settings
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Job, Jobs

PAGE = 50
WINDOW = 20_000  # characters of a document that are returned at once
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Knowledge:
    """Documents that can be searched by words and by meaning.

    Args:
        context: The server's context.
    """

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self.store = Store(context.folder / "knowledge.db")
        self.meaning = Meaning(context, self.store)
        self.retrieval = Retrieval(self.store, self.meaning)
        ingest = Ingest(context, self.store, self.meaning)
        handlers = {"ingest": ingest.run, "embed": self.meaning.embed, "install_model": self.meaning.install}
        self.jobs = Jobs(context, handlers)
        context.tasks.start_soon(self.meaning.keep_up, self.jobs)
        context.closing(self.store.aclose)

    async def add_text(
        self, text: str, *, title: str, collection: str, metadata: dict[str, Any], document_id: str, uri: str
    ) -> Added:
        """Store a given text as a document, or replace the one of that id.

        Raises:
            HomeportError: `invalid`, when the text is empty; `not_found`, when there is no such collection.
        """
        if not text.strip():
            raise HomeportError("invalid", "The text is empty.", "Give some text, or a path to a file or folder.")
        now = iso(self._context.clock.now())
        identifier = document_id or hashlib.sha256(f"{collection}\n{uri}\n{title}\n{text}".encode()).hexdigest()[:16]
        source = await anyio.to_thread.run_sync(
            reading.given, text, identifier, uri or f"rag://documents/{identifier}", title, now
        )
        source = replace(source, metadata=metadata)
        outcome = await self.store.put(source, collection, actor=identity.current().actor, now=now)
        await self._context.changes.updated("rag://collections", "rag://stats", f"rag://documents/{identifier}")
        self.meaning.wake()
        return Added(document_id=identifier, job_id="", outcome=outcome)

    async def add_paths(self, paths: Sequence[str], *, collection: str, metadata: dict[str, Any], prune: bool) -> Job:
        """Queue the job that takes files and folders in.

        Args:
            paths: Files and folders.
            collection: Where they go.
            metadata: For every document.
            prune: Also remove documents whose file below `paths` is gone.

        Raises:
            HomeportError: `denied`, when a path is outside of the allowed folders; `not_found`.
        """
        folders = self._context.settings(RagSettings).folders
        home = str(self._context.home)
        absolute = [await anyio.to_thread.run_sync(locate, path, folders, home) for path in paths]
        await self.store.scope([collection])
        order = Order(absolute, collection, prune, metadata, identity.current().actor)
        return await self.jobs.start("ingest", asdict(order), once=True)

    async def add_folder(self, path: str) -> Named:
        """Allow the documents below a folder to be read, from now on.

        Raises:
            HomeportError: `not_found`, when it is no folder; `denied`, when the command line says which are allowed.
        """
        folder = await anyio.to_thread.run_sync(folder_at, path)
        if self._context.flags.get("folders"):
            raise HomeportError(
                "denied",
                "The folders of this server are those on its command line.",
                "Start it with --folders and all of them.",
            )
        folders = self._context.settings(RagSettings).folders
        if folder not in folders:
            settings.save(self._context.home, self._context.name, {"folders": [*folders, folder]})
            await self._context.changes.updated("rag://stats")
        return Named(id=folder, state="allowed")

    async def install_model(self, *, consent: bool) -> Job:
        """Queue the job that downloads and builds the embedding model.

        Raises:
            HomeportError: `approval_required` without consent.
        """
        if not consent:
            await install_model(self._context.home, consent=False)
        return await self.jobs.start("install_model", {}, once=True)

    async def get(self, document_id: str, chunk_id: int, line: int) -> DocumentText:
        """Return a document's text from `line` on, or just the passage `chunk_id` of it.

        Raises:
            HomeportError: `not_found`.
        """
        document = await self.store.document(document_id)
        lines = (await self.store.text(document_id)).split("\n")
        shown = _window(lines[line - 1 :])
        if chunk_id:
            hits = [hit for hit in await self.store.hits([chunk_id]) if hit.document_id == document_id]
            if not hits:
                raise HomeportError(
                    "not_found", f"The document {document_id} has no passage {chunk_id}.", "Search again."
                )
            line, shown = hits[0].line, hits[0].text.split("\n")
        last = line + len(shown) - 1
        return DocumentText(
            document_id=document_id,
            title=document.title,
            uri=document.uri,
            collection=document.collection,
            metadata=document.metadata,
            text="\n".join(shown),
            line=line,
            end_line=last,
            lines=len(lines),
            next_line=last + 1 if last < len(lines) else 0,
        )

    async def list_documents(self, collection: str, cursor: str) -> DocumentList:
        """Return one page of the documents, in the order of their titles."""
        position = paging.decode(cursor)
        after = (str(position.get("title", "")), str(position.get("id", "")))
        documents = await self.store.documents(collection, after=after, limit=PAGE + 1)
        more = len(documents) > PAGE
        last = documents[PAGE - 1] if more else None
        following = paging.encode({"title": last.title, "id": last.document_id}) if last else ""
        return DocumentList(documents=documents[:PAGE], next_cursor=following)

    async def delete(self, document_ids: Sequence[str]) -> Deleted:
        """Delete documents with their passages and vectors."""
        documents, chunks, missing = await self.store.delete(document_ids)
        uris = [f"rag://documents/{identifier}" for identifier in document_ids if identifier not in missing]
        await self._context.changes.updated("rag://collections", "rag://stats", *uris)
        return Deleted(documents=documents, chunks=chunks, missing=missing)

    async def create_collection(self, name: str, language: str) -> Named:
        """Create an empty collection.

        Raises:
            HomeportError: `invalid`, when the name has other characters than a-z, 0-9, - and _; `conflict`.
        """
        if not NAME.fullmatch(name):
            raise HomeportError("invalid", f"{name!r} is no name for a collection.", "Use a-z, 0-9, - and _ only.")
        await self.store.create_collection(name, language, iso(self._context.clock.now()))
        await self._context.changes.updated("rag://collections", "rag://stats")
        return Named(id=name, state="new")

    async def delete_collection(self, name: str, confirm: str) -> Deleted:
        """Delete a collection and everything in it; a built-in one is emptied.

        Raises:
            HomeportError: `denied`, when `confirm` does not repeat the name; `not_found`.
        """
        if confirm != name:
            raise HomeportError(
                "denied", f"Deleting the collection {name!r} cannot be undone.", "Repeat its name as confirm."
            )
        documents, chunks = await self.store.delete_collection(name)
        await self._context.changes.updated("rag://collections", "rag://stats")
        return Deleted(documents=documents, chunks=chunks, missing=[])

    async def stats(self) -> Stats:
        """Return the state of the knowledge base."""
        embedder, why = await self.meaning.ready()
        collections = await self.store.collections(embedder.model.key if embedder else "")
        path = self.store.path
        size = sum(p.stat().st_size for p in (path, path.with_name(path.name + "-wal")) if p.exists())
        folders = self._context.settings(RagSettings).folders
        model = f"{embedder.model.id} ({embedder.model.dimension} dimensions)" if embedder else ""
        return Stats(collections=collections, folders=folders, bytes=size, model=model, why=why)

    def job_info(self, job: Job) -> JobInfo:
        """Return `job` as it is shown."""
        elapsed = job.elapsed(self._context.clock.now())
        counters = dict(job.counters)
        if elapsed and "chunks" in counters:
            counters["chunks_per_second"] = round(counters["chunks"] / elapsed, 1)
        if job.state == "running":
            counters["memory_mb"] = _memory_mb()
        return JobInfo(
            job_id=job.id,
            kind=job.kind,
            state=job.state,
            done=job.done,
            total=job.total,
            message=job.message,
            counters=counters,
            notes=job.notes,
            seconds=elapsed,
            error=job.error,
        )


def _memory_mb() -> float:
    """Return the resident memory of this process and its workers in megabytes."""
    import psutil

    ours = psutil.Process()
    size = ours.memory_info().rss
    for child in ours.children():
        with suppress(psutil.Error):  # it ended meanwhile
            size += child.memory_info().rss
    return round(size / 1e6, 1)


def _window(lines: list[str]) -> list[str]:
    """Return as many of `lines` as fit into `WINDOW` characters, at least one, which is cut where it is longer."""
    shown: list[str] = []
    size = 0
    for text in lines:
        if shown and size + len(text) >= WINDOW:
            break
        shown.append(text[:WINDOW])
        size += len(text) + 1
    return shown
