"""Parts of a text file that is too long to show whole: read from the file itself, whatever its size.

A window ends at a line end where there is one in reach, else between two characters, so that windows put together are
the text. Only as much as one window is in memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 1 << 20
_WIDTHS = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: byte offset and the number of the line there, from 1."""

    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text.

    Attributes:
        text: The part.
        start: Where it begins.
        end: Where the next one begins; None at the end of the file.
        lossy: Some bytes did not fit the encoding and are shown as U+FFFD.
    """

    text: str
    start: Position
    end: Position | None
    lossy: bool


def read_window(file: BinaryIO, encoding: str, start: Position, *, max_lines: int, max_bytes: int) -> Window:
    """Return the part of `file` from `start` on.

    Args:
        file: Seekable.
        encoding: One that `codecs` knows, without byte order mark.
        start: Where to begin: a line's beginning or where a window ended.
        max_lines: The most lines.
        max_bytes: The most bytes of the file; at least one character is returned.
    """
    file.seek(start.offset)
    data = file.read(max(max_bytes, 8))
    whole = not file.read(1)
    newline, width = _newline(encoding), _WIDTHS.get(encoding, 1)
    cut = _end_of_line(data, newline, width, max_lines)
    if cut is None and not whole:
        cut = _end_of_line(data, newline, width, -1)
    text, used, lossy = _decode(data if cut is None else data[:cut], encoding, final=cut is not None or whole)
    end = Position(start.offset + used, start.line + text.count("\n"))
    finished = whole and used == len(data)
    return Window(text, start, None if finished else end, lossy)


def find_line(file: BinaryIO, encoding: str, line: int, start: int, check: Callable[[], None]) -> Position | None:
    """Return where line number `line` begins; None when the file has fewer lines.

    Args:
        file: Seekable.
        encoding: As for `read_window`.
        line: From 1.
        start: The offset of line 1, behind a byte order mark.
        check: Called often; raises to stop.
    """
    newline, width = _newline(encoding), _WIDTHS.get(encoding, 1)
    file.seek(start)
    offset, number = start, 1
    while number < line:
        check()
        data = file.read(CHUNK)
        if not data:
            return None
        wanted = line - number
        end = _end_of_line(data, newline, width, wanted)
        if end is not None:
            return Position(offset + end, line)
        number += _count(data, newline, width)
        offset += len(data)
    return Position(offset, line)


def _newline(encoding: str) -> bytes:
    return "\n".encode(encoding)


def _count(data: bytes, newline: bytes, width: int) -> int:
    if width == 1:
        return data.count(newline)
    return sum(data[at : at + width] == newline for at in range(0, len(data), width))


def _end_of_line(data: bytes, newline: bytes, width: int, number: int) -> int | None:
    """Return where line `number` (from 1; -1 = the last) of `data` ends, behind its line end; None when it does not."""
    if number < 0:
        at = data.rfind(newline)
        while at > 0 and at % width:
            at = data.rfind(newline, 0, at + width - 1)
        return at + width if at >= 0 and at % width == 0 else None
    at = -width
    for _ in range(number):
        at = data.find(newline, at + width)
        while at > 0 and at % width:
            at = data.find(newline, at + 1)
        if at < 0:
            return None
    return at + width


def _decode(data: bytes, encoding: str, *, final: bool) -> tuple[str, int, bool]:
    """Return the text of `data`, how many bytes it took, and whether some did not fit."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        text = decoder.decode(data, final)
        left = 0 if final else len(decoder.getstate()[0])
    except UnicodeDecodeError:
        return data.decode(encoding, "replace"), len(data), True
    return text, len(data) - left, False
