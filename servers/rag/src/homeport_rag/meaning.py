"""Search by meaning: finds the embedding model, embeds passages in the background, looks up the nearest ones.

Without a model everything else works, and every answer says why it does without.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import anyio

from homeport_rag.embedding import Embedder, LocalEmbedder, find_embedder, install_model
from homeport_rag.inference import TOKENIZER
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store
from homeport_rag.vector_cache import Hits, nearest
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Jobs, Run
from homeport_shared.workers import Worker

logger = logging.getLogger(__name__)

KEY_VARIABLE = "HOMEPORT_RAG_EMBEDDING_KEY"
BATCH = 64  # passages per transaction: about a second of work, the most that a crash makes undone
LOOK_AGAIN = 30.0  # seconds after which a missing model is looked for again
PATIENCE = 1.0  # seconds that a search waits for the model to be found
PREPARING = "The embedding model is being prepared, so only the words of the query are searched for now."


class Meaning:
    """The embedding model of one data root and what it is used for.

    Args:
        context: The server's context.
        store: Where passages come from and vectors go.
    """

    def __init__(self, context: ServerContext, store: Store) -> None:
        self._context = context
        self._store = store
        self._worker = Worker("search by meaning")
        self._found: tuple[Embedder | None, str] = (None, PREPARING)
        self._choice: tuple[str, str] | None = None  # the settings that `_found` was found with
        self._at = 0.0
        self._lock = anyio.Lock()
        self._wake = anyio.Event()
        self._embedded: dict[str, int] = {}  # model → id up to which every passage has its vector
        context.closing(self._worker.aclose)

    async def embedder(self) -> tuple[Embedder | None, str]:
        """Return the embedding model, or None and the reason. Builds it first where only its weights are there."""
        async with self._lock:
            if not self._fresh():
                address, model = choice = self._wanted()
                key = os.environ.get(KEY_VARIABLE, "")
                self._found = await find_embedder(
                    self._context.home, self._worker, address=address, model=model, key=key
                )
                self._choice, self._at = choice, self._context.clock.monotonic()
            return self._found

    async def ready(self) -> tuple[Embedder | None, str]:
        """Return the embedding model as `embedder` does, without waiting for one that is still being built."""
        if not self._fresh():
            looked = anyio.Event()

            async def look() -> None:
                await self.embedder()
                looked.set()

            self._context.tasks.start_soon(look)
            with anyio.move_on_after(PATIENCE):
                await looked.wait()
        return self._found if self._fresh() else (None, PREPARING)

    async def nearest(self, embedder: Embedder, text: str, scope: Iterable[int], limit: int) -> Hits:
        """Return the passages nearest to `text` in the collections `scope`: (chunk id, cosine), nearest first.

        Raises:
            HomeportError: `unavailable`, `timeout` or `damaged`, when model or index do not answer.
        """
        return await nearest(self._worker, embedder, self._store.path, list(scope), text, limit)

    async def tokenizer(self) -> str:
        """Return the path of the model's `tokenizer.json`; empty when there is none on this machine."""
        embedder, _ = await self.embedder()
        return str(embedder.folder / TOKENIZER) if isinstance(embedder, LocalEmbedder) else ""

    def wake(self) -> None:
        """Have passages without a vector embedded in the background, if there is a model."""
        self._wake.set()

    async def keep_up(self, jobs: Jobs) -> None:
        """Queue an `embed` job whenever woken and something is to embed, for as long as the server lives."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            try:
                embedder, _ = await self.embedder()
                if embedder and await self._behind(embedder):
                    job = await jobs.start("embed", {"model": embedder.model.id}, once=True)
                    await jobs.wait(job.id)
            except HomeportError:
                logger.exception("passages cannot be embedded now")

    async def _behind(self, embedder: Embedder) -> bool:
        """Say whether a passage has no vector; if none, remember so that the next look costs nothing."""
        last = await self._store.last_passage()
        if await self._store.unembedded(embedder.model.key, self._after(embedder), 1):
            return True
        self._embedded[embedder.model.key] = last
        return False

    async def embed(self, run: Run) -> None:
        """Embed every passage that has no vector of the present model: the handler of `embed` jobs.

        Raises:
            HomeportError: `unavailable`, `timeout` or `damaged`, when the model does not answer.
        """
        embedder, reason = await self.embedder()
        if embedder is None:
            raise HomeportError("unavailable", reason)
        model, done = embedder.model.key, 0
        while passages := await self._store.unembedded(model, self._after(embedder), BATCH):
            total = done + await self._store.count_after(self._after(embedder))
            run.progress(done=done, total=total, counters={"chunks": done})
            texts = [passage.searched for passage in passages]
            vectors = await embedder.embed(texts)
            await self._store.put_vectors(model, zip((p.id for p in passages), vectors, strict=True))
            self._embedded[model] = passages[-1].id
            done += len(passages)
        run.progress(done=done, total=done, counters={"chunks": done})
        await self._context.changes.updated("rag://collections", "rag://stats")

    async def install(self, run: Run) -> None:
        """Download and build the default model: the handler of `install_model` jobs; the user has agreed."""

        async def progress(there: int, total: int) -> None:
            run.progress(done=there, total=total, message="bytes")

        await install_model(self._context.home, consent=True, progress=progress)
        self._choice = None
        self.wake()
        await self._context.changes.updated("rag://stats")

    def _after(self, embedder: Embedder) -> int:
        return self._embedded.get(embedder.model.key, 0)

    def _wanted(self) -> tuple[str, str]:
        settings = self._context.settings(RagSettings)
        return settings.embedding_address, settings.embedding_model

    def _fresh(self) -> bool:
        if self._choice != self._wanted():
            return False
        return self._found[0] is not None or self._context.clock.monotonic() - self._at < LOOK_AGAIN
