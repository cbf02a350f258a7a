"""What a document is once it is read, and the writer that every reader fills."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

BlockKind = Literal["heading", "paragraph", "code", "table", "list"]
MAX_CHARACTERS = 20_000_000
_LINE_ENDS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Block:
    """A piece of a document that belongs together.

    Attributes:
        text: Its words; a heading without its marks, everything else as its lines in `Document.text`.
        kind: What it is.
        level: 1 to 6 for a heading, 0 for everything else.
        page: Page, slide or sheet, from 1; None where the format has none.
        line: Its first line in `Document.text`, from 1; lines end at a line feed only.
        end_line: Its last line, included.
    """

    text: str
    kind: BlockKind
    level: int = 0
    page: int | None = None
    line: int = 1
    end_line: int = 1


@dataclass(frozen=True)
class Document:
    """A document as text.

    Attributes:
        title: Its own title, or its first heading, or its file name.
        text: All of its text, lines ended by a line feed.
        media_type: What it was before.
        blocks: Its pieces in reading order; together they hold every line of `text` that is not blank.
        metadata: What the format says about it, such as `author`, `pages`, `attachments`.
        warnings: Sentences about what could not be read.
    """

    title: str
    text: str
    media_type: str
    blocks: list[Block]
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    warnings: list[str] = field(default_factory=list[str])


class FullError(Exception):
    """The text has reached the limit; what is written so far is kept."""


class Writer:
    """Collects the blocks of one document and keeps count of the lines.

    Args:
        name: The file name, for messages and as the title of last resort.
        limit: The most characters that are kept.
        recognize: Returns the text on the picture of a page; None = pages without text are not read.
    """

    def __init__(self, name: str, limit: int = MAX_CHARACTERS, recognize: Callable[[bytes], str] | None = None) -> None:
        self.name = name
        self.recognize = recognize
        self.title = ""
        self.metadata: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.blocks: list[Block] = []
        self._left = limit
        self._lines: list[str] = []

    def add(self, text: str, kind: BlockKind = "paragraph", *, level: int = 0, page: int | None = None) -> None:
        """Append one block; blank text is left out, and blank lines at its ends are dropped.

        Raises:
            FullError: When the limit is reached.
        """
        text = clean(text).strip("\n") if kind == "code" else _trimmed(clean(text))
        if not text.strip():
            return
        if kind == "heading":
            text = " ".join(text.split())
        if len(text) > self._left:
            raise FullError
        self._left -= len(text) + 2
        if self._lines:
            self._lines.append("")
        lines = text.split("\n")
        line = len(self._lines) + 1
        self.blocks.append(Block(text, kind, level, page, line, line + len(lines) - 1))
        self._lines += ["#" * level + " " + text] if kind == "heading" else lines

    def take_source(self, text: str, blocks: list[Block]) -> None:
        """Use `text`, which has its own lines, as it is; nothing may have been added before."""
        self._lines = text.split("\n")
        self.blocks = blocks

    def fitting(self, text: str) -> str:
        """Return `text` with plain line ends, cut at the last line that fits the limit, with a warning."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if len(text) <= self._left:
            return text
        self.warn_full()
        return text[: text.rfind("\n", 0, self._left) + 1 or self._left]

    def warn_full(self) -> None:
        """Say that the rest of the document is missing."""
        count = sum(len(line) + 1 for line in self._lines) or self._left
        self.warnings.append(f"Only the first {count:,} characters of {self.name} were read; the rest is left out.")

    def finish(self, media_type: str) -> Document:
        """Return the document that was written."""
        heading = next((b.text for b in self.blocks if b.kind == "heading"), "")
        title = " ".join(clean(self.title).split()) or heading or self.name
        return Document(title[:300], "\n".join(self._lines), media_type, self.blocks, self.metadata, self.warnings)


def clean(text: str) -> str:
    """Return `text` with the line feed as its only line end and without control characters and halves of characters."""
    return _UNPRINTABLE.sub("", _LINE_ENDS.sub("\n", text))


def row(cells: list[str]) -> str:
    """Return the cells of a table's row as one line, `a | b | c`; a row without content is an empty line."""
    texts = [" ".join(cell.split()) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return " | ".join(texts)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
