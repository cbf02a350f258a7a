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
        language: ISO 639-1, such as `en`; empty where it is not known.
        error: Why it could not be read; empty when it could.
        job: The job that reads it; empty for a given text.
        structure: What was noted of it; see `homeport_rag.structure`.
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
    language: str = ""
    error: str = ""
    job: str = ""
    structure: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """How the documents of a collection are divided and embedded.

    Attributes:
        splitter: `auto` follows the kind of the document; `markdown` and `code` read every document as such;
            `recursive` pays attention to blank lines, sentences and words only.
        chunk_tokens: The most tokens of a passage with its headings.
        overlap_tokens: How much of the end of a passage the next one may repeat.
        embedding_address: An embedding server of its own; empty = the one in the settings of the server.
        embedding_model: The model at that address.
    """

    splitter: Literal["auto", "recursive", "markdown", "code"] = "auto"
    chunk_tokens: int = 250
    overlap_tokens: int = 25
    embedding_address: str = ""
    embedding_model: str = ""

    @property
    def choice(self) -> tuple[str, str]:
        """Address and name of the embedding model; both empty for the server's own."""
        return self.embedding_address, self.embedding_model


@dataclass(frozen=True, slots=True)
class Space:
    """A collection, as search and ingest see it.

    Attributes:
        language: `en` has English word stems.
        wanted: Key of the model that its passages are to be embedded with; empty = none so far.
        answering: Key of the model whose vectors answer; differs from `wanted` while passages are embedded anew.
        choice: Address and name under which the answering model is found.
    """

    id: int
    name: str
    language: str
    settings: CollectionSettings = CollectionSettings()
    wanted: str = ""
    answering: str = ""
    choice: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Known:
    """What tells whether a file changed since it was stored.

    Attributes:
        tries: How often it could not be read as it was at `failed_ns`, its modification time in nanoseconds.
    """

    id: str
    size: int
    mtime_ns: int
    sha256: str
    tries: int = 0
    failed_ns: int = 0


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A stored passage that has no vector yet.

    Attributes:
        searched: Its header and text, which are embedded together.
    """

    id: int
    searched: str
