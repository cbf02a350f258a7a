"""Bytes to text without loss: encoding, line ends and byte order mark are found, so that a change can keep them."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Literal

from homeport_shared.errors import HomeportError

Newline = Literal["\n", "\r\n", "\r", "mixed", ""]

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What people really keep files in; more candidates make short texts ambiguous.
_SINGLE = ["cp1252", "cp1251", "koi8_r", "cp1250", "cp1253"]
_DOUBLE = ["cp932", "euc_jp", "gb18030", "big5", "euc_kr"]
# Accented letters and typographic marks of the Western pages, each between ASCII: not how double bytes look.
_ALONE = re.compile(rb"(?<![\x80-\xff])[\x80\x85\x91-\x97\x99\xa0-\xff](?![\x80-\xff])")
_HIGH = re.compile(rb"[\x80-\xff]")
SAMPLE = 64 * 1024
# In Western European text decoded as cp1252 there are accented letters and typographic marks, never four accented
# letters in a row as in Greek and Cyrillic. Statistics cannot know that from the few umlauts of a short file.
_NOT_WESTERN = re.compile(r"[^\x00-\x7fÀ-ÖØ-öø-ÿŒœŠšŽžŸ«»„“”‘’–—…€£§°·¡¿ºª©®\xa0]|[À-ÿ]{4}")
_TEXT_CONTROLS = b"\t\n\r\x08\x0b\x0c\x1a\x1b"
_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS)) + b"\x7f"


@dataclass(frozen=True)
class Decoded:
    """A text and how it was written: `bom + text.encode(encoding)` gives the same bytes again.

    Attributes:
        text: Without byte order mark, with its own line ends.
        encoding: A name that `str.encode` knows.
        newline: The line end it uses; `mixed` when there are several, empty when there is none.
        bom: The byte order mark, mostly empty.
    """

    text: str
    encoding: str
    newline: Newline
    bom: bytes


def decode(data: bytes, name: str = "The file") -> Decoded:
    """Find out how `data` is encoded.

    A byte order mark decides; then UTF-16 by its zeros; then UTF-8 when it is valid; then the likeliest of the older
    encodings; then Latin-1.

    Args:
        data: The whole file.
        name: What to call it in an error.

    Raises:
        HomeportError: `unsupported`, when it is no text; `damaged`, when it breaks the encoding its mark promises.
    """
    for bom, encoding in _MARKS:
        if data.startswith(bom):
            return _decoded(data[len(bom) :], encoding, bom, name)
    if encoding := _wide(data[:SAMPLE]):
        return _decoded(data, encoding, b"", name)
    if is_binary(data):
        raise HomeportError(
            "unsupported", f"{name} holds binary data, not text.", "Open it with the program that made it."
        )
    try:
        text = data.decode("utf-8")
        return Decoded(text, "utf-8", newline_of(text), b"")
    except UnicodeError:
        pass
    for encoding in _likely(data):
        text = _lossless(data, encoding)
        if text is not None:
            if _lossless(data, "cp1252") == text:
                encoding = "cp1252"  # the likelier of the Western pages that agree on this text
            return Decoded(text, encoding, newline_of(text), b"")
    raise AssertionError("Latin-1 takes every byte")


def begins_binary(start: bytes) -> bool:
    """Say whether a file with these first bytes, `SAMPLE` of them, is binary whatever follows; False = not known."""
    return b"\0" in start and not any(start.startswith(bom) for bom, _ in _MARKS) and _wide(start) is None


def newline_of(text: str) -> Newline:
    """Return the line end that `text` uses."""
    pairs = text.count("\r\n")
    alone = text.count("\n") - pairs
    returns = text.count("\r") - pairs
    if (pairs > 0) + (alone > 0) + (returns > 0) > 1:
        return "mixed"
    return "\r\n" if pairs else "\n" if alone else "\r" if returns else ""


def _decoded(data: bytes, encoding: str, bom: bytes, name: str) -> Decoded:
    text = _lossless(data, encoding)
    if text is None:
        raise HomeportError(
            "damaged",
            f"{name} begins like {encoding.upper()} text but does not hold together as such.",
            "It may be cut off or not be text at all; get it again from its source.",
        )
    return Decoded(text, encoding, newline_of(text), bom)


def _lossless(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
        return text if text.encode(encoding) == data else None
    except UnicodeError:
        return None


def _wide(sample: bytes) -> str | None:
    """Recognize UTF-16 without a mark: in text, one of the two bytes is mostly zero."""
    pairs = len(sample) // 2
    if pairs == 0 or len(sample) % 2 or b"\0" not in sample:
        return None
    first, second = sample[0::2].count(0), sample[1::2].count(0)
    if second > pairs * 0.4 and first < pairs * 0.05:
        encoding = "utf-16-le"
    elif first > pairs * 0.4 and second < pairs * 0.05:
        encoding = "utf-16-be"
    else:
        return None
    text = _lossless(sample, encoding)
    return encoding if text is not None and not is_binary(text.encode()) else None


def is_binary(data: bytes) -> bool:
    """Say whether `data` cannot be text in any encoding of single or double bytes."""
    if b"\0" in data:
        return True
    sample = data[:SAMPLE]
    return len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) * 0.01


def _likely(data: bytes) -> list[str]:
    """Return the encodings that a text that is no UTF-8 can have, the likeliest first."""
    # The lines with non-ASCII bytes are the ones that tell; a sample is not cut inside a character at a line end.
    telling = b"\n".join(line for line in data[: 16 * SAMPLE].split(b"\n") if not line.isascii())[:SAMPLE]
    if not _NOT_WESTERN.search(telling.decode("cp1252", "replace")):
        return ["cp1252", "latin-1"]
    from charset_normalizer import from_bytes

    western = len(_ALONE.findall(telling)) == len(_HIGH.findall(telling))
    candidates = _SINGLE if western else _SINGLE + _DOUBLE
    matches = from_bytes(telling, cp_isolation=candidates, preemptive_behaviour=False)
    return [match.encoding for match in matches] + ["cp1252", "latin-1"]
