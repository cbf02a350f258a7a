"""Find tools by words: BM25 over names, descriptions and parameter names, without a model.

Okapi BM25 (Robertson and Zaragoza 2009) with k1 = 1.2 and b = 0.75; the words of a tool's name count three times, those
of its server and parameters twice. 500 tools take well under a millisecond a query, because each word keeps the
list of the tools that have it.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, cast

K1, B = 1.2, 0.75
NAME_WEIGHT, FIELD_WEIGHT = 3, 2
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")
_STOP = frozenset(
    """a an and are as at be by can do does for from get given has have how i if in into is it its me my of on or our
    so that the their them then these this to use used using want was we what when where which will with you
    your""".split()  # noqa: SIM905 - a list of 50 quoted words is harder to read
)
_ENDINGS = (
    ("ational", "ate"), ("ization", "ize"), ("ations", "ate"), ("ation", "ate"), ("ments", ""), ("ment", ""),
    ("ities", "ity"), ("ies", "y"), ("ings", ""), ("ing", ""), ("ers", "er"), ("ed", ""), ("es", ""), ("s", ""),
)  # fmt: skip


class ToolIndex:
    """An index over tools.

    Args:
        tools: Public name and definition (an entry of `tools/list`) of each tool.
    """

    def __init__(self, tools: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        self._names: list[str] = []
        self._lengths: list[int] = []
        self._postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for name, definition in tools:
            counts = _counts(name, definition)
            for word, count in counts.items():
                self._postings[word].append((len(self._names), count))
            self._names.append(name)
            self._lengths.append(counts.total())
        self._mean = sum(self._lengths) / len(self._lengths) if self._lengths else 0.0

    def search(self, query: str, limit: int = 5) -> list[str]:
        """Return the names of up to `limit` tools that fit `query`, best first; none that shares no word with it."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word in set(words(query)):
            postings = self._postings.get(word, ())
            weight = math.log(1 + (len(self._names) - len(postings) + 0.5) / (len(postings) + 0.5))
            for tool, count in postings:
                damped = count + K1 * (1 - B + B * self._lengths[tool] / self._mean)
                scores[tool] += weight * count * (K1 + 1) / damped
        best = sorted(scores, key=lambda tool: (-scores[tool], self._names[tool]))
        return [self._names[tool] for tool in best[:limit]]


def words(text: str) -> list[str]:
    """Return the stems of the words in `text`; `readFile`, `read_file` and `reading files` have them in common."""
    return [_stem(word) for match in _WORD.findall(text) if (word := match.lower()) not in _STOP]


def _stem(word: str) -> str:
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiosl":
        word = word[:-1]  # stopping → stopp → stop
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _counts(name: str, definition: Mapping[str, Any]) -> Counter[str]:
    server, _, own = name.partition("__")
    counts = Counter[str]()
    for word in words(own or server):
        counts[word] += NAME_WEIGHT
    schema = cast("dict[str, Any]", definition.get("inputSchema") or {})
    parameters = cast("dict[str, Any]", schema.get("properties") or {})
    for word in words(" ".join([server if own else "", str(definition.get("title") or ""), *parameters])):
        counts[word] += FIELD_WEIGHT
    counts.update(words(str(definition.get("description") or "")))
    return counts
