"""Search by meaning: one index per collection, kept in the worker process and rebuilt from the database at any time.

The vectors in `knowledge.db` are the truth. What is here follows them by the change log; a hit that went stale between
two looks only costs a place in the ranking, because the caller joins every hit with its chunk.
"""

from __future__ import annotations

import heapq
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread

from homeport_rag import inference
from homeport_rag.collection_cache import CollectionCache, last_change, stale
from homeport_rag.embedding import PATIENCE, Embedder, LocalEmbedder
from homeport_rag.graph_files import GraphFiles
from homeport_rag.search import Ranking
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import BUSY_MS, explain
from homeport_shared.workers import Worker

logger = logging.getLogger(__name__)
GRAPH_FROM = 200_000  # vectors; below, an exact search takes less than 20 ms and a rebuild less than 2 s
READING = 300.0  # seconds that a search may wait for millions of vectors to be read

_caches: dict[tuple[str, int], CollectionCache] = {}


async def nearest(
    worker: Worker,
    embedder: Embedder,
    database: Path,
    collections: Sequence[int],
    text: str,
    k: int,
    *,
    graph_from: int = GRAPH_FROM,
    folder: str = "",
) -> Ranking:
    """Return the chunks whose vectors are nearest to that of `text`, as (chunk id, cosine), nearest first.

    Args:
        worker: Keeps the indexes; the same one that runs a local embedder, so that one call does all.
        embedder: Makes the vector of `text`; only vectors of the same model are compared.
        database: `knowledge.db`.
        collections: Ids of the collections that are searched.
        text: The question.
        k: The most hits.
        graph_from: The number of vectors from which a collection gets a graph.
        folder: Where graphs are kept; empty = beside the database.

    Raises:
        HomeportError: `unavailable`, `timeout` or `damaged`, when the model or the database does not answer.
    """
    where = (str(database), embedder.model.key, list(collections), k, graph_from, folder)
    if isinstance(embedder, LocalEmbedder):
        return await worker.call(search_text, str(embedder.folder), text, *where, timeout=READING)
    [vector] = await embedder.embed([text])
    return await worker.call(search, vector, *where, timeout=PATIENCE + READING)


class VectorCache:
    """Search by meaning with FAISS; see `homeport_rag.store.VectorSearch`.

    Args:
        worker: Keeps the indexes.
        database: `knowledge.db`.
        folder: Returns where graphs are kept; empty = beside the database.
    """

    def __init__(self, worker: Worker, database: Path, folder: Callable[[], str]) -> None:
        self._worker = worker
        self._database = database
        self._folder = folder

    async def nearest(self, embedder: Embedder, text: str, scope: Sequence[int], limit: int) -> Ranking:
        """See `VectorSearch`."""
        return await nearest(self._worker, embedder, self._database, scope, text, limit, folder=self._folder())

    async def nearest_to(self, embedder: Embedder, vector: bytes, scope: Sequence[int], limit: int) -> Ranking:
        """See `VectorSearch`."""
        where = (str(self._database), embedder.model.key, list(scope), limit, GRAPH_FROM, self._folder())
        return await self._worker.call(search, vector, *where, timeout=READING)

    async def indexed(self, embedder: Embedder, collection: int) -> int:
        """See `VectorSearch`."""
        model = embedder.model
        where = (str(self._database), model.key, model.dimension, collection, self._folder())
        return await self._worker.call(indexed, *where, timeout=READING)

    async def settle(self) -> None:
        """See `VectorSearch`; graphs are built by a process of their own, and searches go on meanwhile."""
        folder = place_of(self._database, self._folder())
        wanted = await anyio.to_thread.run_sync(without_graph, self._database, GRAPH_FROM, folder)
        builder = Worker("graph of vectors", background=True)
        try:
            for collection, model in wanted:
                await builder.call(build, str(self._database), model, collection, str(folder))
        except HomeportError as error:  # what is stored is found without a graph, too
            logger.warning("the vectors have no graph now: %s", error)
        finally:
            await builder.aclose()


def place_of(database: Path, folder: str) -> Path:
    """Return where graphs are kept; an empty `folder` is beside the database."""
    return Path(folder) if folder else database.with_suffix(".vectors")


def without_graph(database: Path, graph_from: int, folder: Path) -> list[tuple[int, str]]:
    """Return each collection and model that has many vectors and no graph on disk, or one that is far behind.

    Raises:
        HomeportError: `damaged` or `unavailable`, when SQLite says so.
    """
    if not database.exists():
        return []
    many = "SELECT collection_id, model_id, count FROM counts WHERE model_id != '*' AND count >= ?"
    try:
        with closing(_open(database)) as connection:
            last, rows = last_change(connection), connection.execute(many, (graph_from,)).fetchall()
    except sqlite3.Error as error:
        raise explain(error, database) from error
    return [
        (collection, model)
        for collection, model, count in rows
        if stale(GraphFiles(folder, collection, model).newest(), last, count)
    ]


def build(database: str, model: str, collection: int, folder: str) -> None:
    """Build the graph of a collection and write it to `folder`; runs in a worker, for minutes where there are many.

    Raises:
        HomeportError: `damaged` or `unavailable`, when SQLite says so.
    """
    one = (
        "SELECT length(v.vector) / 2 FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
        " WHERE c.collection_id = ? LIMIT 1"
    )
    try:
        with closing(_open(Path(database))) as connection:
            connection.execute("BEGIN")  # one state of the database for all that is read
            if row := connection.execute(one, (model, collection)).fetchone():
                CollectionCache(Path(folder), model, collection, row[0]).build(connection)
    except sqlite3.Error as error:
        raise explain(error, Path(database)) from error


def indexed(database: str, model: str, dimension: int, collection: int, folder: str = "") -> int:
    """Return how many vectors the index of a collection holds once it follows the database; runs in the worker.

    Raises:
        HomeportError: `damaged` or `unavailable`, when SQLite says so.
    """
    import numpy as np

    search(np.zeros(dimension, "<f2").tobytes(), database, model, [collection], 1, GRAPH_FROM, folder)
    return _caches[database, collection].index.count


def search_text(folder: str, text: str, *where: Any) -> Ranking:
    """Embed `text` with the model in `folder`, and `search`; runs in the worker."""
    return search(inference.embed(folder, [text])[0], *where)


def search(
    vector: bytes, database: str, model: str, collections: Sequence[int], k: int, graph_from: int, folder: str = ""
) -> Ranking:
    """Return the `k` chunks nearest to `vector` (float16, little endian); runs in the worker.

    Raises:
        HomeportError: `damaged` or `unavailable`, when SQLite says so.
    """
    import numpy as np

    question = np.frombuffer(vector, "<f2").astype(np.float32)
    hits: Ranking = []
    try:
        with closing(_open(Path(database))) as connection:
            for collection in collections:
                cache = _caches.get((database, collection))
                place = place_of(Path(database), folder)
                if cache is None or (cache.model, cache.dimension, cache.files.folder) != (model, len(question), place):
                    cache = _caches[database, collection] = CollectionCache(place, model, collection, len(question))
                connection.execute("BEGIN")  # one state of the database for all that is read
                cache.refresh(connection, graph_from)
                hits += cache.search(connection, question, k)
                connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise explain(error, Path(database)) from error
    return heapq.nlargest(k, hits, key=lambda hit: (hit[1], -hit[0]))


def _open(database: Path) -> sqlite3.Connection:
    address = f"{database.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000, isolation_level=None)
