"""Search by meaning: one index per collection, kept in the worker process and rebuilt from the database at any time.

The vectors in `knowledge.db` are the truth. What is here follows them by the change log; a hit that went stale between
two looks only costs a place in the ranking, because the caller joins every hit with its chunk.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeport_rag import inference
from homeport_rag.embedding import PATIENCE, Embedder, LocalEmbedder
from homeport_rag.search import Ranking
from homeport_rag.vectors import TRAINING, Flat, Graph, VectorIndex
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import BUSY_MS, explain
from homeport_shared.workers import Worker

if TYPE_CHECKING:
    import numpy as np

GRAPH_FROM = 200_000  # vectors; below, an exact search takes less than 20 ms and a rebuild less than 2 s
MOST_DEAD = 0.2
MOST_UNSAVED = 0.1
BATCH = 10_000
BUILDING = 1800.0  # seconds that a search may wait for a graph of millions to be built anew

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
        return await worker.call(search_text, str(embedder.folder), text, *where, timeout=BUILDING)
    [vector] = await embedder.embed([text])
    return await worker.call(search, vector, *where, timeout=PATIENCE + BUILDING)


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
        return await self._worker.call(search, vector, *where, timeout=BUILDING)

    async def indexed(self, embedder: Embedder, collection: int) -> int:
        """See `VectorSearch`."""
        model = embedder.model
        where = (str(self._database), model.key, model.dimension, collection, self._folder())
        return await self._worker.call(indexed, *where, timeout=BUILDING)

    async def settle(self) -> None:
        """See `VectorSearch`; an index is built when it is next searched."""


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
                place = Path(folder) if folder else Path(database).with_suffix(".vectors")
                if cache is None or (cache.model, cache.dimension, cache.folder) != (model, len(question), place):
                    cache = _caches[database, collection] = CollectionCache(place, model, collection, len(question))
                connection.execute("BEGIN")  # one state of the database for all that is read
                cache.refresh(connection, graph_from)
                connection.execute("COMMIT")
                hits += cache.index.search(question, k)
    except sqlite3.Error as error:
        raise explain(error, Path(database)) from error
    return heapq.nlargest(k, hits, key=lambda hit: (hit[1], -hit[0]))


class CollectionCache:
    """The index of one collection and one model, and how far it has followed the change log.

    Attributes:
        folder: Where its graph is kept.
        index: What is searched.
        sequence: The last entry of the change log that is in `index`; -1 = nothing was read yet.
    """

    def __init__(self, folder: Path, model: str, collection: int, dimension: int) -> None:
        self.folder = folder
        self.model = model
        self.collection = collection
        self.dimension = dimension
        self.index: VectorIndex = Flat(dimension)
        self.sequence = -1
        self._saved = 0
        self._stem = f"{collection}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"

    def refresh(self, connection: sqlite3.Connection, graph_from: int) -> None:
        """Bring the index up to the state of the database that `connection` sees.

        Raises:
            sqlite3.Error: When the database cannot be read.
            HomeportError: `damaged`, when a stored vector has another length than the question's.
        """
        last: int = (connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone() or [0])[0]
        if self.sequence == last:
            return
        unread = self.sequence < 0 and not self._load(last)
        if unread or not self._follow(connection, last) or self._unfit(connection, graph_from):
            self._rebuild(connection, graph_from)
        self.sequence = last
        self._save()

    def _follow(self, connection: sqlite3.Connection, last: int) -> bool:
        """Apply the change log after `sequence`; False when it does not reach back so far or is too long."""
        import numpy as np

        if self.sequence == last:
            return True
        first = connection.execute("SELECT min(seq) FROM changes WHERE seq > ?", (self.sequence,)).fetchone()[0]
        if self.sequence > last or first != self.sequence + 1 or last - first > self.index.count + BATCH:
            return False
        rows = connection.execute(
            "SELECT h.chunk_id, v.vector FROM changes h"
            " LEFT JOIN chunks c ON c.id = h.chunk_id AND c.collection_id = h.collection_id"
            " LEFT JOIN vectors v ON v.chunk_id = c.id AND v.model_id = h.model_id"
            " WHERE h.seq > ? AND h.collection_id = ? AND h.model_id = ? GROUP BY h.chunk_id",
            (self.sequence, self.collection, self.model),
        ).fetchall()
        if rows:
            self.index.remove(np.array([row[0] for row in rows], np.int64))
            self._add([row for row in rows if row[1] is not None])
        return True

    def _unfit(self, connection: sqlite3.Connection, graph_from: int) -> bool:
        """Tell whether the index misses something, or has become the wrong kind for its size."""
        if self.index.count != self._count(connection):
            return True
        if isinstance(self.index, Graph):
            return self.index.dead_share > MOST_DEAD
        return self.index.count >= graph_from

    def _rebuild(self, connection: sqlite3.Connection, graph_from: int) -> None:
        if self._count(connection) < graph_from:
            self.index = Flat(self.dimension)
        else:
            self.index = Graph.trained(self._matrix(next(self._rows(connection, TRAINING))))
        for rows in self._rows(connection, BATCH):
            self._add(rows)
        self._saved = 0

    def _rows(self, connection: sqlite3.Connection, size: int) -> Iterator[list[tuple[int, bytes]]]:
        """Yield the collection's vectors with their chunk ids, `size` at a time."""
        rows = connection.execute(
            "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.chunk_id = c.id AND v.model_id = ?"
            " WHERE c.collection_id = ?",
            (self.model, self.collection),
        )
        while batch := rows.fetchmany(size):
            yield batch

    def _count(self, connection: sqlite3.Connection) -> int:
        row = connection.execute(
            "SELECT count FROM counts WHERE collection_id = ? AND model_id = ?", (self.collection, self.model)
        ).fetchone()
        return row[0] if row else 0

    def _add(self, rows: Sequence[tuple[int, bytes]]) -> None:
        import numpy as np

        if rows:
            self.index.add(np.array([row[0] for row in rows], np.int64), self._matrix(rows))

    def _matrix(self, rows: Sequence[tuple[int, bytes]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        import numpy as np

        if wrong := next((row[0] for row in rows if len(row[1]) != 2 * self.dimension), None):
            raise HomeportError(
                "damaged", f"The stored vector of chunk {wrong} has not {self.dimension} numbers.", "Index it again."
            )
        data = b"".join(row[1] for row in rows)
        return np.frombuffer(data, "<f2").reshape(-1, self.dimension).astype(np.float32)

    def _load(self, last: int) -> bool:
        """Take the newest graph on disk that is whole; its name holds its place in the log and its SHA-256."""
        for path in sorted(self.folder.glob(f"{self._stem}-*.faiss"), reverse=True):
            _, _, sequence, digest = path.stem.split("-")
            if int(sequence) > last or _digest(path) != digest:
                continue
            graph = Graph.read(path)
            if graph.dimension == self.dimension:
                self.index, self.sequence, self._saved = graph, int(sequence), int(sequence)
                return True
        return False

    def _save(self) -> None:
        """Keep a graph on disk when enough has changed since; a crash leaves the old file or the new one, whole."""
        if not isinstance(self.index, Graph) or self.sequence - self._saved <= MOST_UNSAVED * self.index.count:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as folder:
                fresh = Path(folder, "new")
                self.index.write(fresh)
                with fresh.open("rb+") as file:
                    os.fsync(file.fileno())
                name = f"{self._stem}-{self.sequence:012d}-{_digest(fresh)}.faiss"
                fresh.replace(self.folder / name)
            for path in self.folder.glob(f"{self._stem}-*.faiss"):
                if path.name != name:
                    path.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:  # a full disk costs the next start a rebuild, nothing else
            sys.stderr.write(f"the vector index was not saved: {error}\n")
        self._saved = self.sequence


def _open(database: Path) -> sqlite3.Connection:
    address = f"{database.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000, isolation_level=None)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
