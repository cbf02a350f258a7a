"""What the tools return."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

MemoryKind = Literal["episodic", "semantic", "preference"]
Mode = Literal["hybrid", "lexical", "vector", "name", "all"]


class Hit(BaseModel):
    """One passage that was found; `page` is 0 where a document has none."""

    document_id: str
    chunk_id: int
    title: str
    uri: str
    source: str
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
    created: str
    finished: str


class Ingested(BaseModel):
    """What became of the files in the watched folders: how many are new, changed, removed, failed, unchanged."""

    counters: dict[str, float]
    why: str = ""


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobInfo]


class MemoryEntry(BaseModel):
    """Something remembered; `strength` is its importance faded by its age, both 0 to 1."""

    memory_id: str
    text: str
    kind: MemoryKind
    subject: str
    tags: list[str]
    source: str
    at: str
    importance: float = Field(ge=0, le=1)
    agent: str
    strength: float = 0
    similarity: float = 0


class Remembered(BaseModel):
    """What a model is told of a memory."""

    memory_id: str
    text: str
    subject: str
    at: str
    similarity: float


class Recalled(BaseModel):
    """What was recalled, nearest first."""

    memories: list[Remembered]
    why: str


class Memories(BaseModel):
    """What was recalled, nearest first."""

    memories: list[MemoryEntry]
    mode: str
    why: str


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


class Reason(BaseModel):
    """Why a document was not among the hits, or that it was.

    `rank` is its place among all passages, 0 = not found; `needed` is the score of the last hit.
    """

    document_id: str
    title: str
    found: bool
    reason: str
    hint: str
    rank: int
    score: float
    needed: float
    terms: dict[str, bool]
    best: list[Hit]
    above: list[str]


class Similar(BaseModel):
    """A document that is like another one."""

    document_id: str
    title: str
    collection: str
    similarity: float


class Edge(BaseModel):
    """How alike two documents are."""

    one: str
    other: str
    similarity: float


class Graph(BaseModel):
    """A document, which comes first, with those that are like it, and how all of these are linked."""

    documents: list[Similar]
    edges: list[Edge]
    why: str


class Suggestions(BaseModel):
    """What could be searched: earlier searches, and titles of documents."""

    searches: list[str]
    titles: list[str]


class SimilarList(BaseModel):
    """Similar documents, most similar first."""

    documents: list[Similar]
    why: str


class Asked(BaseModel):
    """A search that was made."""

    id: int
    query: str
    at: str
    mode: str
    hits: int
    best: float
    milliseconds: float
    score: float = 0
    excerpt: str = ""


class History(BaseModel):
    """Searches, newest first."""

    queries: list[Asked]


class Saved(BaseModel):
    """A search that was kept under a name; `fresh` are documents that it found since somebody looked."""

    name: str
    asked: dict[str, Any]
    alert: bool
    created: str
    fresh: list[str]


class SavedList(BaseModel):
    """The kept searches."""

    queries: list[Saved]


class Export(BaseModel):
    """Text to save as a file."""

    name: str
    media_type: str
    text: str


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
