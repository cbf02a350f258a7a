"""What the tools return of documents, their chunks and former versions."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Document(BaseModel):
    """What is known about a document; `source` is its file or the address it was given with.

    `origin` is `folder`, `upload`, `email` or `text`; `status` is `embedded`, `pending` or `failed`.
    """

    document_id: str
    title: str
    uri: str
    source: str
    origin: str
    collection: str
    media_type: str
    size: int
    chunks: int
    embedded: int
    status: str
    error: str
    language: str
    metadata: dict[str, Any]
    warnings: list[str]
    modified: str
    added: str
    updated: str
    archived: bool


class Heading(BaseModel):
    """A heading of a document; `page` is 0 where it has none."""

    level: int
    text: str
    line: int
    page: int


class Details(Document):
    """All about a document: also what was noted when it was read, which took `milliseconds`."""

    author: str = ""
    created: str = ""
    words: int = 0
    characters: int = 0
    summary: str = ""
    headings: list[Heading] = []
    milliseconds: float = 0
    versions: int = 0
    searches: int = 0


class Chunk(BaseModel):
    """A chunk; `vector_id` is its number in the vector index, `model` empty while it waits to be embedded."""

    vector_id: int
    text: str
    header: str
    page: int
    line: int
    end_line: int
    model: str
    metadata: dict[str, Any]
    updated: str


class Chunks(BaseModel):
    """One page of a document's chunks."""

    chunks: list[Chunk]
    next: int = Field(description="0 = end")


class Version(BaseModel):
    """What a document was before it changed; `updated` is when it became that."""

    version: int
    title: str
    text: str
    actor: str
    updated: str


class DocumentText(BaseModel):
    """A window of a document's text."""

    document_id: str
    title: str
    uri: str
    source: str
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


class Changed(BaseModel):
    """How many were changed."""

    changed: int


class Versions(BaseModel):
    """What a document was before, newest first."""

    versions: list[Version]


class Named(BaseModel):
    """What was made or changed, by its name or id, and how it is now."""

    id: str
    state: str


class Review(BaseModel):
    """An entry that was put aside, and why."""

    review_id: int
    text: str
    title: str
    collection: str
    metadata: dict[str, Any]
    uri: str
    document_id: str
    reasons: list[str]
    actor: str
    at: str


class Reviews(BaseModel):
    """Entries that wait for a person, newest first."""

    reviews: list[Review]


class Upload(BaseModel):
    """A file that is given: `data` is its bytes in base64."""

    name: str
    data: str


class UploadOutcome(BaseModel):
    """What became of one uploaded file; how it is read shows its job."""

    name: str
    document_id: str
    state: str
    reason: str


class Uploads(BaseModel):
    """The job that takes the files in, and which were refused."""

    job_id: str
    files: list[UploadOutcome]


class Brief(BaseModel):
    """A document in few words."""

    document_id: str
    title: str
    source: str
    collection: str


class BriefList(BaseModel):
    """One page of the documents."""

    documents: list[Brief]
    next_cursor: str
