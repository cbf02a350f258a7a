"""Why a search found what it found: explanations, earlier searches, exports."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from homeport_rag.records import Space
from homeport_rag.results.documents import Document
from homeport_rag.results.searches import Export, History, Hit, Reason, SearchResult, Suggestions
from homeport_rag.retrieval import Question, Retrieval
from homeport_rag.search import Filters, query_words, threes
from homeport_rag.store import Store, collections, documents, matching, queries
from homeport_rag.store.queries import Made
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext

DEEP = 1_000  # hits among which a document's place is looked for
ABOVE = 5  # documents that are named as better
SHOWN = 3  # passages of a document that are shown
MOST_PASSAGES = 200  # of a document, that a filter is tried on
SUGGESTED = 8


class Insight:
    """What is known about searches.

    Args:
        context: The server's context.
        store: Holds documents and searches.
        retrieval: Searches.
    """

    def __init__(self, context: ServerContext, store: Store, retrieval: Retrieval) -> None:
        self._context = context
        self._store = store
        self._retrieval = retrieval
        self._unwritten: list[Made] = []

    async def search(self, question: Question) -> SearchResult:
        """Search, and keep the search for the history; what is kept is written by the next look at it, or at the end.

        Raises:
            HomeportError: `not_found`, when there is no such collection.
        """
        began = time.perf_counter()
        result = await self._retrieval.search(question)
        at, seconds = iso(self._context.clock.now()), time.perf_counter() - began
        self._unwritten.append(Made(asked(question), result, at, round(1000 * seconds, 1)))
        if len(self._unwritten) >= SHOWN * ABOVE:
            self._context.tasks.start_soon(self._write)
        return result

    async def _write(self) -> None:
        searches, self._unwritten = self._unwritten, []
        if searches:
            await self._store.write(queries.record, searches)

    async def history(self, document_id: str, limit: int) -> History:
        """Return the latest searches, of those that found a document when one is named."""
        await self._write()
        return History(queries=await self._store.read(queries.latest, document_id, limit))

    async def suggest(self, text: str) -> Suggestions:
        """Return earlier searches that hold `text`, and the titles of documents that are like it."""
        await self._write()
        earlier = await self._store.read(queries.like, text, SUGGESTED)
        titles: list[str] = []
        if letters := threes(text):
            titles = await self._store.read(matching.titles, letters, SUGGESTED)
        return Suggestions(searches=earlier, titles=titles)

    async def why_not(self, document_id: str, question: Question) -> Reason:
        """Say why a document is not among the hits of a question, or at which place it is.

        Raises:
            HomeportError: `not_found`, when there is no such document or collection.
        """
        document = await self._store.read(documents.document, document_id)
        scope = await self._store.read(collections.spaces, question.collections)
        deep = replace(question, k=DEEP, depth=DEEP, threshold=0.0, rerank=False)
        result = await self._retrieval.search(deep)
        ids = [hit.document_id for hit in result.hits]
        rank = ids.index(document_id) + 1 if document_id in ids else 0
        wanted = [hit for hit in result.hits if hit.score >= question.threshold][: question.k]
        alone = replace(deep, filters=Filters(documents=[document_id]), k=SHOWN, collections=[document.collection])
        best = [hit for hit in result.hits if hit.document_id == document_id][:SHOWN]
        best = best or (await self._retrieval.search(alone)).hits
        found = any(hit.document_id == document_id for hit in wanted)
        reason, hint = await self._reason(document, question, scope, best, rank, len(wanted))
        above = dict.fromkeys(hit.title for hit in result.hits[: max(rank - 1, 0) or ABOVE])
        return Reason(
            document_id=document_id,
            title=document.title,
            found=found,
            reason=f"It is hit {rank}." if found else reason,
            hint="" if found else hint,
            rank=rank,
            score=result.hits[rank - 1].score if rank else 0.0,
            needed=wanted[-1].score if wanted else 0.0,
            terms=await self._terms(document, question.text, scope),
            best=best,
            above=[] if found else list(above)[:ABOVE],
        )

    async def _reason(
        self, document: Document, question: Question, scope: Sequence[Space], best: list[Hit], rank: int, hits: int
    ) -> tuple[str, str]:
        """Return the first thing that kept a document out, and what to do about it."""
        if document.error:
            return f"It could not be read: {document.error}", "Correct the file and take it in again."
        if document.archived:
            return "It is archived.", "Take it out of the archive."
        if document.collection not in {space.name for space in scope}:
            return f"It is in the collection {document.collection}, which was not searched.", "Search there too."
        passages = (await self._store.read(matching.passages, document.document_id, 0, MOST_PASSAGES)) or []
        if not passages:
            return "Nothing of it is indexed: it has no text.", "Look at its warnings."
        ids, spaces = [hit.chunk_id for hit in passages], [space.id for space in scope]
        if not await self._store.read(matching.passing, ids, spaces, question.filters):
            return "The filters of the search leave it out.", "Search without filters, or change its metadata."
        waiting = "" if document.embedded else " It has no vectors yet, so only its words can be found."
        if rank and best[0].score < question.threshold:
            return f"Its score {best[0].score:.2f} is below the threshold {question.threshold:.2f}.", "Lower it."
        if rank:
            return f"It is hit {rank}; only the first {hits} were asked for.{waiting}", "Ask for more hits."
        if not best:
            return f"It shares no word with the question.{waiting}", "Use words that it holds."
        return f"More than {DEEP} passages fit better.{waiting}", "Use words that only this document holds."

    async def _terms(self, document: Document, text: str, scope: Sequence[Space]) -> dict[str, bool]:
        """Return which words of a question the document holds."""
        english = all(space.language == "en" for space in scope if space.name == document.collection)
        here = await self._store.read(collections.space, document.collection)
        only = Filters(documents=[document.document_id])
        words = query_words(text, english=english)[:24]
        return {word: any(await self._store.find_words(word, [here], only, 1)) for word in words}

    async def export(self, document_id: str, question: Question | None) -> Export:
        """Return a document as Markdown, or the hits of a question as JSON.

        Raises:
            HomeportError: `not_found`.
        """
        if question is not None:
            began = time.perf_counter()
            result = await self._retrieval.search(question)
            taken = round(1000 * (time.perf_counter() - began), 1)
            data = {"asked": asked(question), "milliseconds": taken, **result.model_dump()}
            text = json.dumps(data, ensure_ascii=False, indent=2)
            return Export(name="search.json", media_type="application/json", text=text)
        document = await self._store.read(documents.document, document_id)
        facts = {"title": document.title, "source": document.source, **document.metadata}
        head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items())
        text = await self._store.read(documents.text, document_id)
        return Export(name=f"{document.title}.md", media_type="text/markdown", text=f"---\n{head}\n---\n\n{text}\n")


def asked(question: Question) -> dict[str, Any]:
    """Return a question as it is kept."""
    filters = question.filters
    return {
        "query": question.text,
        "collections": list(question.collections),
        "k": question.k,
        "mode": question.mode,
        "threshold": question.threshold,
        "types": list(filters.types),
        "after": filters.after,
        "before": filters.before,
        "metadata": dict(filters.metadata),
    }


def asking(kept: dict[str, Any]) -> Question:
    """Return the question that `asked` was made of."""
    filters = Filters(kept["types"], kept["after"], kept["before"], kept["metadata"])
    return Question(kept["query"], kept["collections"], kept["k"], kept["mode"], kept["threshold"], filters)
