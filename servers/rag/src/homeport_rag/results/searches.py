"""What the tools return of searches."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

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
