"""The arithmetic of search: a person's words to an FTS5 query, and several rankings to one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from homeport_shared.errors import HomeportError

MAX_TERMS = 48
Ranking = list[tuple[int, float]]  # (id, score), best first
RRF_K = 60
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_BETWEEN_CJK = re.compile(f"(?<=[{_CJK}])(?=[{_CJK}])")
_WORD = re.compile(rf"[{_CJK}]+|[^\W{_CJK}]+")

_STOP_WORDS = """
a about above after again against all am an and any are as at be because been before being below between both but by can
could did do does doing down during each few for from further had has have having he her here hers him his how i if in
into is it its itself just me more most my no nor not of off on once only or other our out over own same she should so
some such than that the their them then there these they this those through to too under until up very was we were what
when where which while who whom why will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Filters:
    """What the documents of a search must be like; empty = no condition.

    Attributes:
        types: Media types or file endings, one of which must fit.
        after: Modified at this ISO date or time or later.
        before: Modified at this ISO date or time or earlier; a date includes its whole day.
        metadata: Each key must have exactly this value.
        documents: Ids, one of which it must have.

    Raises:
        HomeportError: `invalid`, when a date is none.
    """

    types: Sequence[str] = ()
    after: str = ""
    before: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    documents: Sequence[str] = ()

    def __post_init__(self) -> None:
        require_date(self.after)
        require_date(self.before)


def require_date(text: str) -> None:
    """Refuse a bound that is no date; an empty one is none.

    Raises:
        HomeportError: `invalid`.
    """
    try:
        datetime.fromisoformat(text or "2026-01-01")
    except ValueError as error:
        raise HomeportError("invalid", f"{text!r} is no date.", "Write it like 2026-11-05.") from error


def searchable(text: str) -> str:
    """Return `text` as it goes into the full-text index.

    FTS5 splits words at spaces, which Chinese, Japanese and Korean hardly use: each of their characters becomes a word
    of its own, and a query looks for them side by side.
    """
    return _BETWEEN_CJK.sub(" ", text)


def query_words(text: str, *, english: bool) -> list[str]:
    """Return the different words of `text`, the first `MAX_TERMS` of them.

    Args:
        text: What the user typed or pasted.
        english: Leave out English stop words, unless nothing else is there: questions are four times faster for it.
    """
    words = list(dict.fromkeys(word.casefold() for word in _WORD.findall(text)))
    if english:
        words = [word for word in words if word not in STOP_WORDS] or words
    return words[:MAX_TERMS]


def full_text_query(words: Iterable[str]) -> str:
    """Return the FTS5 query that finds any of `words`; empty when there are none.

    Every word is quoted, so no character of it is ever read as FTS5 syntax.
    """
    return " OR ".join(f'"{searchable(word)}"' for word in words)


def threes(text: str) -> list[str]:
    """Return the groups of three letters in `text`, by which names like it are found, typing errors or not."""
    letters = " ".join(text.split()).casefold()[:100]
    found = dict.fromkeys(letters[i : i + 3] for i in range(len(letters) - 2))
    return [three for three in found if "\0" not in three]


def fuse(rankings: Iterable[Sequence[int]], *, legs: int) -> dict[int, float]:
    """Fuse rankings of ids into one by reciprocal rank fusion, k = 60, all rankings of equal weight.

    Cormack, Clarke and Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods,
    SIGIR 2009.

    Args:
        rankings: Each with its best first.
        legs: In how many of them an id can be at most.

    Returns:
        Id → score between 0 and 1, best first; 1 = first in every ranking that it can be in.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, identifier in enumerate(ranking, start=1):
            scores[identifier] = scores.get(identifier, 0.0) + 1 / (RRF_K + rank)
    best = max(legs, 1) / (RRF_K + 1)
    return {i: score / best for i, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))}


def relative(scores: Mapping[int, float]) -> dict[int, float]:
    """Return `scores` divided by the greatest of them, so that they lie between 0 and 1; order is kept."""
    best = max(scores.values(), default=0.0)
    return {i: max(score, 0.0) / best if best > 0 else 0.0 for i, score in scores.items()}
