"""What the tools return of collections, models and the state of the whole."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Counts(BaseModel):
    """A space of its own for documents, and how much is in it."""

    name: str
    language: str
    documents: int
    chunks: int
    embedded: int


class Collection(Counts):
    """All about a collection; `pending` documents wait for vectors."""

    pending: int
    failed: int
    archived: int
    model: str
    rebuilt: str
    settings: dict[str, Any]


class Stats(BaseModel):
    """The state of the knowledge base."""

    collections: list[Counts]
    folders: list[str]
    bytes: int
    model: str
    why: str


class Overview(Stats):
    """All about the state of the knowledge base.

    Times are milliseconds, of the latest searches; `disk_percent` is how full the disk is, `percent_embedded` of the
    chunks have a vector. `health` is `ok`, or `warning` when there are warnings.
    """

    collections: list[Collection]  # pyright: ignore[reportIncompatibleVariableOverride] - narrower, and only read
    documents: int
    chunks: int
    percent_embedded: float
    model_name: str
    dimension: int
    free_bytes: int
    disk_percent: float
    warnings: list[str]
    health: str
    rebuilt: str
    statuses: dict[str, int]
    searches: int
    search_median: float
    search_p95: float


class Ingested(BaseModel):
    """What became of the files in the watched folders: how many are new, changed, removed, failed, unchanged."""

    counters: dict[str, float]
    why: str = ""


class Finding(BaseModel):
    """Something that can go, and why: a document, or the remains named by an id such as `remains:vectors`."""

    document_id: str
    title: str
    source: str
    reason: str


class Cleanup(BaseModel):
    """What could go, and how much was removed."""

    found: list[Finding]
    removed: int
    chunks: int
    vectors: int
    bytes: int


class Validation(BaseModel):
    """Whether everything agrees."""

    ok: bool
    problems: list[str]
    checked: str


class Model(BaseModel):
    """An embedding model, and what came of a question to it."""

    id: str
    dimension: int
    language: str
    address: str
    collections: list[str]
    milliseconds: float
    why: str


class ModelList(BaseModel):
    """The embedding models in use or at hand."""

    models: list[Model]
