"""Texts to vectors: which embedding model there is, and how to ask it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from homeport_rag import inference, weights
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

BUILT = "all-MiniLM-L6-v2-int8"
VARIABLE = "HOMEPORT_MODEL_DIR"
# So few texts per call of the worker, which does one call at a time, let a search in between while documents are
# embedded: 8 chunks take about 0.1 s.
PIECE = 8
PATIENCE = 120.0  # seconds for one piece on a machine that is very busy
NO_MODEL = (
    "No embedding model is installed, so only the words of a query are searched, not its meaning. "
    "Run the tool install_model, or set the address of an Ollama server."
)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Tells vectors of one model from those of another.

    Attributes:
        id: Its name.
        sha256: Of what makes its vectors what they are; empty where a provider does not tell.
        dimension: Numbers per vector.
        language: `en` for a model of English alone; empty where that is not known.
    """

    id: str
    sha256: str
    dimension: int
    language: str

    @property
    def key(self) -> str:
        """What is stored with each vector; vectors of different keys are never compared."""
        return f"{self.id}@{self.sha256[:12]}" if self.sha256 else f"{self.id}@{self.dimension}"


class Embedder(Protocol):
    """An embedding model that can be asked."""

    @property
    def model(self) -> ModelIdentity:
        """What its vectors are stored under."""
        ...

    @property
    def window(self) -> int:
        """The most tokens of a text that it reads."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Return one vector per text, as it is stored: `dimension` float16, little endian, of length 1.

        Raises:
            HomeportError: `unavailable`, `timeout` or `damaged`, when the model does not answer as it must.
        """
        ...

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text; an upper estimate where the model cannot be asked.

        Raises:
            HomeportError: `unavailable`, `timeout` or `damaged`, when the model does not answer as it must.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalEmbedder:
    """The built model, run in `worker`.

    Attributes:
        folder: Holds the built model.
    """

    model: ModelIdentity
    folder: Path
    worker: Worker
    window: int = inference.TOKEN_LIMIT - 2  # without the two that the model puts around a text

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `Embedder`; what stands behind the first 256 tokens of a text does not count."""
        vectors: dict[int, bytes] = {}
        # Texts of a piece that are equally long keep all threads of the worker busy until its end.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for start in range(0, len(order), PIECE):
            piece = order[start : start + PIECE]
            found = await self.worker.call(
                inference.embed, str(self.folder), [texts[number] for number in piece], timeout=PATIENCE
            )
            vectors |= zip(piece, found, strict=True)
        return [vectors[number] for number in range(len(texts))]

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`; exact, without the two tokens that the model puts around a text."""
        return await self.worker.call(inference.count_tokens, str(self.folder), list(texts), timeout=PATIENCE)


async def find_embedder(
    home: Path,
    worker: Worker,
    *,
    address: str = "",
    model: str = "",
    key: str = "",
    environment: Mapping[str, str] = os.environ,
) -> tuple[Embedder | None, str]:
    """Return the embedder to use, or None and the reason, in words for a user.

    The first of: the folder that `HOMEPORT_MODEL_DIR` names; the address in the settings; `models/` in the data root;
    the weights inside an installed distribution. A choice that a user made is never replaced by another one: it works,
    or the reason says why not. Weights are built into `models/` once, which takes some seconds.

    Args:
        home: The data root.
        worker: Runs a local model.
        address: Of an Ollama server, or of an OpenAI-compatible one when it ends in `/v1`, or `sentence-transformers`;
            empty = none.
        model: The model's name at that address.
        key: The API key for that address; empty = none.
        environment: Where `HOMEPORT_MODEL_DIR` is looked up.
    """
    try:
        if chosen := environment.get(VARIABLE):
            folder = Path(chosen)
            if embedder := await _local(folder, home, worker):
                return embedder, ""
            return None, f"{VARIABLE} names {folder}, which holds no embedding model."
        if address.partition(":")[0] == "sentence-transformers":
            from homeport_rag import sentences

            return await sentences.load(address, model, worker), ""
        if address:
            from homeport_rag.remote import connect

            return await connect(address, model, key), ""
        for folder in (home / "models" / BUILT, home / "models" / weights.FOLDER, weights.installed_folder()):
            if folder and (embedder := await _local(folder, home, worker)):
                return embedder, ""
    except HomeportError as error:
        return None, str(error)
    return None, NO_MODEL


async def install_model(
    home: Path, *, consent: bool, address: str = weights.HUB, progress: weights.Progress | None = None
) -> ModelIdentity:
    """Download the weights of all-MiniLM-L6-v2 (91 MB), verify and build them; a repeated call continues.

    Args:
        home: The data root; the model comes into its `models/`.
        consent: The user agreed to the download.
        address: The folder on the web that holds the two files.
        progress: Called with the bytes that are there and the bytes of all.

    Raises:
        HomeportError: `approval_required` without consent; `unavailable` or `damaged`, see `weights.download`.
    """
    built = home / "models" / BUILT
    if manifest := await anyio.to_thread.run_sync(inference.manifest_of, built):
        return ModelIdentity(**manifest)
    if not consent:
        raise HomeportError(
            "approval_required",
            f"The embedding model all-MiniLM-L6-v2 (Apache-2.0, 91 MB) would be downloaded from {address}.",
            "Call again with consent, once the user agreed.",
        )
    folder = home / "models" / weights.FOLDER
    await weights.download(folder, address=address, progress=progress)
    return await _build(folder, built)


async def _local(folder: Path, home: Path, worker: Worker) -> LocalEmbedder | None:
    """Return the embedder for a folder with a built model, or with weights, which are then built; None for others."""
    if manifest := await anyio.to_thread.run_sync(inference.manifest_of, folder):
        return LocalEmbedder(ModelIdentity(**manifest), folder, worker)
    if not weights.holds_weights(folder):
        return None
    built = home / "models" / BUILT
    if manifest := await anyio.to_thread.run_sync(inference.manifest_of, built):
        return LocalEmbedder(ModelIdentity(**manifest), built, worker)
    return LocalEmbedder(await _build(folder, built), built, worker)


async def _build(folder: Path, built: Path) -> ModelIdentity:
    """Build in a process of its own, so that what the build needs (500 MB) is gone afterwards."""
    builder = Worker("builder of the embedding model", background=True)
    try:
        return ModelIdentity(**await builder.call(inference.build, str(folder), str(built), timeout=300))
    finally:
        await builder.aclose()
