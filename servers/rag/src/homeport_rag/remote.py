"""Embedding models behind an address: Ollama's `/api/embed` and the OpenAI-compatible `/v1/embeddings`."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from homeport_rag.embedding import Embedder, ModelIdentity
from homeport_shared.errors import HomeportError

WINDOW = 512  # tokens that every common embedding model reads; most read more, but do not say so
PIECE = 32  # texts per request
TIMEOUT = 120.0  # seconds: Ollama may have to load the model first
BYTES_PER_TOKEN = 3  # fewer than any common tokenizer has on average in prose, so that counts are upper estimates


@dataclass(frozen=True, slots=True)
class RemoteEmbedder:
    """A model that an HTTP server runs.

    Attributes:
        address: The server's, without a slash at the end.
        key: Sent as bearer token; empty = none.
    """

    model: ModelIdentity
    address: str
    dialect: Literal["ollama", "openai"]
    key: str = ""
    window: int = WINDOW

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `homeport_rag.embedding.Embedder`."""
        vectors: list[bytes] = []
        for start in range(0, len(texts), PIECE):
            vectors += await self._embed(list(texts[start : start + PIECE]))
        return vectors

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `homeport_rag.embedding.Embedder`; estimated from the length, as such servers offer no count."""
        return [len(text.encode()) // BYTES_PER_TOKEN + 1 for text in texts]

    async def _embed(self, texts: list[str]) -> list[bytes]:
        path = "/api/embed" if self.dialect == "ollama" else "/embeddings"
        answer = await request("POST", self.address + path, self.key, {"model": self.model.id, "input": texts})
        try:
            if self.dialect == "ollama":
                found: list[list[float]] = answer["embeddings"]
            else:
                found = [entry["embedding"] for entry in sorted(answer["data"], key=lambda entry: entry["index"])]
            vectors = [stored(vector) for vector in found]
        except (KeyError, TypeError, struct.error) as error:
            raise self._odd("something else than vectors") from error
        lengths = {len(vector) // 2 for vector in vectors}
        if len(vectors) != len(texts) or lengths - {self.model.dimension or max(lengths)}:
            raise self._odd(f"{len(vectors)} vectors of {sorted(lengths)} numbers for {len(texts)} texts")
        return vectors

    def _odd(self, what: str) -> HomeportError:
        return HomeportError(
            "unavailable", f"The model {self.model.id} at {self.address} answered {what}.", "Is it an embedding model?"
        )


async def connect(address: str, model: str, key: str = "") -> Embedder:
    """Return the embedder for `model` at `address` after one question to it.

    Args:
        address: Ends in `/v1` for an OpenAI-compatible server; anything else is Ollama's.
        model: The name the server knows it by.
        key: The API key; empty = none.

    Raises:
        HomeportError: `invalid` without a model; `unavailable`, when the server or the model does not answer.
    """
    if not model:
        raise HomeportError("invalid", f"No embedding model is named for {address}.", "Name one in the settings.")
    address = address.rstrip("/")
    dialect = "openai" if address.endswith("/v1") else "ollama"
    digest = await _digest(address, model) if dialect == "ollama" else ""
    trial = RemoteEmbedder(ModelIdentity(model, digest, 0, ""), address, dialect, key)
    [vector] = await trial.embed(["dimension"])
    return RemoteEmbedder(ModelIdentity(model, digest, len(vector) // 2, ""), address, dialect, key)


def stored(vector: Sequence[float]) -> bytes:
    """Return `vector` at length 1 as float16, little endian; a zero vector stays one.

    Raises:
        struct.error: When an entry is no number.
    """
    try:
        length = math.hypot(*vector) or 1.0
    except (TypeError, ValueError) as error:
        raise struct.error(str(error)) from error
    return struct.pack(f"<{len(vector)}e", *(number / length for number in vector))


def cosine(one: bytes, other: bytes) -> float:
    """Return the cosine of two stored vectors of the same length."""
    vectors = (struct.unpack(f"<{len(vector) // 2}e", vector) for vector in (one, other))
    return sum(a * b for a, b in zip(*vectors, strict=True))


async def _digest(address: str, model: str) -> str:
    """Return what tells Ollama's versions of `model` apart."""
    answer = await request("GET", f"{address}/api/tags", "", None)
    models: list[dict[str, Any]] = answer.get("models") or []
    names = {model, f"{model}:latest"}
    for entry in models:
        if entry.get("name") in names:
            return str(entry.get("digest", "")).removeprefix("sha256:")
    raise HomeportError(
        "unavailable", f"Ollama at {address} has no model {model}.", f"Get it with `ollama pull {model}`."
    )


async def request(method: str, url: str, key: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Send `body` as JSON and return the JSON object that is answered.

    Raises:
        HomeportError: `unavailable`, when nothing or no JSON is answered, or the server refuses.
    """
    import httpx2

    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT, headers=headers) as client:
            response = await client.request(method, url, json=body)
            response.raise_for_status()
            answer = response.json()
    except httpx2.HTTPStatusError as error:
        said = error.response.text[:200].strip()
        raise HomeportError(
            "unavailable", f"{url} refused with {error.response.status_code}: {said}", "Check the model and the key."
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise HomeportError(
            "unavailable",
            f"The embedding server {url} does not answer ({str(error) or type(error).__name__}).",
            "Start it, or correct its address in the settings.",
        ) from error
    except ValueError as error:
        raise HomeportError(
            "unavailable", f"{url} answered no JSON.", "Correct the address in the settings."
        ) from error
    return answer if isinstance(answer, dict) else {}  # pyright: ignore[reportUnknownVariableType]
