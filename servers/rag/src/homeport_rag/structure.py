"""What is noted about a document when it is read: its headings, author, dates, length and most telling sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from homeport_rag.search import STOP_WORDS
from homeport_shared.documents import Document

MOST_HEADINGS = 200
LOOKED_AT = 50_000  # characters of a text that a summary is made of
SHORTEST, LONGEST = 30, 400  # characters of a sentence that can stand in a summary
TELLING = 3  # sentences of a summary
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n\s*\n")
_WORD = re.compile(r"[^\W\d_]{3,}")
_PDF_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?")


def structure_of(document: Document) -> dict[str, Any]:
    """Return `headings` (level, text, line, page), `author`, `created`, `words`, `characters` and `summary`."""
    headings = [
        {"level": block.level, "text": block.text, "line": block.line, "page": block.page or 0}
        for block in document.blocks
        if block.kind == "heading"
    ]
    return {
        "headings": headings[:MOST_HEADINGS],
        "author": str(document.metadata.get("author") or document.metadata.get("from") or ""),
        "created": created(document.metadata),
        "words": len(document.text.split()),
        "characters": len(document.text),
        "summary": summary_of(document),
    }


def created(metadata: Mapping[str, Any]) -> str:
    """Return when a document was made, by its own word, as ISO 8601; empty when it does not say so in a known form."""
    said = str(metadata.get("created") or metadata.get("date") or "")
    if found := _PDF_DATE.match(said):
        year, month, day, *time = (part or default for part, default in zip(found.groups(), _FIRST, strict=True))
        said = f"{year}-{month}-{day}T{':'.join(time)}"
    try:
        return datetime.fromisoformat(said).isoformat() if said else ""
    except ValueError:
        return ""


_FIRST = ("", "01", "01", "00", "00", "00")


def summary_of(document: Document) -> str:
    """Return the most telling sentences of a document in their order.

    A sentence tells the more, the more of its words are frequent in the whole text: Luhn, The Automatic Creation of
    Literature Abstracts, 1958.
    """
    prose = "\n\n".join(block.text for block in document.blocks if block.kind in ("paragraph", "list"))[:LOOKED_AT]
    prose = prose or document.text[:LOOKED_AT]
    sentences = [" ".join(sentence.split()) for sentence in _SENTENCE_END.split(prose)]
    sentences = [sentence for sentence in dict.fromkeys(sentences) if sentence]
    words = [[word for word in _words(sentence) if word not in STOP_WORDS] for sentence in sentences]
    counts = Counter(word for each in words for word in each)

    def weight(number: int) -> float:
        found = set(words[number])
        fits = SHORTEST <= len(sentences[number]) <= LONGEST
        return sum(counts[word] for word in found) / (len(found) + 3) if fits else 0.0

    best = sorted(range(len(sentences)), key=lambda number: (-weight(number), number))[:TELLING]
    return " ".join(sentences[number] for number in sorted(best) if weight(number)) or " ".join(sentences)[:LONGEST]


def _words(sentence: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(sentence)]
