"""The knowledge base: its parts, how things come in, and its state; what the tools do, without MCP."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import anyio.to_thread

from homeport_rag.configuration import Configuration
from homeport_rag.embedding import install_model
from homeport_rag.entries import Entries
from homeport_rag.ingest import Ingest, Order
from homeport_rag.insight import Insight
from homeport_rag.library import Library
from homeport_rag.meaning import KEY_VARIABLE, Meaning
from homeport_rag.memory import Memory
from homeport_rag.overview import overview
from homeport_rag.relations import Relations
from homeport_rag.reranking import Reranker
from homeport_rag.results.documents import Named
from homeport_rag.results.upkeep import Model, ModelList, Overview
from homeport_rag.retrieval import Retrieval
from homeport_rag.settings import RagSettings
from homeport_rag.sources import folder_at, locate
from homeport_rag.store import collections, documents, store_for
from homeport_rag.upkeep import Upkeep
from homeport_rag.uploads import Inbox
from homeport_rag.watching import COLLECTION, KIND, Watching
from homeport_rag.watchlist import Watchlist
from homeport_shared import identity, settings
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.job_rows import JobRow, job_row
from homeport_shared.jobs import Job, Jobs


class Knowledge:
    """Documents that can be searched by words and by meaning.

    Args:
        context: The server's context.
    """

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self.store = store_for(context.folder, context.settings(RagSettings).database)
        self.meaning = Meaning(context, self.store)
        self.retrieval = Retrieval(self.store, self.meaning, self._reranker)
        self._ingest = Ingest(context, self.store, self.meaning)
        self.library = Library(context, self.store, self.meaning, self._ingest)
        self.entries = Entries(context, self.store, self.meaning, self.library)
        self.upkeep = Upkeep(context, self.store, self.meaning, self._ingest)
        self.inbox = Inbox(context, self.store, self.meaning, self._ingest, self.library)
        self.insight = Insight(context, self.store, self.retrieval)
        self.watchlist = Watchlist(context, self.store, self.retrieval)
        self.relations = Relations(self.store, self.meaning)
        self.memory = Memory(context, self.store, self.meaning, self.retrieval)
        handlers = {
            "ingest": self._ingest.run,
            KIND: self._ingest.run,
            "embed": self.meaning.embed,
            "upload": self.inbox.run,
            "rebuild": self.upkeep.rebuild,
            "vacuum": self.upkeep.vacuum,
            "install_model": self.meaning.install,
        }
        self.jobs = Jobs(context, handlers)
        context.tasks.start_soon(self.meaning.keep_up, self.jobs)
        context.tasks.start_soon(self.meaning.keep_settled)
        self.watching = Watching(context, self.store, self.jobs)
        context.tasks.start_soon(self.watching.run)
        self.configuration = Configuration(context, self.meaning, self.watching)
        context.tasks.start_soon(self.watchlist.alert)
        context.tasks.start_soon(self.store.keep_warm)
        context.closing(self.store.aclose)

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
        await self.store.read(collections.space, collection)
        order = Order(absolute, collection, prune, metadata, identity.current().actor)
        return await self.jobs.start("ingest", asdict(order), once=True)

    async def sync_folder(self, path: str, collection: str) -> Job:
        """Queue the job that takes in what is new or changed in a folder and removes what is gone from it.

        A watched folder has such a job of its own; it is not read twice at a time.

        Raises:
            HomeportError: As `add_paths`.
        """
        folders = self._context.settings(RagSettings).folders
        folder = await anyio.to_thread.run_sync(locate, path, folders, str(self._context.home))
        if collection == COLLECTION and self.watching.covers(folder):
            job = await self.watching.start(folder)
            self.watching.wake()  # it may be watched only now
            return job
        return await self.add_paths([path], collection=collection, metadata={}, prune=True)

    async def add_folder(self, path: str, *, watch: bool = False) -> Named:
        """Allow the documents below a folder to be read, from now on; with `watch`, take its changes in as they come.

        Raises:
            HomeportError: `not_found`, when it is no folder; `denied`, when it is Homeport's own, or the command line
                says which are allowed.
        """
        folder = await anyio.to_thread.run_sync(folder_at, path, str(self._context.home))
        if self._context.flags.get("folders"):
            raise HomeportError(
                "denied",
                "The folders of this server are those on its command line.",
                "Start it with --folders and all of them.",
            )
        chosen = self._context.settings(RagSettings)
        news = {"folders": chosen.folders} | ({"watch": chosen.watch} if watch else {})
        news = {name: [*known, folder] for name, known in news.items() if folder not in known}
        if news:
            settings.save(self._context.home, self._context.name, news)
            await self._context.changes.updated("rag://stats", "rag://settings")
        return Named(id=folder, state="allowed")

    async def install_model(self, *, consent: bool) -> Job:
        """Queue the job that downloads and builds the embedding model.

        Raises:
            HomeportError: `approval_required` without consent.
        """
        if not consent:
            await install_model(self._context.home, consent=False)
        return await self.jobs.start("install_model", {}, once=True)

    async def rebuild(self, document_ids: Sequence[str], names: Sequence[str]) -> Job:
        """Queue the job that reads and embeds documents anew: the named ones, or all of the named collections, or all.

        Raises:
            HomeportError: `not_found`.
        """
        for identifier in document_ids:
            await self.store.read(documents.document, identifier)
        spaces = await self.store.read(collections.spaces, names)
        params = {"documents": list(document_ids), "collections": [] if document_ids else [s.name for s in spaces]}
        return await self.jobs.start("rebuild", params, once=True)

    async def models(self) -> ModelList:
        """Return the embedding models that collections use, each after one question to it."""
        found: dict[tuple[str, str], Model] = {}
        for space in await self.store.read(collections.spaces, []):
            choice = self.meaning.resolved(space.settings.choice)
            if choice not in found:
                found[choice] = await self.try_model(*choice)
            found[choice].collections.append(space.name)
        return ModelList(models=list(found.values()))

    async def try_model(self, address: str, model: str) -> Model:
        """Embed a sample with a model and say how that went."""
        embedder, why = await self.meaning.embedder((address, model))
        began, dimension, language = time.perf_counter(), 0, ""
        if embedder:
            try:
                [vector] = await embedder.embed(["The quick brown fox jumps over the lazy dog."])
                dimension, language = len(vector) // 2, embedder.model.language
            except HomeportError as error:
                why = str(error)
        taken = round(1000 * (time.perf_counter() - began), 1)
        name = embedder.model.id if embedder else model
        return Model(
            id=name,
            dimension=dimension,
            language=language,
            address=address,
            collections=[],
            milliseconds=taken,
            why=why,
        )

    async def stats(self) -> Overview:
        """Return the state of the knowledge base."""
        return await overview(self._context, self.store, self.meaning)

    def job_row(self, job: Job) -> JobRow:
        """Return `job` as it is shown, with how fast it is and how much memory it is done in."""
        row = job_row(self.jobs, job)
        if row.seconds and "chunks" in row.counters:
            row.counters["chunks_per_second"] = round(row.counters["chunks"] / row.seconds, 1)
        if row.state == "running":
            row.counters["memory_mb"] = _memory_mb()
        return row

    def _reranker(self) -> Reranker | None:
        chosen = self._context.settings(RagSettings)
        if not chosen.rerank_address or not chosen.rerank_model:
            return None
        return Reranker(chosen.rerank_address, chosen.rerank_model, os.environ.get(KEY_VARIABLE, ""))


def _memory_mb() -> float:
    """Return the resident memory of this process and its workers in megabytes."""
    import psutil

    ours = psutil.Process()
    size = ours.memory_info().rss
    for child in ours.children():
        with suppress(psutil.Error):  # it ended meanwhile
            size += child.memory_info().rss
    return round(size / 1e6, 1)
