"""Plain text: paragraphs between blank lines."""

from __future__ import annotations

from homeport_shared.documents.decoding import decode
from homeport_shared.documents.model import Block, BlockKind, Writer


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from text in any encoding."""
    text = decode_source(data, writer)
    writer.take_source(text, paragraphs(text.split("\n")))


def decode_source(data: bytes, writer: Writer) -> str:
    """Return the text of `data` with plain line ends, and note its encoding."""
    decoded = decode(data, writer.name)
    writer.metadata["encoding"] = decoded.encoding
    return writer.fitting(decoded.text)


def paragraphs(lines: list[str], kind: BlockKind = "paragraph") -> list[Block]:
    """Divide `lines` at blank ones."""
    blocks: list[Block] = []
    start: int | None = None
    for number, line in enumerate([*lines, ""]):
        if line.strip():
            start = number if start is None else start
        elif start is not None:
            blocks.append(block(lines, start, number, kind))
            start = None
    return blocks


def block(lines: list[str], start: int, end: int, kind: BlockKind) -> Block:
    """Return the block of `lines[start:end]`."""
    return Block("\n".join(lines[start:end]), kind, line=start + 1, end_line=end)
