"""A second look at the best hits by a model that reads question and passage together, where one is configured.

Two forms of service: `/rerank` of OpenAI-compatible servers (llama.cpp, vLLM, text-embeddings-inference, Jina,
Cohere), and, as Ollama has no such call, a second embedding model of Ollama that scores by cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeport_rag.remote import connect, cosine, request
from homeport_rag.results.searches import Hit
from homeport_shared.errors import HomeportError

CHARACTERS = 4_000  # of a passage that are sent


@dataclass(frozen=True, slots=True)
class Reranker:
    """A reranking model that an HTTP server runs.

    Attributes:
        address: Ends in `/v1` for the `/rerank` call; anything else is Ollama's.
        model: The name the server knows it by.
        key: Sent as bearer token; empty = none.
    """

    address: str
    model: str
    key: str = ""

    async def order(self, question: str, hits: list[Hit]) -> list[Hit]:
        """Return `hits` by falling relevance, which is their new score; the former one is kept among the parts.

        Raises:
            HomeportError: `unavailable`, when the server does not answer as it must.
        """
        texts = [hit.text[:CHARACTERS] for hit in hits]
        address = self.address.rstrip("/")
        scores = (
            await self._rerank(address, question, texts)
            if address.endswith("/v1")
            else await self._embed(question, texts)
        )
        ordered = sorted(zip(hits, scores, strict=True), key=lambda pair: -pair[1])
        return [
            hit.model_copy(
                update={
                    "score": round(min(max(score, 0.0), 1.0), 4),
                    "parts": {**hit.parts, "fused": hit.score, "reranker": round(score, 4)},
                }
            )
            for hit, score in ordered
        ]

    async def _rerank(self, address: str, question: str, texts: list[str]) -> list[float]:
        body = {"model": self.model, "query": question, "documents": texts, "top_n": len(texts)}
        answer = await request("POST", f"{address}/rerank", self.key, body)
        try:
            rows: list[dict[str, Any]] = answer["results"]
            scores = {int(row["index"]): float(row["relevance_score"]) for row in rows}
            return [scores[number] for number in range(len(texts))]
        except (KeyError, TypeError, ValueError) as error:
            raise HomeportError(
                "unavailable", f"The reranker {self.model} at {address} answered something else than scores."
            ) from error

    async def _embed(self, question: str, texts: list[str]) -> list[float]:
        embedder = await connect(self.address, self.model, self.key)
        asked, *found = await embedder.embed([question, *texts])
        return [cosine(asked, vector) for vector in found]
