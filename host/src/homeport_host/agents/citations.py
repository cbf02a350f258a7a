"""Where an answer comes from: passages that tools returned in this run, and the marks [n] that refer to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

_MARK = re.compile(r"[ \t]?\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()")
_SPACE_BEFORE_STOP = re.compile(r"[ \t]+([.,;:!?])")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that a tool returned.

    Attributes:
        uri: What a client reads to see it.
        place: `page 3`, `lines 10–18`, or empty where the tool did not say.
        source: The file it is from, or another address that people know it by; empty where the tool did not say.
    """

    title: str
    uri: str
    place: str
    document_id: str
    chunk_id: str
    text: str
    source: str = ""


def passages_of(result: Mapping[str, Any]) -> list[Passage]:
    """Return the passages in a tool's raw result: of a search its hits, of a read the window that was read.

    Only structured content counts; what merely looks like a source in text does not.
    """
    content = result.get("structuredContent")
    if not isinstance(content, Mapping):
        return []
    fields = cast("Mapping[str, Any]", content)
    entries: Any = fields.get("hits", [fields])
    found = [_passage(cast("Mapping[str, Any]", entry)) for entry in entries if isinstance(entry, Mapping)]
    return [passage for passage in found if passage is not None]


def _passage(entry: Mapping[str, Any]) -> Passage | None:
    text = entry.get("text") or entry.get("content")
    uri = entry.get("uri")
    if not isinstance(text, str) or not isinstance(uri, str) or not text.strip():
        return None
    title = entry.get("title") or entry.get("name") or uri.rstrip("/").rsplit("/", 1)[-1]
    return Passage(
        title=str(title),
        uri=uri,
        place=_place(entry),
        document_id=str(entry.get("document_id") or ""),
        chunk_id=str(entry.get("chunk_id") if entry.get("chunk_id") is not None else ""),
        text=text,
        source=str(entry.get("source") or ""),
    )


def _place(entry: Mapping[str, Any]) -> str:
    if entry.get("place"):
        return str(entry["place"])
    if entry.get("page"):
        return f"page {entry['page']}"
    first = entry.get("line") or entry.get("first_line") or entry.get("start_line")
    last = entry.get("end_line") or entry.get("last_line")
    if not first:
        return ""
    return f"lines {first}–{last}" if last and last != first else f"line {first}"


class Sources:
    """The passages that a run has seen, numbered from 1 in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._passages: list[Passage] = []

    def add(self, passage: Passage) -> int:
        """Return the number of `passage`; one that came before keeps its number."""
        key = (passage.uri, passage.place, passage.chunk_id)
        if key not in self._numbers:
            self._passages.append(passage)
            self._numbers[key] = len(self._passages)
        return self._numbers[key]

    def shown(self, passages: list[Passage]) -> str:
        """Return `passages` as text for the model, each under its number."""
        parts: list[str] = []
        for passage in passages:
            place = f", {passage.place}" if passage.place else ""
            parts.append(f"[{self.add(passage)}] {passage.title}{place} ({passage.uri})\n{passage.text}")
        return "\n\n".join(parts)

    def cite(self, answer: str) -> tuple[str, list[dict[str, Any]], list[int]]:
        """Check the marks of an answer.

        Returns:
            The answer without marks that refer to nothing, the citations it makes, and the numbers that were removed.
        """
        used, unknown = set[int](), set[int]()

        def checked(match: re.Match[str]) -> str:
            numbers = [int(number) for number in match[1].split(",")]
            known = [number for number in numbers if 1 <= number <= len(self._passages)]
            used.update(known)
            unknown.update(set(numbers) - set(known))
            blank = " " if match[0][0] in " \t" else ""
            return "".join(f"{blank if i == 0 else ''}[{number}]" for i, number in enumerate(known))

        if not self._passages:
            return answer, [], []  # nothing was returned, so [1] is the writer's own bracket
        text = _MARK.sub(checked, answer)
        if unknown:
            text = _SPACE_BEFORE_STOP.sub(r"\1", text)
        citations = [{"n": number, **asdict(self._passages[number - 1])} for number in sorted(used)]
        return text, citations, sorted(unknown)


def without_marks(text: str) -> str:
    """Return an earlier answer without its marks: their numbers mean nothing in the next run."""
    return _MARK.sub("", text)
