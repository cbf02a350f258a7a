"""What the tools return."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Mode = Literal["hybrid", "lexical", "vector"]


class Hit(BaseModel):
    """One passage that was found; `page` is 0 where a document has none."""

    document_id: str
    chunk_id: int
    title: str
    uri: str
    collection: str
    text: str
    score: float
    parts: dict[str, float]
    page: int
    line: int
    end_line: int


class SearchResult(BaseModel):
    """The passages that were found, best first."""

    hits: list[Hit]
    mode: str
    why: str


class Document(BaseModel):
    """What is known about a document."""

    document_id: str
    title: str
    uri: str
    collection: str
    media_type: str
    size: int
    chunks: int
    embedded: int
    metadata: dict[str, Any]
    warnings: list[str]
    modified: str


class DocumentText(BaseModel):
    """A window of a document's text."""

    document_id: str
    title: str
    uri: str
    collection: str
    metadata: dict[str, Any]
    text: str
    line: int
    end_line: int
    lines: int
    next_line: int = Field(description="0 = end")


class DocumentList(BaseModel):
    """One page of the documents."""

    documents: list[Document]
    next_cursor: str


class Added(BaseModel):
    """What `add` did, or the job that is doing it."""

    document_id: str
    job_id: str
    outcome: str


class Deleted(BaseModel):
    """What is gone."""

    documents: int
    chunks: int
    missing: list[str]


class Named(BaseModel):
    """What was made or changed, by its name or id, and how it is now."""

    id: str
    state: str


class Collection(BaseModel):
    """A space of its own for documents."""

    name: str
    language: str
    documents: int
    chunks: int
    embedded: int


class Stats(BaseModel):
    """The state of the knowledge base."""

    collections: list[Collection]
    folders: list[str]
    bytes: int
    model: str
    why: str


class JobInfo(BaseModel):
    """A piece of long work."""

    job_id: str
    kind: str
    state: str
    done: int
    total: int
    message: str
    counters: dict[str, float]
    notes: list[str]
    seconds: float
    error: str


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobInfo]
