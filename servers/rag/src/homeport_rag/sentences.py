"""Embedding models of sentence-transformers, where that package is installed beside the server.

It brings PyTorch, so it is no dependency: `uvx --with sentence-transformers homeport-rag`. Weights are never downloaded
here; the model is a folder, or a name that was downloaded before.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from homeport_rag.embedding import PATIENCE, PIECE, Embedder, ModelIdentity
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

MISSING = "Start the server with it: uvx --with sentence-transformers homeport-rag"
DEFAULT_WINDOW = 512  # tokens, of a model that does not tell


@dataclass(frozen=True, slots=True)
class SentenceEmbedder:
    """A model of sentence-transformers, run in `worker`.

    Attributes:
        device: Such as `cpu` or `cuda`; empty = what PyTorch finds best.
    """

    model: ModelIdentity
    window: int
    device: str
    worker: Worker

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `Embedder`."""
        vectors: list[bytes] = []
        for start in range(0, len(texts), PIECE):
            piece = list(texts[start : start + PIECE])
            vectors += await self.worker.call(embed, self.model.id, self.device, piece, timeout=PATIENCE)
        return vectors

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`; exact, with the tokens that the model puts around a text."""
        return await self.worker.call(count_tokens, self.model.id, self.device, list(texts), timeout=PATIENCE)


async def load(address: str, model: str, worker: Worker) -> Embedder:
    """Return the embedder for `model`, after it was loaded once.

    Args:
        address: `sentence-transformers`, or `sentence-transformers:DEVICE`.
        model: Its folder, or the name under which it was downloaded.
        worker: Runs it.

    Raises:
        HomeportError: `invalid` without a model; `unavailable`, when the package or the model is not there.
    """
    if not model:
        raise HomeportError("invalid", "No model of sentence-transformers is named.", "Name one in the settings.")
    _, _, device = address.partition(":")
    dimension, window = await worker.call(describe, model, device, timeout=PATIENCE)
    return SentenceEmbedder(ModelIdentity(model, "", dimension, ""), window, device, worker)


def describe(model: str, device: str) -> tuple[int, int]:
    """Return dimension and window of a model; runs in the worker."""
    loaded = _loaded(model, device)
    return len(loaded.encode(["dimension"], show_progress_bar=False)[0]), loaded.max_seq_length or DEFAULT_WINDOW


def embed(model: str, device: str, texts: Sequence[str]) -> list[bytes]:
    """Return one vector per text as it is stored; runs in the worker."""
    import numpy as np

    found = _loaded(model, device).encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return [np.asarray(vector, np.float32).astype(np.dtype("<f2")).tobytes() for vector in found]


def count_tokens(model: str, device: str, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text; runs in the worker."""
    return [len(ids) for ids in _loaded(model, device).tokenizer(texts)["input_ids"]]


@cache
def _loaded(model: str, device: str) -> Any:
    try:
        package: Any = importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise HomeportError("unavailable", "The package sentence-transformers is not installed.", MISSING) from error
    try:
        return package.SentenceTransformer(model, device=device or None, local_files_only=True)
    except Exception as error:  # the package lets through whatever its parts raise
        said = str(error).split("\n")[0] or repr(error)
        raise HomeportError(
            "unavailable",
            f"sentence-transformers cannot load {model} ({said}).",
            f"Give the model's folder, or download it first: hf download {model}",
        ) from error
