"""Which of many texts can hold a literal, without reading them: a Bloom filter of the trigrams of each text.

A text becomes a row of bits, at least two for each of its different trigrams (B. H. Bloom, Space/time trade-offs in
hash coding with allowable errors, 1970); rows of one width lie one behind the other, so that one column of them is
a slice. A text that holds a literal is always found; of those that do not, some are found too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import compress

from homeport_files.literals import form_of
from homeport_shared.documents import decode
from homeport_shared.errors import HomeportError

SHORTEST = 3
_NARROWEST, _WIDEST = 32, 8192  # bytes of a row
_MOST_ASKED = 32  # trigrams of a query: more make nothing rarer
_BITS = [bytes(bool(byte & 0x80 >> bit) for byte in range(256)) for bit in range(8)]

Row = bytes | None
BINARY = b""


def rows_of(contents: list[bytes]) -> list[Row]:
    """Return the row of each file; `BINARY` when it is no text, None when it has too many trigrams for a row.

    It takes about 0.1 s for a MiB, so it is run in a worker.
    """
    return [_row_of(data) for data in contents]


def _row_of(data: bytes) -> Row:
    if data.isascii() and b"\0" not in data:
        return row_of(data.lower())
    try:
        return row_of(form_of(decode(data).text))
    except HomeportError:
        return BINARY


def row_of(form: bytes) -> Row:
    """Return the row of a text, given by its form; None when it has too many trigrams for one."""
    grams = _trigrams(form)
    width = _NARROWEST
    while width * 4 < len(grams) and width < _WIDEST:
        width *= 2
    if len(grams) > width * 8:
        return None
    bits = bytearray(b"0") * (width * 8)
    for position in _positions(grams, width):
        bits[position] = ord("1")
    return int(bits, 2).to_bytes(width, "big")


class Filter:
    """The rows of many texts, each by a number that is never used again.

    Attributes:
        bytes: The memory that the rows take.
    """

    def __init__(self) -> None:
        self._tables: dict[int, _Table] = {}
        self.bytes = 0

    def put(self, number: int, row: bytes) -> None:
        """Add the row of a text."""
        self._tables.setdefault(len(row), _Table(len(row))).put(number, row)
        self.bytes += len(row)

    def candidates(self, literals: Iterable[bytes]) -> Generator[int]:
        """Yield the numbers of the texts that can hold all literals, each of at least `SHORTEST` bytes."""
        grams = set[int]().union(*map(_trigrams, literals))
        for table in self._tables.values():
            yield from table.candidates(grams)


class _Table:
    """Rows of one width."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows = bytearray()
        self._numbers: list[int] = []

    def put(self, number: int, row: bytes) -> None:
        self._rows += row
        self._numbers.append(number)

    def candidates(self, grams: set[int]) -> Iterable[int]:
        count = len(self._numbers)
        left = int.from_bytes(b"\1" * count, "little")
        for position in sorted(_positions(grams, self._width))[:_MOST_ASKED]:
            column = self._rows[position // 8 :: self._width].translate(_BITS[position % 8])
            left &= int.from_bytes(column, "little")
            if not left:
                break
        return compress(self._numbers, left.to_bytes(count, "little"))


def _trigrams(form: bytes) -> set[int]:
    """Return the trigrams as numbers, taken from four views of 32-bit numbers: several times as fast as slices."""
    if len(form) < SHORTEST:
        return set()
    padded = form + form[-1:]  # the last trigram must begin a number too; it ends with a byte that is cut off
    found = set[int]()
    for start in range(4):
        end = start + (len(padded) - start) // 4 * 4
        found.update(memoryview(padded)[start:end].cast("I"))
    return {number & 0xFFFFFF for number in found}


def _positions(grams: set[int], width: int) -> set[int]:
    """Return the bits of `grams` in a row of `width` bytes, by D. Knuth's multiplicative hash."""
    shift = 33 - (width * 8).bit_length()
    return {(gram * 2654435761 & 0xFFFFFFFF) >> shift for gram in grams}
