"""Which events somebody waits for, and how an event fills the blanks of what it starts."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from typing import Any, cast

_BLANK = re.compile(r"\{\{\s*event((?:\.[A-Za-z0-9_-]+)+)\s*\}\}")


def matches(kind: str, where: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Say whether the kind of `event` fits the pattern `kind`, and each field named by `where` fits.

    A text is a pattern with `*` and `?`, without regard to case; a list holds several of which one must fit; anything
    else must be equal.

    Args:
        kind: Such as `file.created` or `file.*`.
        where: Dotted name of a field, such as `data.path` → what it must be.
        event: Its `kind`, `subject`, `at`, `data` and `correlation`.
    """
    if not fnmatch.fnmatchcase(str(event.get("kind", "")), kind):
        return False
    return all(_fits(field(event, name), wanted) for name, wanted in where.items())


def field(event: Mapping[str, Any], name: str) -> Any:
    """Return a field by its dotted name, such as `data.path`; None when there is none."""
    value: Any = event
    for part in name.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return value


def fill(value: Any, event: Mapping[str, Any]) -> Any:
    """Replace `{{event.…}}` in all texts of `value`; a text that is nothing else takes the field's own type."""
    if isinstance(value, str):
        whole = _BLANK.fullmatch(value.strip())
        if whole:
            return field(event, whole[1][1:])
        return _BLANK.sub(lambda match: _text(field(event, match[1][1:])), value)
    if isinstance(value, dict):
        return {name: fill(item, event) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [fill(item, event) for item in cast("list[Any]", value)]
    return value


def told(prompt: str, event: Mapping[str, Any]) -> str:
    """Return an agent's task for an event: with its blanks filled, or, where it has none, with the event below it."""
    filled = str(fill(prompt, event))
    if filled != prompt:
        return filled
    return f"{prompt}\n\nThe event that started this, as data:\n{json.dumps(event, ensure_ascii=False)}"


def blanks(value: Any) -> bool:
    """Say whether `value` has a blank that only an event can fill."""
    if isinstance(value, str):
        return bool(_BLANK.search(value))
    parts = cast("list[Any]", list(cast("dict[str, Any]", value).values()) if isinstance(value, dict) else value)
    return isinstance(value, dict | list) and any(blanks(part) for part in parts)


def _fits(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_fits(found, each) for each in cast("list[Any]", wanted))
    if isinstance(wanted, str):
        return found is not None and fnmatch.fnmatchcase(_text(found).casefold(), wanted.casefold())
    return found == wanted


def _text(value: Any) -> str:
    return "" if value is None else str(value)
