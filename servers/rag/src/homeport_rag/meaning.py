"""Search by meaning: finds the embedding model, embeds passages in the background, looks up the nearest ones.

Without a model everything else works, and every answer says why it does without.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import anyio

from homeport_rag.embedding import VARIABLE, Embedder, LocalEmbedder, find_embedder, install_model
from homeport_rag.inference import TOKENIZER
from homeport_rag.records import Space
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store, collections, embeddings
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Jobs, Run
from homeport_shared.workers import Worker

logger = logging.getLogger(__name__)

Choice = tuple[str, str]
SERVER: Choice = ("", "")
KEY_VARIABLE = "HOMEPORT_RAG_EMBEDDING_KEY"
BATCH = 64  # passages per transaction: about a second of work, the most that a crash makes undone
LOOK_AGAIN = 30.0  # seconds after which a missing model is looked for again
PATIENCE = 1.0  # seconds that a search waits for the model to be found
PREPARING = "The embedding model is being prepared, so only the words of the query are searched for now."


@dataclass(frozen=True, slots=True)
class Found:
    """What a look for a model found.

    Attributes:
        why: Why there is none.
        at: When, on the monotonic clock.
    """

    embedder: Embedder | None
    why: str
    at: float


class Meaning:
    """The embedding models of one data root and what they are used for.

    Every collection may name a model of its own; a choice is the address and name of one, both empty for the model of
    this machine.

    Args:
        context: The server's context.
        store: Where passages come from and vectors go.

    Attributes:
        vectors: Finds the nearest.
    """

    def __init__(self, context: ServerContext, store: Store) -> None:
        self._context = context
        self._store = store
        self._worker = Worker("search by meaning")
        self._found: dict[Choice, Found] = {}
        self._lock = anyio.Lock()
        self._wake = anyio.Event()
        self._grown = anyio.Event()
        self._embedded: dict[str, int] = {}  # model → id up to which every passage has its vector
        self.vectors = store.vectors(self._worker, lambda: context.settings(RagSettings).index_folder)
        context.closing(self._worker.aclose)

    def resolved(self, choice: Choice = SERVER) -> Choice:
        """Return `choice`, or, where it is empty, what the settings of the server choose."""
        if choice[0] or os.environ.get(VARIABLE):
            return choice
        settings = self._context.settings(RagSettings)
        return settings.embedding_address, settings.embedding_model

    async def embedder(self, choice: Choice = SERVER) -> tuple[Embedder | None, str]:
        """Return an embedding model, or None and the reason. Builds it first where only its weights are there."""
        choice = self.resolved(choice)
        async with self._lock:
            if not self._fresh(choice):
                embedder, why = await find_embedder(
                    self._context.home,
                    self._worker,
                    address=choice[0],
                    model=choice[1],
                    key=os.environ.get(KEY_VARIABLE, ""),
                    environment={} if choice[0] else os.environ,
                )
                self._found[choice] = Found(embedder, why, self._context.clock.monotonic())
            return self._found[choice].embedder, self._found[choice].why

    async def ready(self, choice: Choice = SERVER, patience: float = PATIENCE) -> tuple[Embedder | None, str]:
        """Return an embedding model as `embedder` does, without waiting for one that is still being built.

        Args:
            choice: Which one is wanted.
            patience: Most seconds to wait for it to be found; `rag://stats` changes when that takes longer.
        """
        choice = self.resolved(choice)
        if not self._fresh(choice):
            looked = anyio.Event()

            async def look() -> None:
                embedder, _ = await self.embedder(choice)
                looked.set()
                if embedder is not None:
                    await self._context.changes.updated("rag://stats")

            self._context.tasks.start_soon(look)
            with anyio.move_on_after(patience):
                await looked.wait()
        found = self._found.get(choice)
        return (found.embedder, found.why) if found and self._fresh(choice) else (None, PREPARING)

    @property
    def looking(self) -> bool:
        """Whether a model is being looked for or built now."""
        return self._lock.locked()

    async def answering(self, space: Space) -> tuple[Embedder | None, str]:
        """Return the model whose vectors answer for a collection: the former one while they are made anew."""
        embedder, why = await self.ready(space.settings.choice)
        if embedder is None or space.answering in ("", embedder.model.key):
            return embedder, why
        former, _ = await self.ready(space.choice)
        return (former if former and former.model.key == space.answering else embedder), ""

    async def tokenizer(self, choice: Choice = SERVER) -> str:
        """Return the path of the model's `tokenizer.json`; empty when there is none on this machine."""
        embedder, _ = await self.embedder(choice)
        return str(embedder.folder / TOKENIZER) if isinstance(embedder, LocalEmbedder) else ""

    def embedded_up_to(self, model: str) -> int:
        """Return the id of a passage up to which every one has its vector of `model`; 0 where that is not known."""
        return self._embedded.get(model, 0)

    def wake(self) -> None:
        """Have passages without a vector embedded in the background, if there is a model."""
        self._wake.set()

    async def keep_up(self, jobs: Jobs) -> None:
        """Queue an `embed` job whenever woken and something is to embed, for as long as the server lives."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            try:
                for embedder, _, spaces in await self._groups():
                    if await self._unfinished(embedder, spaces):
                        job = await jobs.start("embed", {"model": embedder.model.id}, once=True)
                        await jobs.wait(job.id)
                        break
            except HomeportError:
                logger.exception("passages cannot be embedded now")

    async def keep_settled(self) -> None:
        """Have the vectors put in order at the start and whenever more were made, for as long as the server lives."""
        while True:
            self._grown = anyio.Event()
            try:
                await self.vectors.settle()
            except HomeportError:
                logger.exception("the vectors cannot be put in order now")
            await self._grown.wait()

    async def _groups(self) -> list[tuple[Embedder, Choice, list[Space]]]:
        """Return each model that is there with the collections that want it, and note there that they do."""
        groups: dict[Choice, tuple[Embedder, Choice, list[Space]]] = {}
        for space in await self._store.read(collections.all_spaces):
            choice = self.resolved(space.settings.choice)
            embedder, _ = await self.embedder(choice)
            if embedder is not None:
                if space.wanted != embedder.model.key:
                    await self._store.write(embeddings.want, space, embedder.model.key)
                groups.setdefault(choice, (embedder, choice, []))[2].append(space)
        return list(groups.values())

    async def _unfinished(self, embedder: Embedder, spaces: list[Space]) -> bool:
        missing = await self._store.read(embeddings.missing, spaces, embedder.model.key)
        return missing > 0 or any(space.answering != embedder.model.key for space in spaces)

    async def embed(self, run: Run) -> None:
        """Embed every passage that has no vector of the model its collection wants: the handler of `embed` jobs.

        Raises:
            HomeportError: `unavailable`, `timeout` or `damaged`, when the model does not answer.
        """
        groups = await self._groups()
        if not groups:
            raise HomeportError("unavailable", (await self.embedder())[1])
        done = 0
        for embedder, choice, spaces in groups:
            for space in spaces:  # where nothing answers yet, what is embedded so far does
                if not space.answering:
                    await self._store.write(collections.answer_with, space, embedder.model.key, choice)
            done = await self._embed(run, embedder, spaces, done)
            for space in spaces:
                if space.answering != embedder.model.key:
                    await self._store.write(collections.answer_with, space, embedder.model.key, choice)
        self._grown.set()
        run.progress(done=done, total=done, counters={"chunks": done})
        await self._context.changes.updated("rag://collections", "rag://stats")

    async def _embed(self, run: Run, embedder: Embedder, spaces: list[Space], done: int) -> int:
        model = embedder.model.key
        while missing := await self._store.read_slowly(embeddings.missing, spaces, model):
            run.progress(done=done, total=done + missing, counters={"chunks": done})
            after = self._embedded.get(model, 0)
            passages = await self._store.read_slowly(embeddings.unembedded, spaces, model, after, BATCH)
            if not passages:
                if not after:
                    break
                self._embedded[model] = 0  # a document was moved: look again from the beginning
                continue
            vectors = await embedder.embed([passage.searched for passage in passages])
            pairs = list(zip((p.id for p in passages), vectors, strict=True))
            await self._store.write(embeddings.put, model, pairs)
            self._embedded[model] = passages[-1].id
            done += len(passages)
        return done

    async def install(self, run: Run) -> None:
        """Download and build the default model: the handler of `install_model` jobs; the user has agreed."""

        async def progress(there: int, total: int) -> None:
            run.progress(done=there, total=total, message="bytes")

        await install_model(self._context.home, consent=True, progress=progress)
        self._found.clear()
        self.wake()
        await self._context.changes.updated("rag://stats")

    def _fresh(self, choice: Choice) -> bool:
        found = self._found.get(choice)
        return found is not None and (
            found.embedder is not None or self._context.clock.monotonic() - found.at < LOOK_AGAIN
        )
