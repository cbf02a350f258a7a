"""The index of one collection in memory, which follows the change log of the database."""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from homeport_rag.graph_files import GraphFiles
from homeport_rag.search import Ranking
from homeport_rag.vectors import TRAINING, Flat, Graph, VectorIndex
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from homeport_rag.vectors import Floats

MOST_DEAD = 0.2
MOST_UNSAVED = 0.1
LEAST_RANKED = 100  # hits of a graph that are compared once more, or twice as many as are wanted
BATCH = 10_000
STORED = "SELECT chunk_id, vector FROM vectors WHERE model_id = ? AND chunk_id IN (SELECT value FROM json_each(?))"


class CollectionCache:
    """The index of one collection and one model, and how far it has followed the change log.

    Attributes:
        files: Where its graph is kept.
        index: What is searched.
        sequence: The last entry of the change log that is in `index`; -1 = nothing was read yet.
    """

    def __init__(self, folder: Path, model: str, collection: int, dimension: int) -> None:
        self.files = GraphFiles(folder, collection, model)
        self.model = model
        self.collection = collection
        self.dimension = dimension
        self.index: VectorIndex = Flat(dimension)
        self.sequence = -1
        self._kept = -1  # the entry that the file which was read or written last has

    def refresh(self, connection: sqlite3.Connection, graph_from: int) -> None:
        """Bring the index up to the state of the database that `connection` sees, without building a graph.

        Raises:
            sqlite3.Error: When the database cannot be read.
            HomeportError: `damaged`, when a stored vector has another length than the question's.
        """
        last = last_change(connection)
        if self._outgrown(graph_from) and self.files.newest() > self._kept:
            self._take_graph(last)
        if self.sequence == last:
            return
        unread = self.sequence < 0 and not self._take_graph(last)
        if unread or not self._follow(connection, last) or self.index.count != self._count(connection):
            self.index, self._kept = Flat(self.dimension), -1
            self._add_all(connection)
            self.files.remove()  # what is there does not fit either
        self.sequence = last
        self._keep_graph()

    def search(self, connection: sqlite3.Connection, question: Floats, k: int) -> Ranking:
        """Return the `k` chunks nearest to `question`, float32 (dimension,), as (id, cosine), nearest first.

        A graph knows 8 bits of each number, so what it finds is ranked by the vectors that are stored.
        """
        if not isinstance(self.index, Graph):
            return self.index.search(question, k)
        found = [identifier for identifier, _ in self.index.search(question, max(2 * k, LEAST_RANKED))]
        rows = connection.execute(STORED, (self.model, json.dumps(found))).fetchall()
        scores = (self._matrix(rows) @ question).tolist()
        ranked = zip((row[0] for row in rows), scores, strict=True)
        return heapq.nlargest(k, ranked, key=lambda hit: (hit[1], -hit[0]))

    def build(self, connection: sqlite3.Connection) -> None:
        """Make the file of a graph of all that `connection` sees, unless one is there that can go on.

        Raises:
            sqlite3.Error: When the database cannot be read.
            HomeportError: `damaged`, when the stored vectors have different lengths.
        """
        last = last_change(connection)
        followed = self._take_graph(last) and self._follow(connection, last)
        if not followed or self.index.count != self._count(connection) or self._outgrown(0):
            self.index, self._kept = Graph.trained(self._matrix(next(self._rows(connection, TRAINING)))), -1
            self._add_all(connection)
        self.sequence = last
        self._keep_graph()

    def _outgrown(self, graph_from: int) -> bool:
        """Tell whether another graph is wanted than what is searched."""
        if isinstance(self.index, Graph):
            return self.index.dead_share > MOST_DEAD
        return self.index.count >= graph_from

    def _take_graph(self, last: int) -> bool:
        """Search the newest graph on disk from now on; False when there is none that is whole."""
        self._kept = self.files.newest()
        found = self.files.read(last, self.dimension)
        if found is not None:
            self.sequence, self.index = found
        return found is not None

    def _keep_graph(self) -> None:
        """Keep the graph on disk when enough has changed since."""
        if not isinstance(self.index, Graph) or self._outgrown(0):
            return
        if stale(self._kept, self.sequence, self.index.count):
            self.files.write(self.index, self.sequence)
            self._kept = self.sequence

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

    def _add_all(self, connection: sqlite3.Connection) -> None:
        for rows in self._rows(connection, BATCH):
            self._add(rows)

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

    def _matrix(self, rows: Sequence[tuple[int, bytes]]) -> Floats:
        import numpy as np

        if wrong := next((row[0] for row in rows if len(row[1]) != 2 * self.dimension), None):
            raise HomeportError(
                "damaged", f"The stored vector of chunk {wrong} has not {self.dimension} numbers.", "Index it again."
            )
        data = b"".join(row[1] for row in rows)
        return np.frombuffer(data, "<f2").reshape(-1, self.dimension).astype(np.float32)


def stale(kept: int, last: int, count: int) -> bool:
    """Tell whether a graph of `count` vectors that followed the change log up to `kept` is too far behind `last`."""
    return kept < 0 or last - kept > MOST_UNSAVED * count


def last_change(connection: sqlite3.Connection) -> int:
    """Return the last entry of the change log."""
    return (connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone() or [0])[0]
