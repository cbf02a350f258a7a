"""BM25 over one FTS5 index in memory: the same scores as FTS5's own, in a tenth of the time for many passages.

FTS5 spends a microsecond or two on every passage that holds any word of the query, 200 ms for a long question in
100,000 passages. Here the list of a word (which passages hold it, how often) is read once and kept; what was stored
since is ranked by FTS5 itself until it is much.

Robertson and Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009; the constants are FTS5's.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING, Any

from homeport_rag.search import full_text_query, searchable

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]
    Counts = np.ndarray[Any, np.dtype[np.float32]]

K1, B = 1.2, 0.75
KEPT = 40_000_000  # entries of all kept lists together, 8 bytes each
FRESH = 0.02  # the share of passages that FTS5 ranks by itself before all lists are read anew
LEAST_FRESH = 1_000
_COLUMN, _OFFSET = 1, 24  # bits of a word's place in a passage

Ranking = list[tuple[int, float]]


class Postings:
    """The lists of one full-text index of one connection.

    Args:
        connection: Used by one thread at a time; gets two temporary tables.
        index: Name of the FTS5 table.
        tokenizer: What that table was made with.
    """

    def __init__(self, connection: sqlite3.Connection, index: str, tokenizer: str) -> None:
        self._connection = connection
        self._index = index
        self._kept: OrderedDict[str, tuple[Places, Counts]] = OrderedDict()
        self._last = -1
        for statement in (
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{index}_places USING fts5vocab(main, {index}, instance)",
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{index}_asked USING fts5(word, tokenize = '{tokenizer}')",
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{index}_terms USING fts5vocab(temp, {index}_asked, instance)",
        ):
            connection.execute(statement)

    def best(self, words: Sequence[str], limit: int, allowed: Sequence[int] | None = None) -> Ranking:
        """Return the best passages that hold any of `words`: (id, BM25 score), best first.

        Args:
            words: What is looked for.
            limit: Most passages.
            allowed: Only these ids, in rising order; None = all.
        """
        import numpy as np

        fresh = self._follow()
        scores = np.zeros(len(self._ids))
        for word in words:
            places, counts = self._list(word)
            weight = log((len(scores) - len(places) + 0.5) / (len(places) + 0.5)) if len(places) else 0.0
            scores[places] += max(weight, 1e-6) * counts * (K1 + 1) / (counts + self._norms[places])
        if allowed is not None:
            scores[~np.isin(self._ids, np.asarray(allowed, np.int64))] = 0
        top = np.argpartition(-scores, limit)[:limit] if limit < len(scores) else np.arange(len(scores))
        top = top[scores[top] > 0]
        found = list(zip(self._ids[top].tolist(), scores[top].tolist(), strict=True))
        if fresh:
            found += self._fresh(words, limit, allowed)
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:limit]

    def _fresh(self, words: Sequence[str], limit: int, allowed: Sequence[int] | None) -> Ranking:
        """Rank what was stored since the lists were read."""
        index = self._index
        found = self._connection.execute(
            f"SELECT rowid, -rank FROM {index} WHERE {index} MATCH ? AND rowid > ? ORDER BY rank LIMIT ?",  # noqa: S608 - our own names
            (full_text_query(words), self._last, limit if allowed is None else -1),
        ).fetchall()
        return found if allowed is None else [hit for hit in found if hit[0] in set(allowed)]

    def _follow(self) -> int:
        """Read all lengths and forget the lists, if much was stored since; return how much is not in."""
        import numpy as np

        sizes = f"FROM {self._index}_docsize WHERE id > ?"
        (count,) = self._connection.execute(f"SELECT count(*) {sizes}", (self._last,)).fetchone()
        if self._last >= 0 and count <= max(LEAST_FRESH, FRESH * len(self._ids)):
            return count
        rows = self._connection.execute(f"SELECT id, sz {sizes} ORDER BY id", (-1,)).fetchall()
        self._ids = np.array([row[0] for row in rows], np.int64)
        lengths = np.array([_length(row[1]) for row in rows], np.float32)
        self._norms = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0)) if rows else lengths
        self._last = rows[-1][0] if rows else 0
        self._kept.clear()
        return 0

    def _list(self, word: str) -> tuple[Places, Counts]:
        """Return where in `_ids` the passages with `word` are, and how often each holds it."""
        import numpy as np

        if word not in self._kept:
            found = self._passages(word)
            ids, counts = np.unique(found[found <= self._last], return_counts=True)
            places = np.searchsorted(self._ids, ids)
            known = self._ids[places] == ids if len(ids) else np.zeros(0, bool)
            self._kept[word] = places[known], counts[known].astype(np.float32)
            while len(self._kept) > 1 and sum(len(places) for places, _ in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(word)
        return self._kept[word]

    def _passages(self, word: str) -> Places:
        """Return the passage of each time that `word` occurs; its terms, where it has several, side by side."""
        import numpy as np

        self._connection.execute(f"DELETE FROM temp.{self._index}_asked")  # noqa: S608 - our own names
        self._connection.execute(f"INSERT INTO temp.{self._index}_asked VALUES (?)", (searchable(word),))  # noqa: S608 - our own names
        terms = self._connection.execute(f"SELECT term FROM temp.{self._index}_terms ORDER BY offset").fetchall()  # noqa: S608 - our own names
        places = f"SELECT doc, col, offset FROM temp.{self._index}_places WHERE term = ?"  # noqa: S608 - our own names
        if len(terms) == 1:
            rows = self._connection.execute(places.replace(", col, offset", ""), terms[0])
            return np.fromiter((doc for (doc,) in rows), np.int64)
        common = np.zeros(0, np.int64)
        for number, term in enumerate(terms):
            rows = self._connection.execute(places, term)
            spots = (((doc << _COLUMN | (col == "text")) << _OFFSET) + offset - number for doc, col, offset in rows)
            found = np.fromiter(spots, np.int64)
            common = np.intersect1d(common, found) if number else found
        return common >> (_COLUMN + _OFFSET)


def _length(sizes: bytes) -> int:
    """Return the number of words in a passage: FTS5 keeps one variable-length integer per column."""
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 127
        if byte < 128:
            total, value = total + value, 0
    return total
