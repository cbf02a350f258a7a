"""Search by words: in few passages by FTS5 alone, in many with the lists of words in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from homeport_rag.search import Filters, full_text_query, query_words
from homeport_rag.store import matching
from homeport_rag.store.postings import Postings, Ranking

FEW = 3_000  # passages that FTS5 ranks in less than 5 ms
MORE = 8  # times as many as wanted are looked at before filters are worked out for all passages
SPARE = 2  # the same where there are no filters: some may be in other collections, or gone


class Words:
    """Finds passages by the words of a query."""

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
        index = matching.INDEX[english]
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()
        if last <= FEW:
            return None
        if index not in self._postings:
            self._postings[index] = Postings(connection, index, matching.TOKENIZER[english])
        return self._postings[index]

    def find(
        self, connection: sqlite3.Connection, text: str, scope: dict[int, str], filters: Filters, limit: int
    ) -> list[Ranking]:
        """Return the best matches of each full-text index that `scope` needs; see `Store.find_words`."""
        found: list[Ranking] = []
        for english in (True, False):
            ids = [identifier for identifier, language in scope.items() if (language == "en") is english]
            words = query_words(text, english=english)
            if ids and words:
                found.append(self._rank(connection, words, ids, filters, limit, english=english))
        return found

    def _rank(
        self,
        connection: sqlite3.Connection,
        words: Sequence[str],
        scope: list[int],
        filters: Filters,
        limit: int,
        *,
        english: bool,
    ) -> Ranking:
        postings = self._of(connection, english=english)
        if postings is None:
            index = matching.INDEX[english]
            return matching.match(connection, index, full_text_query(words), scope, filters, limit)
        looked_at = limit * (SPARE if filters == Filters() else MORE)
        best = postings.best(words, looked_at)
        passing = set(matching.passing(connection, [i for i, _ in best], scope, filters))
        if len(passing) < limit and len(best) == looked_at:
            allowed = matching.all_passing(connection, scope, filters)
            return postings.best(words, limit, allowed)
        return [hit for hit in best if hit[0] in passing][:limit]
