"""What the tools return."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

State = Literal["answered", "nothing", "failed", "off", "not asked"]


class Hit(BaseModel):
    """One result of a search."""

    title: str
    url: str
    snippet: str


class BackendState(BaseModel):
    """What became of one search engine; `why` is empty where there is nothing to say."""

    name: str
    state: State
    hits: int = 0
    seconds: float = 0
    why: str = ""


class Found(BaseModel):
    """The results, best first, and what became of each search engine."""

    results: list[Hit]
    backends: list[BackendState]


class Visit(BaseModel):
    """A part of a page.

    Attributes:
        uri: The resource of this copy, for citations.
        next: Where the next part starts; None at the end.
        age_minutes: How old the copy is; 0 when it was visited now.
    """

    url: str
    uri: str
    title: str
    text: str
    start: int
    next: int | None
    characters: int
    media_type: str
    author: str
    published: str
    site: str
    language: str
    fetched: str
    age_minutes: int
    redirects: list[str]
    warnings: list[str]


class Link(BaseModel):
    """One address that a page links to."""

    text: str
    url: str


class Table(BaseModel):
    """One table of a page."""

    caption: str
    rows: list[list[str]]


class Element(BaseModel):
    """One element of a page."""

    tag: str
    text: str
    attributes: dict[str, str]


class Parts(BaseModel):
    """Parts of a page; `total` counts all, `next` is where the rest starts, None at the end."""

    url: str
    title: str
    total: int
    next: int | None
    links: list[Link] = []
    tables: list[Table] = []
    elements: list[Element] = []


class Kept(BaseModel):
    """A page that was visited; `size` is in bytes."""

    uri: str
    url: str
    title: str
    fetched: str
    size: int


class KeptPages(BaseModel):
    """Pages that were visited, newest first; `next` is the cursor of the rest, empty at the end."""

    pages: list[Kept]
    next: str
