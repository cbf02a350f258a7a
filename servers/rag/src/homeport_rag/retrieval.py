"""Search: full text and meaning at the same time, fused to one ranking, each hit with its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio

from homeport_rag.embedding import Embedder
from homeport_rag.languages import seems_english
from homeport_rag.meaning import Meaning
from homeport_rag.records import Space
from homeport_rag.reranking import Reranker
from homeport_rag.results.searches import Mode, SearchResult
from homeport_rag.search import Filters, Ranking, fuse, relative, threes
from homeport_rag.store import Store, collections, matching
from homeport_shared.errors import HomeportError

DEPTH = 100  # how many matches of each ranking are fused
SPARE = 20  # more are read than wanted, as some may be gone
RERANKED = 30  # hits that a reranker orders again
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
        near: By meaning, one ranking per embedding model; a passage is in one of them at most.
        names: By title and file name: the first passages of the documents.
        why: Why there is nothing by meaning; empty where there is.
        note: What to know about the ranking by meaning.
        embedded: Some passage has a vector, whether it passed the filters or not.
    """

    words: list[Ranking] = field(default_factory=list[Ranking])
    near: list[Ranking] = field(default_factory=list[Ranking])
    names: Ranking = field(default_factory=list[tuple[int, float]])
    why: str = ""
    note: str = ""
    embedded: bool = False

    def mode(self, asked: Mode) -> Mode:
        """Return the mode these results are of."""
        return "lexical" if self.why and asked != "name" else asked

    def scores(self, asked: Mode) -> dict[int, float]:
        """Return chunk id → score between 0 and 1, best first.

        By words alone, BM25 relative to the best hit; by meaning alone, the cosine; both, reciprocal rank fusion, where
        1 = first in both.
        """
        if self.mode(asked) == "vector":
            near = sorted((hit for ranking in self.near for hit in ranking), key=lambda hit: (-hit[1], hit[0]))
            return {i: min(max(cosine, 0.0), 1.0) for i, cosine in near}
        kinds = [kind for kind in (self.words, self.near, [self.names]) if any(kind)]
        if len(kinds) == 1 and len(kinds[0]) == 1 and kinds[0] is not self.near:
            return relative(dict(kinds[0][0]))
        rankings = [[i for i, _ in ranking] for kind in kinds for ranking in kind]
        return fuse(rankings, legs=len(kinds))

    def parts(self, chunk: int) -> dict[str, float]:
        """Return rank (from 1) and score of a passage in each of the rankings that it is in."""
        parts: dict[str, float] = {}
        named = [(ranking, "lexical_rank", "bm25") for ranking in self.words]
        named += [(ranking, "vector_rank", "cosine") for ranking in self.near]
        for ranking, rank_name, score_name in [*named, (self.names, "name_rank", "name")]:
            for rank, (identifier, score) in enumerate(ranking, start=1):
                if identifier == chunk:
                    parts |= {rank_name: rank, score_name: round(score, 4)}
        return parts


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched.

    Attributes:
        text: What is looked for; any text.
        collections: Where; empty = in all that are not hidden.
        k: Most hits.
        mode: Falls back to lexical, and says why, when nothing can be found by meaning.
        threshold: Only hits of this score (0 to 1) or above.
        filters: What the documents must be like.
        depth: How many matches of each ranking are fused.
        rerank: Let the reranker of the settings order the best again, if there is one.
    """

    text: str
    collections: Sequence[str] = ()
    k: int = 8
    mode: Mode = "hybrid"
    threshold: float = 0.0
    filters: Filters = field(default_factory=Filters)
    depth: int = DEPTH
    rerank: bool = True


class Retrieval:
    """Finds passages.

    Args:
        store: Holds them.
        meaning: Knows which are near to a text.
        reranker: Returns the reranker that the settings name, or None.
    """

    def __init__(self, store: Store, meaning: Meaning, reranker: Callable[[], Reranker | None]) -> None:
        self._store = store
        self._meaning = meaning
        self._reranker = reranker

    async def search(self, question: Question, *, hidden: bool = False) -> SearchResult:
        """Return the passages that fit a question best; in hidden collections only when asked to.

        Raises:
            HomeportError: `not_found`, when there is no such collection.
        """
        if not question.text.strip():
            return SearchResult(hits=[], mode=question.mode, why="The query is empty.")
        legs, scope = await self.legs(question, hidden=hidden)
        scores, used = legs.scores(question.mode), legs.mode(question.mode)
        best = [i for i, score in scores.items() if score >= question.threshold]
        reranking = self._reranker() if question.rerank else None
        wanted = max(question.k, RERANKED) if reranking else question.k
        found = await self._store.read(
            matching.hits, best[: wanted + SPARE], [space.id for space in scope], question.filters, wanted
        )
        hits = [
            hit.model_copy(update={"score": round(scores[hit.chunk_id], 4), "parts": legs.parts(hit.chunk_id)})
            for hit in found
        ]
        note = legs.why or legs.note
        if reranking and hits:
            try:
                hits = await reranking.order(question.text, hits)
            except HomeportError as error:  # the plain ranking is better than none
                note = str(error)
        return SearchResult(hits=hits[: question.k], mode=used, why=note)

    async def legs(self, question: Question, *, hidden: bool = False) -> tuple[Legs, list[Space]]:
        """Return what each way of searching finds, and the collections that were searched.

        Raises:
            HomeportError: `not_found`, when there is no such collection.
        """
        scope = await self._store.read(collections.spaces, question.collections, hidden=hidden)
        legs = Legs()
        groups = await self._models(legs, scope, question)

        async def by_words() -> None:
            legs.words = await self._store.find_words(question.text, scope, question.filters, question.depth)

        async with anyio.create_task_group() as group:  # the legs run in two processes at the same time
            for embedder, spaces in groups.values():
                group.start_soon(self._by_meaning, legs, embedder, spaces, question)
            if question.mode in ("hybrid", "lexical", "all") or (question.mode == "vector" and not groups):
                group.start_soon(by_words)
            if question.mode in ("name", "all"):
                group.start_soon(self._by_name, legs, scope, question)
        if groups and not legs.embedded:
            if scope != await self._store.read(collections.spaces, question.collections, hidden=hidden):
                return await self.legs(question, hidden=hidden)  # another model has just begun to answer
            legs.why = legs.why or NOTHING_EMBEDDED
            if question.mode == "vector":
                await by_words()
        elif groups:
            legs.why = ""
        return legs, scope

    async def _models(
        self, legs: Legs, scope: list[Space], question: Question
    ) -> dict[str, tuple[Embedder, list[Space]]]:
        """Return model → the collections that it answers for, if meaning was asked for; note on `legs` what to know."""
        groups: dict[str, tuple[Embedder, list[Space]]] = {}
        if question.mode in ("lexical", "name"):
            return groups
        self._meaning.wake()
        for space in scope:
            embedder, why = await self._meaning.answering(space)
            if embedder is None:
                legs.why = why
            else:
                groups.setdefault(embedder.model.key, (embedder, []))[1].append(space)
        english = any(embedder.model.language == "en" for embedder, _ in groups.values())
        if english and not seems_english(question.text):
            legs.note = ENGLISH_ONLY
        return groups

    async def _by_name(self, legs: Legs, scope: list[Space], question: Question) -> None:
        if letters := threes(question.text):
            spaces = [space.id for space in scope]
            legs.names = await self._store.read(matching.match_names, letters, spaces, question.filters, question.depth)

    async def _by_meaning(self, legs: Legs, embedder: Embedder, spaces: list[Space], question: Question) -> None:
        scope, limit = [space.id for space in spaces], question.depth
        try:
            while True:
                found = await self._meaning.vectors.nearest(embedder, question.text, scope, limit)
                legs.embedded = legs.embedded or bool(found)
                if question.filters == Filters():  # a passage that is gone is left out when the hits are read
                    break
                ids = [i for i, _ in found]
                passing = set(await self._store.read(matching.passing, ids, scope, question.filters))
                exhausted = len(found) < limit
                found = [hit for hit in found if hit[0] in passing][: question.depth]
                if len(found) >= question.depth or exhausted:
                    break
                limit *= 8  # filters left too few
        except HomeportError as error:
            legs.why = str(error)
            return
        legs.near.append(found)
