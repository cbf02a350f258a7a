"""BM25 over one FTS5 index in memory: the same scores as FTS5's own, in a tenth of the time for many passages.

FTS5 spends a microsecond or two on every passage that holds any word of the query, 200 ms for a long question in
100,000 passages. Here the list of a word (which passages hold it, and what it adds to their scores) is read once and
kept; what was stored since is ranked by FTS5 itself until it is much. Reading the list of a frequent word takes up to
200 ms, so these are read in advance, on another connection and thread.

Robertson and Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009; the constants are FTS5's.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import log
from threading import Lock
from typing import TYPE_CHECKING, Any

from homeport_rag.search import STOP_WORDS, Ranking, full_text_query, searchable

if TYPE_CHECKING:
    import numpy as np

    Passages = np.ndarray[Any, np.dtype[np.int64]]
    Places = np.ndarray[Any, np.dtype[np.int32]]
    Gains = np.ndarray[Any, np.dtype[np.float32]]

K1, B = 1.2, 0.75
KEPT = 80_000_000  # entries of all kept lists together, 8 bytes each; a million passages have some 70 million
FREQUENT = 2_000  # passages; the list of a rarer word is read in 2 ms
MOST_WORDS = 100_000  # whose terms are remembered
FRESH = 0.02  # the share of passages that FTS5 ranks by itself before all lists are read anew
LEAST_FRESH = 1_000
SAMPLE = 64  # times as many scores as are wanted show how great these must be
_COLUMN, _OFFSET = 1, 24  # bits of a word's place in a passage

Terms = tuple[str, ...]


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
        self._kept: OrderedDict[Terms, tuple[Places, Gains]] = OrderedDict()
        self._terms_of: dict[str, Terms] = {}
        self._last = -1
        self._lock = Lock()  # of `_kept` with `_ids` and `_last`, which belong together
        self.cold = True  # the lists of frequent words are not read yet
        _watch(connection, index)
        for statement in (
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{index}_asked USING fts5(word, tokenize = '{tokenizer}')",
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{index}_terms USING fts5vocab(temp, {index}_asked, instance)",
        ):
            connection.execute(statement)

    def follow(self) -> None:
        """Bring the lengths of all passages up to date, as `best` does."""
        self._follow()

    def warm(self, connection: sqlite3.Connection, check: Callable[[], None]) -> None:
        """Read the lists of frequent words, the most frequent first; called on another thread than everything else.

        Args:
            connection: Of that thread.
            check: Called between two words; raises when it is to stop.
        """
        _watch(connection, self._index)
        with self._lock:
            ids, norms, last = self._ids, self._norms, self._last
            self.cold = False
        frequent = connection.execute(
            f"SELECT term, doc FROM temp.{self._index}_words WHERE doc >= ? ORDER BY doc DESC",  # noqa: S608 - our own names
            (FREQUENT,),
        ).fetchall()
        entries = 0
        for term, passages in frequent:
            check()
            if term in STOP_WORDS:
                continue
            entries += passages
            if entries > KEPT:
                return
            if (term,) in self._kept:
                continue
            made = _listed(_occurrences(connection, self._index, term), ids, norms, last)
            with self._lock:
                if self._last != last:
                    return  # everything was read anew meanwhile, and is cold again
                self._kept.setdefault((term,), made)

    def best(self, words: Sequence[str], limit: int, allowed: Sequence[int] | None = None) -> Ranking:
        """Return the best passages that hold any of `words`: (id, BM25 score), best first.

        Args:
            words: What is looked for.
            limit: Most passages.
            allowed: Only these ids, in rising order; None = all.
        """
        import numpy as np

        fresh = self._follow()
        scores = np.zeros(len(self._ids), np.float32)
        for word in words:
            places, gains = self._list(word)
            weight = log((len(scores) - len(places) + 0.5) / (len(places) + 0.5)) if len(places) else 0.0
            np.add.at(scores, places, np.float32(max(weight, 1e-6)) * gains)
        if allowed is not None:
            scores[~np.isin(self._ids, np.asarray(allowed, np.int64))] = 0
        top = _greatest(scores, limit)
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
        lengths = np.array([_length(row[1]) for row in rows], np.float32)
        with self._lock:
            self._ids = np.array([row[0] for row in rows], np.int64)
            mean = max(float(lengths.mean()), 1.0) if rows else 1.0
            self._norms = np.float32(K1) * (1 - B + B * lengths / mean)
            self._last = rows[-1][0] if rows else 0
            self._kept.clear()
            self.cold = True
        return 0

    def _list(self, word: str) -> tuple[Places, Gains]:
        """Return where in `_ids` the passages with `word` are, and what it adds to the score of each, unweighted."""
        terms = self._terms(word)
        if terms not in self._kept:
            made = _listed(self._passages(terms), self._ids, self._norms, self._last)
            with self._lock:
                self._kept[terms] = made
                while len(self._kept) > 1 and sum(len(places) for places, _ in self._kept.values()) > KEPT:
                    self._kept.popitem(last=False)
        with self._lock:
            self._kept.move_to_end(terms)
        return self._kept[terms]

    def _terms(self, word: str) -> Terms:
        """Return the terms that the index knows `word` as."""
        if word not in self._terms_of:
            if len(self._terms_of) >= MOST_WORDS:
                self._terms_of.clear()
            self._connection.execute(f"DELETE FROM temp.{self._index}_asked")  # noqa: S608 - our own names
            self._connection.execute(f"INSERT INTO temp.{self._index}_asked VALUES (?)", (searchable(word),))  # noqa: S608 - our own names
            rows = self._connection.execute(f"SELECT term FROM temp.{self._index}_terms ORDER BY offset")  # noqa: S608 - our own names
            self._terms_of[word] = tuple(term for (term,) in rows)
        return self._terms_of[word]

    def _passages(self, terms: Terms) -> Passages:
        """Return the passage of each time that `terms` occur side by side."""
        import numpy as np

        if len(terms) == 1:
            return _occurrences(self._connection, self._index, terms[0])
        common = np.zeros(0, np.int64)
        for number, term in enumerate(terms):
            rows = self._connection.execute(
                f"SELECT doc, col, offset FROM temp.{self._index}_places WHERE term = ?",  # noqa: S608 - our own names
                (term,),
            )
            spots = (((doc << _COLUMN | (col == "text")) << _OFFSET) + offset - number for doc, col, offset in rows)
            found = np.fromiter(spots, np.int64)
            common = np.intersect1d(common, found) if number else found
        return common >> (_COLUMN + _OFFSET)


def _watch(connection: sqlite3.Connection, index: str) -> None:
    """Let `connection` read the vocabulary of an index: its places, and its words with how many passages hold each."""
    for name, kind in (("places", "instance"), ("words", "row")):
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{index}_{name} USING fts5vocab(main, {index}, {kind})"
        )


def _occurrences(connection: sqlite3.Connection, index: str, term: str) -> Passages:
    """Return the passage of each time that `term` occurs."""
    import numpy as np

    # One text of all numbers: a row of its own for each takes four times as long, and keeps other threads from working.
    (found,) = connection.execute(
        f"SELECT group_concat(doc) FROM temp.{index}_places WHERE term = ?",  # noqa: S608 - our own names
        (term,),
    ).fetchone()
    return np.fromstring(found or "", np.int64, sep=",")


def _listed(found: Passages, ids: Passages, norms: Gains, last: int) -> tuple[Places, Gains]:
    """Return where in `ids` the passages of `found` up to `last` are, and what that often adds to the score of each."""
    import numpy as np

    unique, counts = np.unique(found[found <= last], return_counts=True)
    places = np.searchsorted(ids, unique)
    known = ids[places] == unique if len(unique) else np.zeros(0, bool)
    places, often = places[known].astype(np.int32), counts[known].astype(np.float32)
    return places, np.asarray(often * (K1 + 1) / (often + norms[places]), np.float32)


def _greatest(scores: Gains, limit: int) -> Passages:
    """Return where the greatest scores above 0 are, at most `limit` of them, in no order."""
    import numpy as np

    # The least of the best in a part is not above the least of the best in all, and rules most of them out.
    part = scores[:: max(len(scores) // (SAMPLE * limit), 1)]
    least = np.partition(part, -limit)[-limit] if limit < len(part) else 0
    top = np.flatnonzero((scores >= least) & (scores > 0))
    if limit < len(top):
        top = top[np.argpartition(scores[top], -limit)[-limit:]]
    return top


def _length(sizes: bytes) -> int:
    """Return the number of words in a passage: FTS5 keeps one variable-length integer per column."""
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 127
        if byte < 128:
            total, value = total + value, 0
    return total
