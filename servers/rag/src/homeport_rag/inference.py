"""Runs the embedding model; everything here runs in the worker process, which keeps the loaded model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeport_rag import minilm, weights
from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    import numpy as np

MODEL, TOKENIZER, MANIFEST = "model.onnx", "tokenizer.json", "model.json"
KEYS = {"id", "sha256", "dimension", "language"}  # of the manifest
TOKEN_LIMIT = 256  # what the model was trained on; what follows in a text does not count
TEXT_LIMIT = 20_000  # characters of a text that are looked at: far more than 256 tokens, far less than a pasted book
THREADS = min(4, os.cpu_count() or 1)

_models: dict[str, Model] = {}


def build(source: str, target: str) -> dict[str, Any]:
    """Build the int8 model of the weights in `source` into the folder `target`, and return its manifest.

    Runs in a process of its own. The manifest is written last, so a folder that has one is whole, also when two
    processes build at once.

    Raises:
        HomeportError: `damaged` or `not_found`, when the weights are not the published ones.
    """
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises a preparation that this graph does not need
    tokenizer = weights.verified(Path(source), weights.TOKENIZER)
    data = minilm.build_int8(weights.verified(Path(source), weights.WEIGHTS))
    folder = Path(target)
    manifest = {
        "id": "all-MiniLM-L6-v2-int8",
        "sha256": hashlib.sha256(data).hexdigest(),
        "dimension": minilm.WIDTH,
        "language": "en",
    }
    write_atomically(folder / TOKENIZER, tokenizer.read_bytes())
    write_atomically(folder / MODEL, data)
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2).encode())
    return manifest


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a built model whose files are whole; None when there is none, or it must be built anew."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        with (folder / MODEL).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        whole = manifest.keys() == KEYS and manifest["sha256"] == found and (folder / TOKENIZER).is_file()
        return manifest if whole else None
    except (OSError, ValueError, AttributeError):
        return None


def embed(folder: str, texts: Sequence[str]) -> list[bytes]:
    """Return one vector per text as it is stored: float16, little endian, of length 1.

    Raises:
        HomeportError: `damaged`, when the model in `folder` cannot be loaded.
    """
    import numpy as np

    return [vector.astype(np.dtype("<f2")).tobytes() for vector in loaded(folder).embed(texts)]


def count_tokens(folder: str, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text, without the two that the model puts around it.

    Raises:
        HomeportError: `damaged`, when the model in `folder` cannot be loaded.
    """
    return loaded(folder).count_tokens(texts)


def loaded(folder: str) -> Model:
    """Return the model of `folder`, loaded at its first use in this process."""
    if folder not in _models:
        _models[folder] = Model(Path(folder))
    return _models[folder]


class Model:
    """An ONNX model with its tokenizer.

    Args:
        folder: Holds `model.onnx` and `tokenizer.json`.

    Raises:
        HomeportError: `damaged`, when they cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
        from tokenizers import Tokenizer

        runtime: Any = onnxruntime
        options = runtime.SessionOptions()
        # One thread per text and several texts at once: a fifth faster than several threads for one text.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = runtime.InferenceSession((folder / MODEL).read_bytes(), options)
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # both libraries raise the bare class
            raise HomeportError(
                "damaged", f"The embedding model in {folder} cannot be loaded ({error}).", "Delete that folder."
            ) from error
        # The file asks for truncation at 128 and padding to 128, which would spoil the vectors.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._threads = ThreadPoolExecutor(THREADS)

    def embed(self, texts: Sequence[str]) -> list[np.ndarray[Any, Any]]:
        """Return one float32 vector of length 1 per text; each depends on its own text alone.

        Each text is a batch of its own: int8 takes one scale for a whole batch, so companions would change a vector.
        """
        return list(self._threads.map(self._embed, texts))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without the two that the model puts around it."""
        return [len(e.ids) for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def _embed(self, text: str) -> np.ndarray[Any, Any]:
        import numpy as np

        ids = self._tokenizer.encode(text[:TEXT_LIMIT]).ids
        if len(ids) > TOKEN_LIMIT:
            ids = [*ids[: TOKEN_LIMIT - 1], ids[-1]]
        tokens = np.array([ids], np.int64)
        return self._session.run(None, {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})[0][0]
