"""Full-text search on PostgreSQL: the words and the scores of FTS5, from lists of words in tables.

PostgreSQL's own text search has other words and no BM25. So passages are divided by the same tokenizers, those of
SQLite, and for each word of a document a row says in which passages it is. Robertson and Zaragoza: The Probabilistic
Relevance Framework: BM25 and Beyond, 2009; the constants are FTS5's.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from math import log
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any

from homeport_rag.search import Ranking, searchable
from homeport_rag.store.dialect import Connection
from homeport_rag.store.full_text import INDEX, NAMES, TOKENIZER
from homeport_rag.store.postings import K1, B

if TYPE_CHECKING:
    import numpy as np

    Entries = np.ndarray[Any, np.dtype[Any]]

NUMBER = {index: number for number, index in enumerate(TOKENIZER)}
ENTRY = struct.Struct("<qii")  # of `passages`: the passage, how often it holds the word, how many words it has
FIELDS = [("passage", "<i8"), ("count", "<i4"), ("length", "<i4")]
COLUMN, OFFSET = 1, 24  # bits; an item of `places` is the passage, whether it is in the text, and which word of that
SPARSE = 50  # numbers in a range for each that is used
Passages = Iterable[tuple[int, str, str]]


class Tokenizer:
    """Divides texts as an FTS5 table does, which it has in memory.

    Args:
        name: Of the tokenizer, with its options.
    """

    def __init__(self, name: str) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(header, text, content='', tokenize='{name}')")
        self._connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")

    def places(self, passages: Passages) -> list[tuple[str, int, bool, int]]:
        """Return every word of passages (id, header, text): (word, id, whether it is in the text, offset), by word."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany("INSERT INTO t (rowid, header, text) VALUES (?, ?, ?)", passages)
                return self._connection.execute("SELECT term, doc, col = 'text', offset FROM v").fetchall()
            finally:
                self._connection.execute("ROLLBACK")


@cache
def _tokenizer(index: str, *, asking: bool = False) -> Tokenizer:
    """Return the tokenizer of an index; a question has its own, so that it does not wait for a long document."""
    return Tokenizer(TOKENIZER[index])


def add(connection: Connection, index: str, document: str, passages: Sequence[tuple[int, str, str]]) -> None:
    """Put the passages of a document (id, header, text) into an index."""
    places = _tokenizer(index).places(passages)
    lengths = Counter(passage for _, passage, _, _ in places)
    terms, entries, spots = list[str](), list[bytearray](), list[bytearray]()
    for term, found in groupby(places, key=itemgetter(0)):
        those = [(passage, text, offset) for _, passage, text, offset in found]
        counts = Counter(passage for passage, _, _ in those)
        packed = [ENTRY.pack(passage, count, lengths[passage]) for passage, count in counts.items()]
        numbers = [(((passage << COLUMN) | text) << OFFSET) + offset for passage, text, offset in those]
        terms.append(term)
        entries.append(bytearray(b"".join(packed)))
        spots.append(bytearray(struct.pack(f"<{len(numbers)}q", *numbers)))
    connection.execute(
        "INSERT INTO postings SELECT ?, term, ?, passages, places FROM"
        " unnest(CAST(? AS TEXT[]), CAST(? AS BYTEA[]), CAST(? AS BYTEA[])) t(term, passages, places)",
        (NUMBER[index], document, terms, entries, spots),
    )
    size = (len(passages), len(places))
    connection.execute("INSERT INTO indexed VALUES (?, ?, ?, ?)", (NUMBER[index], document, *size))
    connection.execute(
        "UPDATE lexicons SET passages = passages + ?, words = words + ? WHERE lexicon = ?", (*size, NUMBER[index])
    )


def remove(connection: Connection, index: str, document: str) -> None:
    """Take the passages of a document out of an index, if they are in it."""
    which = (NUMBER[index], document)
    connection.execute("DELETE FROM postings WHERE lexicon = ? AND document_id = ?", which)
    for size in connection.execute(
        "DELETE FROM indexed WHERE lexicon = ? AND document_id = ? RETURNING passages, words", which
    ).fetchall():
        connection.execute(
            "UPDATE lexicons SET passages = passages - ?, words = words - ? WHERE lexicon = ?", (*size, NUMBER[index])
        )


def is_damaged(connection: Connection, index: str) -> bool:
    """Tell whether an index does not agree with the passages, or its words with their number."""
    there = "SELECT document_id, 1 FROM names"
    if index != NAMES:
        there = (
            "SELECT c.document_id, count(*) FROM chunks c JOIN collections k ON k.id = c.collection_id"  # noqa: S608 - our own words
            f" WHERE (k.language = 'en') = {index == INDEX[True]} GROUP BY 1"
        )
    (differs,) = connection.execute(
        f"SELECT count(*) FROM ({there}) p(document_id, n) FULL JOIN"  # noqa: S608 - our own words
        " (SELECT * FROM indexed WHERE lexicon = ?) i ON i.document_id = p.document_id"
        " WHERE coalesce(p.n, 0) != coalesce(i.passages, 0)",
        (NUMBER[index],),
    ).fetchone()
    (counted,) = connection.execute(
        "SELECT (SELECT coalesce(sum(octet_length(places)), 0) / 8 FROM postings WHERE lexicon = l.lexicon) = l.words"
        " FROM lexicons l WHERE lexicon = ?",
        (NUMBER[index],),
    ).fetchone()
    return differs > 0 or not counted


class Lists:
    """The lists of words of one index, read anew for each search: another process may have changed them.

    Args:
        connection: The database.
        index: One of `TOKENIZER`.
    """

    def __init__(self, connection: Connection, index: str) -> None:
        self._connection = connection
        self._index = index

    def best(self, words: Sequence[str], limit: int, allowed: Sequence[int] | None = None) -> Ranking:
        """Return the best passages that hold any of `words`: (id, BM25 score), best first.

        Args:
            words: What is looked for.
            limit: Most passages.
            allowed: Only these ids; None = all.
        """
        import numpy as np

        asked = self._terms(words)
        lists = self._read("passages", {terms[0] for terms in asked if terms}, np.dtype(FIELDS))
        places = self._read("places", {term for terms in asked if len(terms) > 1 for term in terms}, np.dtype("<i8"))
        number, total = self._connection.execute(
            "SELECT passages, words FROM lexicons WHERE lexicon = ?", (NUMBER[self._index],)
        ).fetchone()
        found, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
        for terms in asked:
            if not terms or terms[0] not in lists:
                continue
            entries = lists[terms[0]]
            if len(terms) > 1:
                entries = _side_by_side(entries, [places.get(term) for term in terms])
            weight = max(log((number - len(entries) + 0.5) / (len(entries) + 0.5)), 1e-6) if len(entries) else 0.0
            counts, norms = entries["count"], K1 * (1 - B + B * entries["length"] / max(total / number, 1.0))
            found.append(entries["passage"])
            scores.append(weight * (counts * (K1 + 1) / (counts + norms)))
        ids, sums = _summed(np.concatenate(found), np.concatenate(scores))
        if allowed is not None:
            chosen = np.isin(ids, np.asarray(allowed, np.int64))
            ids, sums = ids[chosen], sums[chosen]
        if limit < len(ids):
            chosen = sums >= np.partition(sums, -limit)[-limit]
            ids, sums = ids[chosen], sums[chosen]
        order = np.lexsort((ids, -sums))[:limit]
        return list(zip(ids[order].tolist(), sums[order].tolist(), strict=True))

    def _terms(self, words: Sequence[str]) -> list[list[str]]:
        """Return the terms that the index knows each word as, in their order."""
        texts = words if self._index == NAMES else [searchable(word) for word in words]
        places = _tokenizer(self._index, asking=True).places([(number, "", text) for number, text in enumerate(texts)])
        terms: list[list[str]] = [[] for _ in texts]
        for term, number, _, _ in sorted(places, key=itemgetter(3)):
            terms[number].append(term)
        return terms

    def _read(self, column: str, terms: set[str], dtype: np.dtype[Any]) -> dict[str, Entries]:
        """Return term → what a column holds of it for all documents."""
        import numpy as np

        if not terms:
            return {}
        rows = self._connection.execute(
            f"SELECT term, string_agg({column}, '') FROM postings WHERE lexicon = ? AND term = ANY(?) GROUP BY term",  # noqa: S608 - our own names
            (NUMBER[self._index], sorted(terms)),
        )
        return {term: np.frombuffer(data, dtype) for term, data in rows}


def _summed(ids: Entries, scores: Entries) -> tuple[Entries, Entries]:
    """Return the different `ids` and the sum of the scores of each; without sorting, where they lie close together."""
    import numpy as np

    low, span = (ids.min(), int(np.ptp(ids)) + 1) if len(ids) else (0, 0)
    if span > SPARSE * len(ids):
        unique, where = np.unique(ids, return_inverse=True)
        return unique, np.bincount(where, scores, len(unique))
    sums = np.bincount(ids - low, scores, span)
    there = np.flatnonzero(sums)
    return there + low, sums[there]


def _side_by_side(entries: Entries, places: Sequence[Entries | None]) -> Entries:
    """Return those of `entries` in which all terms are side by side, counted anew.

    Args:
        entries: Of the first term.
        places: Of each term, in their order; None where it is nowhere.
    """
    import numpy as np

    common = np.zeros(0, np.int64)
    for number, each in enumerate(places):
        if each is None:
            return entries[:0]
        common = np.intersect1d(common, each - number) if number else each
    passages, counts = np.unique(common >> (COLUMN + OFFSET), return_counts=True)
    ordered = np.sort(entries, order="passage")
    both = ordered[np.isin(ordered["passage"], passages)]
    both["count"] = counts
    return both
