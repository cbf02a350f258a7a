"""Documents into chunks: pieces that fit the model, follow the structure of the document and know their place.

Blocks are packed greedily. A block that does not fit is divided at blank lines, then (code) at its least indented
lines, then at lines, sentences, words and at last characters. Every text is counted once, in batches, since counting
tokens is what costs time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from homeport_shared.documents import Block, BlockKind, Document
from homeport_shared.documents.markdown import scan as markdown_blocks

Count = Callable[[Sequence[str]], list[int]]
MIN_LIMIT = 24
_SEPARATOR = " › "
_WORDS = re.compile(r"\w+|[^\w\s]")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_LEVELS = (
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?;:])\s+|(?<=[。！？；])"),
    re.compile(r"\s+"),
)
# A model may count a long word as one unknown token; a chunk must not grow by that.
CHARACTERS_PER_TOKEN = 10


@dataclass(frozen=True)
class Chunk:
    """A passage that is stored, searched and cited.

    Attributes:
        text: The passage as it stands in the document.
        header: `title › heading path`, and the first row where a table goes on; for the index and the model, not
            for display.
        page: Page, slide or sheet where it begins, from 1; None where the format has none.
        line: Its first line in `Document.text`, from 1.
        end_line: Its last line, included.
        ordinal: Its number in the document, from 0.
    """

    text: str
    header: str
    page: int | None
    line: int
    end_line: int
    ordinal: int

    @property
    def embedded(self) -> str:
        """The text that the model sees."""
        return f"{self.header}\n{self.text}"


@dataclass(frozen=True)
class _Piece:
    """What the packer moves: a block or a part of one, with the white space that stood before it."""

    text: str
    before: str
    kind: BlockKind
    page: int | None
    line: int
    header: str
    continued: str  # the header of its later parts: those of a table name its columns
    tokens: int = 0

    @property
    def end_line(self) -> int:
        return self.line + self.text.count("\n")


def chunk(document: Document, *, limit_tokens: int = 250, count: Count, overlap: float = 0.1) -> list[Chunk]:
    """Divide `document` into chunks.

    Every character that is not white space is in some chunk; no chunk spans two pages; a heading begins a new chunk
    unless the one before is still small.

    Args:
        document: What `homeport_shared.documents.extract` returned.
        limit_tokens: The most tokens of header and text together, at least `MIN_LIMIT`. MiniLM reads 256, two of
            them its own.
        count: The tokens of each of several texts, without the special ones; `estimate` where there is no model.
        overlap: The share of the limit, 0 to 0.15, by which a chunk may repeat the end of the one before, where a
            section had to be divided.

    Raises:
        ValueError: When an argument is out of its range.
    """
    if limit_tokens < MIN_LIMIT or not 0 <= overlap <= 0.15:
        raise ValueError(f"limit_tokens must be at least {MIN_LIMIT} and overlap between 0 and 0.15")
    pieces = list(_pieces_of(document))
    headers = dict.fromkeys(header for piece in pieces for header in (piece.header, piece.continued))
    fitted = _headers(headers, limit_tokens // 3, count)
    pieces = [replace(p, header=fitted[p.header][0], continued=fitted[p.continued][0]) for p in pieces]
    costs = dict(fitted.values())
    groups = _pack(_divided(pieces, limit_tokens, costs, count), limit_tokens, costs, int(overlap * limit_tokens))
    verified = _verified(list(groups), limit_tokens, count)
    return [_chunk(group, ordinal) for ordinal, group in enumerate(verified)]


def as_kind(document: Document, splitter: str) -> Document:
    """Return `document` with the blocks that `splitter` sees in it.

    Args:
        document: As it was read.
        splitter: `auto` keeps the blocks; `markdown` and `code` read the text as such; `recursive` takes all blocks
            for paragraphs, so that only blank lines, sentences and words divide.
    """
    if splitter == "markdown":
        return replace(document, blocks=markdown_blocks(document.text))
    if splitter == "auto" or not document.blocks:
        return document
    kind: BlockKind = "code" if splitter == "code" else "paragraph"
    return replace(document, blocks=[replace(block, kind=kind, level=0) for block in document.blocks])


def estimate(texts: Sequence[str]) -> list[int]:
    """Return about how many tokens a model would see in each text; needs no model and rather counts too many."""
    return [sum(_estimated(word) for word in _WORDS.findall(text)) for text in texts]


def _estimated(word: str) -> int:
    return 1 + (len(word) - 1) // 5 if word.isascii() else len(word)


def _pieces_of(document: Document) -> Iterator[_Piece]:
    lines = document.text.split("\n")
    path: list[Block] = []
    end = 0
    for block in document.blocks:
        if block.kind == "heading":
            path = [*(above for above in path if above.level < block.level), block]
        titles = [document.title, *(above.text for above in path)]
        header = _path(titles)
        continued = _path([*titles, block.text.partition("\n")[0]]) if block.kind == "table" else header
        text = "\n".join(lines[block.line - 1 : block.end_line])
        yield _Piece(text, "\n" * min(block.line - end, 2), block.kind, block.page, block.line, header, continued)
        end = block.end_line


def _path(titles: list[str]) -> str:
    return _SEPARATOR.join(dict.fromkeys(" ".join(title.split())[:120] for title in titles))


def _headers(headers: Iterable[str], most: int, count: Count) -> dict[str, tuple[str, int]]:
    """Return for each header the form that fits into `most` tokens, and its tokens; the end tells most, so it stays."""
    fitting: dict[str, tuple[str, int]] = {}
    shorter = {header: header for header in headers}
    while shorter:
        for (header, short), size in zip(list(shorter.items()), count(list(shorter.values())), strict=True):
            if max(size, len(short) // CHARACTERS_PER_TOKEN) <= most:
                fitting[header] = (short, size)
                del shorter[header]
            else:
                shorter[header] = short.partition(_SEPARATOR)[2] or short[: len(short) // 2]
    return fitting


def _divided(pieces: list[_Piece], limit: int, costs: dict[str, int], count: Count) -> list[_Piece]:
    """Return `pieces` with their tokens, those that do not fit below their heading divided until they do."""

    def too_large(piece: _Piece) -> bool:
        return piece.tokens > max(1, limit - 2 * costs[piece.header] - 4)

    pieces = _counted(pieces, count)
    for divide in (_at_blank_lines, _at_least_indented, *map(_at, _LEVELS), _at_characters):
        large = [piece for piece in pieces if too_large(piece)]
        if not large:
            break
        parts = [list(divide(piece)) for piece in large]
        counted = iter(_counted([part for several in parts for part in several], count))
        replaced = iter([[next(counted) for _ in several] for several in parts])
        pieces = [part for piece in pieces for part in (next(replaced) if too_large(piece) else [piece])]
    return pieces


def _counted(pieces: list[_Piece], count: Count) -> list[_Piece]:
    sizes = count([piece.text for piece in pieces]) if pieces else []
    least = [len(piece.text) // CHARACTERS_PER_TOKEN for piece in pieces]
    return [replace(piece, tokens=max(sizes[n], least[n], 1)) for n, piece in enumerate(pieces)]


def _at_blank_lines(piece: _Piece) -> Iterator[_Piece]:
    return _split(piece, _BLANK_LINES)


def _at_least_indented(piece: _Piece) -> Iterator[_Piece]:
    """Divide code before the lines that are indented least, after the first."""
    if piece.kind != "code":
        return iter([piece])
    rest = [line for line in piece.text.split("\n")[1:] if line.strip()]
    least = min((len(line) - len(line.lstrip(" \t")) for line in rest), default=0)
    return _split(piece, re.compile(rf"\n(?=[ \t]{{0,{least}}}[^\s)\]}}])"))


def _at(pattern: re.Pattern[str]) -> Callable[[_Piece], Iterator[_Piece]]:
    return lambda piece: _split(piece, pattern)


def _at_characters(piece: _Piece) -> Iterator[_Piece]:
    """Divide a word without an end into parts of about eight tokens: single ones are many in millions of letters."""
    width = max(1, 8 * len(piece.text) // piece.tokens)
    for start in range(0, len(piece.text), width):
        before = "" if start else piece.before
        yield replace(piece, text=piece.text[start : start + width], before=before)


def _split(piece: _Piece, pattern: re.Pattern[str]) -> Iterator[_Piece]:
    """Divide at the matches of `pattern`, which are white space or nothing; parts of white space alone are left out."""
    start, before, line = 0, piece.before, piece.line
    ends = [*((found.start(), found.end()) for found in pattern.finditer(piece.text)), (len(piece.text),) * 2]
    for end, following in ends:
        part = piece.text[start:end]
        if part.strip():
            header = piece.continued if start else piece.header
            yield replace(piece, text=part, before=before, line=line, header=header)
        before = piece.text[end:following]
        line += piece.text.count("\n", start, following)
        start = following


def _pack(pieces: list[_Piece], limit: int, costs: dict[str, int], overlap: int) -> Iterator[list[_Piece]]:
    """Fill chunks greedily, each from one page; prefer to begin one at a heading."""

    def fits(begun: list[_Piece], size: int) -> bool:
        return size <= limit - costs[begun[0].header]

    current: list[_Piece] = []
    size = 0
    for piece in pieces:
        if current and piece.page != current[0].page:
            yield current
            current, size = [], 0
        elif current and (
            not fits(current, size + piece.tokens) or (piece.kind == "heading" and not fits(current, size * 4))
        ):
            done, begun = _parted(current, 0 if piece.kind == "heading" else overlap)
            size = sum(each.tokens for each in begun)
            if begun and not fits(begun, size + piece.tokens):
                done, begun, size = current, [], 0
            yield done
            current = begun
        current.append(piece)
        size += piece.tokens
    if current:
        yield current


def _parted(pieces: list[_Piece], repeat: int) -> tuple[list[_Piece], list[_Piece]]:
    """Return what stays in a chunk and what begins the next: headings at its end, or up to `repeat` tokens again."""
    end = len(pieces)
    while end and pieces[end - 1].kind == "heading":
        end -= 1
    if 0 < end < len(pieces):
        return pieces[:end], pieces[end:]
    start = len(pieces)
    while start > 1 and (repeat := repeat - pieces[start - 1].tokens) >= 0:
        start -= 1
    return pieces, pieces[start:]


def _verified(groups: list[list[_Piece]], limit: int, count: Count) -> list[list[_Piece]]:
    """Halve what is above the limit all the same: some tokenizers count more in a text than in its parts."""
    while groups:
        sizes = count([f"{group[0].header}\n{_text(group)}" for group in groups])
        if all(size <= limit or _atomic(group) for group, size in zip(groups, sizes, strict=True)):
            break
        groups = [
            half
            for group, size in zip(groups, sizes, strict=True)
            for half in ([group] if size <= limit or _atomic(group) else _halves(group))
            if _text(half).strip()
        ]
    return groups


def _atomic(group: list[_Piece]) -> bool:
    return len(group) == 1 and len(group[0].text) == 1


def _halves(group: list[_Piece]) -> list[list[_Piece]]:
    if len(group) > 1:
        return [group[: len(group) // 2], group[len(group) // 2 :]]
    piece = group[0]
    middle = len(piece.text) // 2
    start, end = piece.text[:middle], piece.text[middle:]
    return [[replace(piece, text=start)], [replace(piece, text=end, before="", line=piece.line + start.count("\n"))]]


def _text(group: list[_Piece]) -> str:
    return group[0].text + "".join(piece.before + piece.text for piece in group[1:])


def _chunk(group: list[_Piece], ordinal: int) -> Chunk:
    first = group[0]
    return Chunk(_text(group), first.header, first.page, first.line, group[-1].end_line, ordinal)
