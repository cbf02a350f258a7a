"""What the knowledge base is made of, as its store takes it in and gives it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["new", "changed", "unchanged", "removed", "failed"]


@dataclass(frozen=True, slots=True)
class Passage:
    """One chunk of a document, before it is stored.

    Attributes:
        text: What is shown.
        header: Title and headings above it: searched and embedded, not shown.
        page: Page it begins on, from 1; None where the document has no pages.
        line: First line in the document's text, from 1.
        end_line: Last line.
    """

    text: str
    header: str = ""
    page: int | None = None
    line: int = 1
    end_line: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A document and all its passages, before it is stored.

    Attributes:
        id: Stays the same when the document changes.
        uri: Where it is from; one document per URI and collection.
        size: Bytes of the file or of the given text.
        sha256: Of those bytes, hexadecimal.
        mtime_ns: Modification time of the file in nanoseconds; 0 = do not rely on it.
        modified: The same, or the moment a text was given, as RFC 3339.
        job: The job that reads it; empty for a given text.
    """

    id: str
    uri: str
    title: str
    media_type: str
    size: int
    sha256: str
    text: str
    passages: list[Passage]
    mtime_ns: int = 0
    modified: str = ""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    warnings: list[str] = field(default_factory=list[str])
    job: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What tells whether a file changed since it was stored."""

    id: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A stored passage that has no vector yet.

    Attributes:
        searched: Its header and text, which are embedded together.
    """

    id: int
    searched: str
