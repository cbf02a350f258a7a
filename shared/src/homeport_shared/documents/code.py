"""Source code and data languages: divided where a blank line comes before an unindented one."""

from __future__ import annotations

from homeport_shared.documents.model import Block, Writer
from homeport_shared.documents.plain import block, decode_source, paragraphs


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from the text of a program."""
    lines = (text := decode_source(data, writer)).split("\n")
    pieces: list[Block] = []
    for part in paragraphs(lines, "code"):
        if pieces and part.text[0] in " \t})]":
            part = block(lines, pieces.pop().line - 1, part.end_line, "code")
        pieces.append(part)
    writer.take_source(text, pieces)
    writer.title = writer.name
