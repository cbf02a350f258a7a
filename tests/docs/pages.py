"""The pages of documentation and the code blocks in them.

A block's info string is its language, then what is to be done with it:

    ```markdown file=notes/a.md     the text is saved under this name in the page's folder
    ```text output                  each of its lines appears in what the block before it printed
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "shared/*.md", "host/*.md", "servers/*/*.md", "clients/*/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "NOTE_FROM_LEAD.md"
)
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    marks: tuple[str, ...]
    text: str

    @property
    def file(self) -> str:
        """The name that it is saved under; empty when it is not."""
        return next((mark.removeprefix("file=") for mark in self.marks if mark.startswith("file=")), "")

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        language, *marks = match["info"].split() or [""]
        lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines()]
        found.append(
            Block(page, text.count("\n", 0, match.start()) + 1, language, tuple(marks), "\n".join(lines) + "\n")
        )
    return found


def prose_of(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text("utf-8")))


def links_of(page: Path) -> list[str]:
    return _LINK.findall(_BLOCK.sub("", page.read_text("utf-8")))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = _HEADING.findall(_BLOCK.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
