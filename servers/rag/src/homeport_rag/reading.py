"""Read one file into passages; runs in a worker process, because files are not to be trusted."""

from __future__ import annotations

import hashlib
from pathlib import Path

from homeport_rag.records import Passage, Source
from homeport_shared.errors import HomeportError


def supported(name: str) -> bool:
    """Say whether a file of this name can be read."""
    return name.lower().endswith((".txt", ".md", ".csv"))


def read(path: str, identifier: str, max_bytes: int) -> Source:
    """Return a file as a document with its passages.

    Args:
        path: The file.
        identifier: The id the document gets.
        max_bytes: A larger file is refused.

    Raises:
        HomeportError: `unsupported`, `damaged`, `too_large`, `denied` or `not_found`, naming the file.
    """
    file = Path(path)
    if not supported(path):
        raise HomeportError("unsupported", f"{file.name} is of a type that cannot be read.", "Convert it first.")
    data = file.read_bytes()
    text = data.decode("utf-8", "replace")
    status = file.stat()
    return Source(
        id=identifier,
        uri=file.as_uri(),
        title=file.stem,
        media_type="text/plain",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        text=text,
        passages=paragraphs(text, file.stem),
        mtime_ns=status.st_mtime_ns,
        modified="",
    )


def paragraphs(text: str, title: str) -> list[Passage]:
    """Split `text` at blank lines."""
    passages: list[Passage] = []
    start, block = 1, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            start = start if block else number
            block.append(line)
        elif block:
            passages.append(Passage("\n".join(block), title, None, start, number - 1))
            block = []
    return passages
