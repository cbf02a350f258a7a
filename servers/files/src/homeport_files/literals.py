"""What a file must hold for a query to find a line in it: a cheap test before the exact one.

Texts and literals are compared in a form in which neither case nor the encoding of a file matters. A text that fits a
query always holds its literals; a text that holds them need not fit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# All characters beyond ASCII that `re.IGNORECASE` takes for a letter of ASCII; a test goes through all there are.
_LETTERS = {"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"}
_FOLDED = str.maketrans(_LETTERS)
_CLASSES = frozenset("wWdDsSbBAZ")
_TOKEN = re.compile(
    r"(?P<unit>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.)(?P<many>(?:[*+?]|\{[\d,]*\})[?+]?)?",
    re.DOTALL,
)


def form_of(text: str) -> bytes:
    """Return one byte for each character of `text`: ASCII in lower case, `?` for what is none."""
    if not text.isascii() and any(letter in text for letter in _LETTERS):
        text = text.translate(_FOLDED)
    return text.encode("ascii", "replace").lower()


def literals_of(query: str, *, regex: bool) -> list[bytes]:
    """Return what the form of every text holds in which `query` finds a line; empty = nothing is certain.

    Args:
        query: Plain text, or a regular expression that compiles.
        regex: Which of the two.
    """
    if not regex:
        return [form_of(query)]
    return [form_of(run) for run in _runs(query.removeprefix("(?i)")) if run]


def _runs(pattern: str) -> list[str]:
    """Return the parts that every match of a regular expression holds; only those outside of groups."""
    if "|" in pattern or "(?" in pattern:
        return []
    runs, depth = [""], 0
    for token in _TOKEN.finditer(pattern):
        unit, many = token["unit"], token["many"] or ""
        depth += (unit == "(") - (unit == ")")
        if unit[0] == "\\" and unit[1].isalnum() and unit[1] not in _CLASSES:
            return []  # a code point, a control character, a back-reference
        literal = _literal(unit)
        if depth or not literal or many[:1] in {"*", "?", "{"}:
            runs.append("")
            continue
        runs[-1] += literal
        if many:
            runs.append("")
    return runs


def _literal(unit: str) -> str:
    """Return the one character that a unit of a pattern stands for; empty when it may be several."""
    if unit[0] == "\\":
        return "" if unit[1] in _CLASSES else unit[1]
    return "" if len(unit) > 1 or unit in "[]().^$*+?{}" else unit


def holds(form: bytes, literals: Sequence[bytes]) -> bool:
    """Say whether a text, given by its form, holds all literals."""
    for literal in literals:  # noqa: SIM110 - asked for each file, and `all` takes three times as long
        if literal not in form:
            return False
    return True
