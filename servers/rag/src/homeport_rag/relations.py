"""Which documents are like one another, by the mean of their vectors."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import combinations

from homeport_rag.embedding import Embedder
from homeport_rag.meaning import Meaning
from homeport_rag.records import Space
from homeport_rag.remote import cosine, stored
from homeport_rag.results.searches import Edge, Graph, Similar, SimilarList
from homeport_rag.search import Filters
from homeport_rag.store import Store, collections, documents, embeddings, matching

MOST_VECTORS = 200  # of a document, for its mean
DEEP = 20  # passages that are looked at for each document that is wanted


class Relations:
    """Finds similar documents.

    Args:
        store: Holds documents and vectors.
        meaning: Knows which passages are near.
    """

    def __init__(self, store: Store, meaning: Meaning) -> None:
        self._store = store
        self._meaning = meaning

    async def similar(self, document_id: str, threshold: float, k: int) -> SimilarList:
        """Return the documents nearest in meaning to one, with the cosine of their means.

        Raises:
            HomeportError: `not_found`.
        """
        found, why = await self._nearest(document_id, threshold, k)
        return SimilarList(documents=[similar for similar, _ in found], why=why)

    async def graph(self, document_id: str, threshold: float, k: int) -> Graph:
        """Return a document with those that are like it, and which of all these are like each other.

        Raises:
            HomeportError: `not_found`.
        """
        document = await self._store.read(documents.document, document_id)
        found, why = await self._nearest(document_id, threshold, k)
        center = Similar(document_id=document_id, title=document.title, collection=document.collection, similarity=1.0)
        edges = [Edge(one=document_id, other=near.document_id, similarity=near.similarity) for near, _ in found]
        for (one, first), (other, second) in combinations(found, 2):
            if (likeness := cosine(first, second)) >= threshold:
                edges.append(Edge(one=one.document_id, other=other.document_id, similarity=round(likeness, 4)))
        return Graph(documents=[center, *(near for near, _ in found)], edges=edges, why=why)

    async def _nearest(self, document_id: str, threshold: float, k: int) -> tuple[list[tuple[Similar, bytes]], str]:
        """Return the nearest documents with their mean vectors, nearest first; or why there are none."""
        document = await self._store.read(documents.document, document_id)
        space = await self._store.read(collections.space, document.collection)
        embedder, why = await self._meaning.answering(space)
        if embedder is None:
            return [], why
        middle = await self._mean(document_id, embedder)
        if not middle:
            return [], "It has no vectors yet."
        scope = await self._scope(embedder)
        limit = DEEP * k + MOST_VECTORS
        near = await self._meaning.vectors.nearest_to(embedder, middle, scope, limit)
        hits = await self._store.read(matching.hits, [chunk for chunk, _ in near], scope, Filters(), limit)
        found: list[tuple[Similar, bytes]] = []
        for hit in {hit.document_id: hit for hit in reversed(hits) if hit.document_id != document_id}.values():
            other = await self._mean(hit.document_id, embedder)
            if (likeness := cosine(middle, other)) >= threshold:
                similar = Similar(
                    document_id=hit.document_id,
                    title=hit.title,
                    collection=hit.collection,
                    similarity=round(likeness, 4),
                )
                found.append((similar, other))
        found.sort(key=lambda pair: (-pair[0].similarity, pair[0].document_id))
        return found[:k], ""

    async def _mean(self, document_id: str, embedder: Embedder) -> bytes:
        vectors = await self._store.read(embeddings.of_document, document_id, embedder.model.key, MOST_VECTORS)
        return mean([vector for _, vector in vectors]) if vectors else b""

    async def _scope(self, embedder: Embedder) -> list[int]:
        """Return the collections whose vectors are of the same model."""

        async def fits(space: Space) -> bool:
            return (await self._meaning.answering(space))[0] == embedder

        return [each.id for each in await self._store.read(collections.spaces, []) if await fits(each)]


def mean(vectors: Sequence[bytes]) -> bytes:
    """Return the mean of stored vectors as a stored vector of length 1."""
    numbers = [struct.unpack(f"<{len(vector) // 2}e", vector) for vector in vectors]
    return stored([sum(column) / len(numbers) for column in zip(*numbers, strict=True)])
