"""Find files by name and lines by content."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from homeport_files.content_index import Plan
from homeport_files.literals import form_of, holds
from homeport_files.results import Hit, Hits
from homeport_files.walking import Entry, Names
from homeport_shared.documents import decode
from homeport_shared.documents.decoding import SAMPLE, begins_binary
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place, show

MOST_TEXT = 300
MOST_PER_FILE = 1000


@dataclass(frozen=True, slots=True)
class Match:
    """A line that fits: its number from 1, and the part of it around the find."""

    line: int
    text: str


Mode = Literal["name", "tag", "content", "meaning"]
Find = Callable[[str], list[Match]]


def compiled(query: str, *, regex: bool) -> re.Pattern[str]:
    """Return the pattern for a query; plain text is found in any case, a regular expression says `(?i)` itself.

    Raises:
        HomeportError: `invalid`, when it is empty or no regular expression.
    """
    if not query:
        raise HomeportError("invalid", "The query is empty.", "Say what to look for.")
    try:
        return re.compile(query) if regex else re.compile(re.escape(query), re.IGNORECASE)
    except (re.error, RecursionError) as error:
        raise HomeportError(
            "invalid", f"{query!r} is no regular expression: {error}.", "Correct it, or search without regex."
        ) from error


def find_lines(query: str, regex: bool, text: str) -> list[Match]:
    """Return the lines of `text` that fit, at most `MOST_PER_FILE`.

    A regular expression can take for ever, so this is run for one in a worker with a time limit.
    """
    pattern = compiled(query, regex=regex)
    matches: list[Match] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := pattern.search(line):
            matches.append(Match(number, _around(line, found.start())))
            if len(matches) == MOST_PER_FILE:
                break
    return matches


class Search:
    """One search: collects hits until there are enough.

    Args:
        mode: Compare names, tags, or lines of content.
        limit: The most hits.
        text_limit: The largest file that is looked into, in bytes.
        find: Returns the lines of a text that fit.
        tags: The tags that fit, by place, for a search by tag.
        literals: What the form of each text holds that fits.
        plan: Returns what has to be looked at below a folder for these literals; None = everything.
    """

    def __init__(
        self,
        mode: Mode,
        limit: int,
        text_limit: int,
        find: Find,
        *,
        tags: Mapping[Place, str],
        literals: Sequence[bytes],
        plan: Callable[[Place, Sequence[bytes]], Plan | None],
    ) -> None:
        self._mode = mode
        self._limit = limit
        self._text_limit = text_limit
        self._find = find
        self._tags = tags
        self._literals = literals
        self._planned = plan
        self._plan: Plan | None = None
        self._hits: list[Hit] = []
        self._skipped = 0

    def below(self, top: Place) -> Names | None:
        """Begin with a folder; return which names in it and below it have to be looked at; None = all."""
        self._plan = self._planned(top, self._literals) if self._mode == "content" else None
        return self._plan and self._plan.names

    def at(self, entry: Entry) -> bool:
        """Look at one entry; say whether there are enough hits now.

        A file whose hits do not all fit ends the search; the next page starts behind it.
        """
        if matches := self._matches(entry):  # mostly none
            room = self._limit - len(self._hits)
            self._hits += [Hit(path=str(entry.place), line=m.line, text=m.text) for m in matches[:room]]
        return len(self._hits) >= self._limit

    def result(self, cursor: str) -> Hits:
        """Return the hits with the cursor of the next page."""
        return Hits(hits=self._hits, next=cursor, skipped=self._skipped)

    def _matches(self, entry: Entry) -> list[Match]:
        if self._mode == "tag":
            return [Match(0, self._tags[entry.place])] if entry.place in self._tags else []
        if self._mode == "name":
            name = show(entry.place.name)
            return [Match(0, name)] if self._find(name.replace("\n", " ")) else []
        if entry.kind != "file":
            return []
        if self._plan and self._plan.binary(entry.place):
            self._skipped += 1
            return []
        data = _data(entry, self._text_limit)
        if data is not None and data.isascii() and b"\0" not in data and not holds(data.lower(), self._literals):
            return []  # most files end here, and need not be decoded for that
        text = _text(data)
        if text is None:
            self._skipped += 1
            return []
        return self._find(text) if holds(form_of(text), self._literals) else []


def _data(entry: Entry, limit: int) -> bytes | None:
    """Return the bytes of a file; None when it is too large, gone, not readable or binary from the start."""
    try:
        data = entry.folder.read(entry.place.name, SAMPLE + 1)
        if len(data) <= SAMPLE:
            return data
        if begins_binary(data[:SAMPLE]) or entry.status.st_size > limit:
            return None
        data = entry.folder.read(entry.place.name, limit + 1)
        return data if len(data) <= limit else None
    except (OSError, HomeportError):
        return None


def _text(data: bytes | None) -> str | None:
    """Return the text of a file; None when it is binary, or there is none."""
    try:
        return decode(data).text if data is not None else None
    except HomeportError:
        return None


def _around(line: str, at: int) -> str:
    """Return at most `MOST_TEXT` characters of `line` around position `at`."""
    if len(line) <= MOST_TEXT:
        return line
    start = max(0, min(at - MOST_TEXT // 3, len(line) - MOST_TEXT))
    return f"{'…' if start else ''}{line[start : start + MOST_TEXT]}{'…' if start + MOST_TEXT < len(line) else ''}"
