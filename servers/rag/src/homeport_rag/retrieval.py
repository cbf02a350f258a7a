"""Search: full text and meaning at the same time, fused to one ranking, each hit with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from homeport_rag.embedding import Embedder
from homeport_rag.languages import seems_english
from homeport_rag.meaning import Meaning
from homeport_rag.results import Mode, SearchResult
from homeport_rag.search import Filters, fuse, relative
from homeport_rag.store import Store
from homeport_shared.errors import HomeportError

DEPTH = 100  # how many matches of each ranking are fused
Ranking = list[tuple[int, float]]
NOTHING_EMBEDDED = "No passage here is embedded yet, so only the words of the query were searched."

ENGLISH_ONLY = (
    "The embedding model knows English only; for other languages set the address of an Ollama server and a multilingual"
    " embedding model."
)


@dataclass
class Legs:
    """What each way of searching found: (chunk id, score), best first.

    Attributes:
        words: One ranking per full-text index; a passage is in one of them at most.
        near: By meaning.
        why: Why there is nothing by meaning; empty where there is.
        note: What to know about the ranking by meaning.
    """

    words: list[Ranking] = field(default_factory=list[Ranking])
    near: Ranking = field(default_factory=list[tuple[int, float]])
    why: str = ""
    note: str = ""

    def mode(self, asked: Mode) -> Mode:
        """Return the mode these results are of."""
        return "lexical" if self.why else asked

    def scores(self, asked: Mode) -> dict[int, float]:
        """Return chunk id → score between 0 and 1, best first.

        By words alone, BM25 relative to the best hit; by meaning alone, the cosine; both, reciprocal rank fusion, where
        1 = first in both.
        """
        if self.mode(asked) == "vector":
            return {i: min(max(cosine, 0.0), 1.0) for i, cosine in self.near}
        if not self.near and len(self.words) == 1:
            return relative(dict(self.words[0]))
        rankings = [[i for i, _ in ranking] for ranking in (*self.words, self.near)]
        return fuse(rankings, legs=any(self.words) + bool(self.near))

    def parts(self, chunk: int) -> dict[str, float]:
        """Return rank (from 1) and score of a passage in each of the rankings that it is in."""
        parts: dict[str, float] = {}
        named = [(ranking, "lexical_rank", "bm25") for ranking in self.words] + [(self.near, "vector_rank", "cosine")]
        for ranking, rank_name, score_name in named:
            for rank, (identifier, score) in enumerate(ranking, start=1):
                if identifier == chunk:
                    parts |= {rank_name: rank, score_name: round(score, 4)}
        return parts


class Retrieval:
    """Finds passages.

    Args:
        store: Holds them.
        meaning: Knows which are near to a text.
    """

    def __init__(self, store: Store, meaning: Meaning) -> None:
        self._store = store
        self._meaning = meaning

    async def search(
        self, query: str, *, collections: Sequence[str], k: int, mode: Mode, threshold: float, filters: Filters
    ) -> SearchResult:
        """Return the passages that fit `query` best.

        Args:
            query: What is looked for; any text.
            collections: Where; empty = everywhere.
            k: Most hits.
            mode: Falls back to lexical, and says why, when nothing can be found by meaning.
            threshold: Only hits of this score (0 to 1) or above.
            filters: What the documents must be like.

        Raises:
            HomeportError: `not_found`, when there is no such collection.
        """
        scope = await self._store.scope(collections)
        legs = await self._legs(query, scope, mode, filters, max(DEPTH, k))
        scores, used = legs.scores(mode), legs.mode(mode)
        best = [i for i, score in scores.items() if score >= threshold][:k]
        hits = [
            hit.model_copy(update={"score": round(scores[hit.chunk_id], 4), "parts": legs.parts(hit.chunk_id)})
            for hit in await self._store.hits(best)
        ]
        return SearchResult(hits=hits, mode=used, why=legs.why or legs.note)

    async def _legs(self, query: str, scope: dict[int, str], mode: Mode, filters: Filters, depth: int) -> Legs:
        legs = Legs()
        embedder: Embedder | None = None
        if mode != "lexical":
            self._meaning.wake()
            embedder, legs.why = await self._meaning.ready()
            if embedder is not None and embedder.model.language == "en" and not seems_english(query):
                legs.note = ENGLISH_ONLY

        async def by_words() -> None:
            legs.words = await self._store.find_words(query, scope, filters, depth)

        async with anyio.create_task_group() as group:  # the two legs run in two processes at the same time
            if embedder is not None:
                group.start_soon(self._by_meaning, legs, embedder, query, scope, filters, depth)
            if mode != "vector" or embedder is None:
                group.start_soon(by_words)
        if mode == "vector" and legs.why and embedder is not None:
            await by_words()
        return legs

    async def _by_meaning(
        self, legs: Legs, embedder: Embedder, query: str, scope: dict[int, str], filters: Filters, depth: int
    ) -> None:
        limit = depth
        try:
            while True:
                found = await self._meaning.nearest(embedder, query, scope, limit)
                passing = set(await self._store.passing([i for i, _ in found], scope, filters))
                legs.near = [(i, cosine) for i, cosine in found if i in passing][:depth]
                if len(legs.near) >= depth or len(found) < limit:
                    break
                limit *= 8  # filters left too few
        except HomeportError as error:
            legs.why = str(error)
            return
        legs.why = "" if found else NOTHING_EMBEDDED
