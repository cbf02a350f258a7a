"""Why a search found what it found: explanations, similar documents, earlier and kept searches."""

from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio

from homeport_rag.meaning import Meaning
from homeport_rag.records import Space
from homeport_rag.remote import stored
from homeport_rag.results import (
    Document,
    Export,
    History,
    Hit,
    Named,
    Reason,
    SavedList,
    SearchResult,
    Similar,
    SimilarList,
)
from homeport_rag.retrieval import Question, Retrieval
from homeport_rag.search import Filters, query_words
from homeport_rag.store import Store, collections, documents, embeddings, matching, queries
from homeport_rag.store.queries import Made
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event

logger = logging.getLogger(__name__)
DEEP = 1_000  # hits among which a document's place is looked for
ABOVE = 5  # documents that are named as better
SHOWN = 3  # passages of a document that are shown
MOST_VECTORS = 200  # of a document, for its mean
ALERT_HITS = 50
PAUSE = 1.0  # seconds that changes are gathered before kept searches are made again


class Insight:
    """What is known about searches.

    Args:
        context: The server's context.
        store: Holds documents and searches.
        meaning: Knows which passages are near.
        retrieval: Searches.
    """

    def __init__(self, context: ServerContext, store: Store, meaning: Meaning, retrieval: Retrieval) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
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
        passages = (await self._store.read(matching.passages, document.document_id, 0, MOST_VECTORS)) or []
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

    async def similar(self, document_id: str, threshold: float, k: int) -> SimilarList:
        """Return the documents nearest in meaning to one, by the mean of its vectors.

        Raises:
            HomeportError: `not_found`.
        """
        document = await self._store.read(documents.document, document_id)
        space = await self._store.read(collections.space, document.collection)
        embedder, why = await self._meaning.answering(space)
        vectors = await self._store.read(embeddings.of_document, document_id, embedder.model.key if embedder else "")
        if embedder is None or not vectors:
            return SimilarList(documents=[], why=why or "It has no vectors yet.")
        scope = [
            each.id
            for each in await self._store.read(collections.spaces, [])
            if (await self._meaning.answering(each))[0] == embedder
        ]
        limit = 20 * k + len(vectors)
        found = await self._meaning.nearest_to(embedder, mean([v for _, v in vectors[:MOST_VECTORS]]), scope, limit)
        scores = {chunk: cosine for chunk, cosine in found if cosine >= threshold}
        hits = await self._store.read(matching.hits, list(scores), scope, Filters(), limit)
        nearest: dict[str, Similar] = {}
        for hit in hits:
            if hit.document_id != document_id and hit.document_id not in nearest:
                nearest[hit.document_id] = Similar(
                    document_id=hit.document_id,
                    title=hit.title,
                    collection=hit.collection,
                    similarity=round(scores[hit.chunk_id], 4),
                )
        return SimilarList(documents=list(nearest.values())[:k], why="")

    async def save(self, name: str, question: Question, *, alert: bool) -> Named:
        """Keep a search under a name; with `alert`, an event is published when it finds a new document.

        Raises:
            HomeportError: `invalid`, when the name is blank.
        """
        if not name.strip() or len(name) > 100:
            raise HomeportError("invalid", "A name has 1 to 100 characters.", "Give the search a name.")
        await self._store.write(queries.save, name, asked(question), alert=alert, now=iso(self._context.clock.now()))
        if alert:
            await self._look(name, question)
        await self._context.changes.updated("rag://queries")
        return Named(id=name, state="saved")

    async def unsave(self, name: str) -> Named:
        """Forget a kept search.

        Raises:
            HomeportError: `not_found`.
        """
        if not await self._store.write(queries.unsave, name):
            raise HomeportError("not_found", f"No search is saved as {name!r}.", "List the saved searches.")
        await self._context.changes.updated("rag://queries")
        return Named(id=name, state="forgotten")

    async def saved(self) -> SavedList:
        """Return the kept searches."""
        return SavedList(queries=await self._store.read(queries.saved))

    async def alert(self) -> None:
        """Make the kept searches with an alert again whenever documents changed, for as long as the server lives."""
        changed = anyio.Event()

        def listen(event: Any) -> None:
            if str(getattr(event, "uri", "")) == "rag://collections":
                changed.set()

        unsubscribe = self._context.changes.subscribe(listen)
        try:
            while True:
                await changed.wait()
                await anyio.sleep(PAUSE)
                changed = anyio.Event()
                await self._alert()
        finally:
            unsubscribe()

    async def _alert(self) -> None:
        try:
            for kept in (await self.saved()).queries:
                if kept.alert and (fresh := await self._look(kept.name, asking(kept.asked))):
                    await self._context.events.publish(
                        Event("rag.saved_search_matched", f"rag://queries/{kept.name}", {"documents": fresh})
                    )
        except HomeportError:
            logger.exception("the saved searches cannot be made now")

    async def _look(self, name: str, question: Question) -> list[str]:
        """Make a kept search and return the documents that are new to it. By words: meaning finds something always."""
        result = await self._retrieval.search(replace(question, k=ALERT_HITS, mode="lexical", rerank=False))
        found = list(dict.fromkeys(hit.document_id for hit in result.hits))
        return await self._store.write(queries.seen, name, found)

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


def mean(vectors: Sequence[bytes]) -> bytes:
    """Return the mean of stored vectors as a stored vector of length 1."""
    numbers = [struct.unpack(f"<{len(vector) // 2}e", vector) for vector in vectors]
    return stored([sum(column) / len(numbers) for column in zip(*numbers, strict=True)])
