"""Search by words: in few passages by FTS5 alone, in many with the lists of words in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from homeport_rag.search import Filters, Ranking, full_text_query, query_words
from homeport_rag.store import matching
from homeport_rag.store.dialect import Connection
from homeport_rag.store.full_text import INDEX, TOKENIZER
from homeport_rag.store.postings import Postings

FEW = 3_000  # passages that FTS5 ranks in less than 5 ms
MORE = 8  # times as many as wanted are looked at before filters are worked out for all passages
SPARE = 2  # the same where there are no filters: some may be in other collections, or gone


class Words:
    """Ranks the passages of a SQLite file by the words of a query."""

    def __init__(self) -> None:
        self._postings: dict[str, Postings] = {}

    @property
    def cold(self) -> bool:
        """Whether the lists of frequent words are to be read."""
        return any(postings.cold for postings in self._postings.values())

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Get ready for the first search, where there is much to search in."""
        for english in (True, False):
            if (postings := self._of(connection, english=english)) is not None:
                postings.follow()

    def warm(self, connection: sqlite3.Connection, check: Callable[[], None]) -> None:
        """Read the lists of frequent words, on a connection and thread of its own, until `check` raises."""
        for postings in list(self._postings.values()):
            postings.warm(connection, check)

    def _of(self, connection: sqlite3.Connection, *, english: bool) -> Postings | None:
        """Return the lists of an index; None where it is small."""
        index = INDEX[english]
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()
        if last <= FEW:
            return None
        if index not in self._postings:
            self._postings[index] = Postings(connection, index, TOKENIZER[index])
        return self._postings[index]

    def rank(
        self,
        connection: sqlite3.Connection,
        words: Sequence[str],
        scope: list[int],
        filters: Filters,
        limit: int,
        *,
        english: bool,
    ) -> Ranking:
        """Return the best matches of one full-text index; see `find`."""
        postings = self._of(connection, english=english)
        if postings is None:
            return matching.match(connection, INDEX[english], full_text_query(words), scope, filters, limit)
        return passing(connection, postings, words, scope, filters, limit)


Rank = Callable[..., Ranking]


class Lists(Protocol):
    """The lists of words of one full-text index."""

    def best(self, words: Sequence[str], limit: int, allowed: Sequence[int] | None = None) -> Ranking:
        """Return the best passages that hold any of `words`, only those of `allowed` where it is given."""
        ...


def find(
    connection: Connection, rank: Rank, text: str, scope: dict[int, str], filters: Filters, limit: int
) -> list[Ranking]:
    """Return the best matches of each full-text index that `scope` needs; see `Store.find_words`.

    Args:
        connection: The database.
        rank: Called as `Words.rank`.
        text: The user's query.
        scope: Id of a collection → its language.
        filters: What the documents must be like.
        limit: Most matches per index.
    """
    found: list[Ranking] = []
    for english in (True, False):
        ids = [identifier for identifier, language in scope.items() if (language == "en") is english]
        words = query_words(text, english=english)
        if ids and words:
            found.append(rank(connection, words, ids, filters, limit, english=english))
    return found


def passing(
    connection: Connection, lists: Lists, words: Sequence[str], scope: list[int], filters: Filters, limit: int
) -> Ranking:
    """Return the best matches that are in `scope` and pass `filters`: the best of all are looked at first."""
    looked_at = limit * (SPARE if filters == Filters() else MORE)
    best = lists.best(words, looked_at)
    those = set(matching.passing(connection, [i for i, _ in best], scope, filters))
    if len(those) < limit and len(best) == looked_at:
        return lists.best(words, limit, matching.all_passing(connection, scope, filters))
    return [hit for hit in best if hit[0] in those][:limit]
