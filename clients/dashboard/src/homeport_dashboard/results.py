"""What any tool returned, as something to look at: facts, tables and text, whatever the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

MOST_ROWS = 200
MOST_COLUMNS = 8


@dataclass(frozen=True)
class Table:
    """Rows of one kind.

    Attributes:
        hidden: How many further rows there are.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    hidden: int = 0


@dataclass(frozen=True)
class Picture:
    """A result, sorted into what can be drawn."""

    facts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    tables: list[Table] = field(default_factory=list[Table])
    texts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def picture(structured: Mapping[str, Any] | None, text: str) -> Picture:
    """Sort a tool result: lists of objects become tables, long strings texts, the rest facts; else the plain text."""
    if not structured:
        return Picture(texts=[("", text)] if text else [])
    made = Picture()
    for name, value in structured.items():
        title = heading(name)
        if _is_rows(value):
            made.tables.append(table(title, value))
        elif isinstance(value, str) and ("\n" in value or len(value) > 120):
            made.texts.append((title, value))
        elif value not in (None, "", [], {}):
            made.facts.append((title, cell(value)))
    return made


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Return `rows` with the columns that the first of them fill, the widest kinds of values last."""
    columns = list(dict.fromkeys(name for row in rows[:20] for name in row))[:MOST_COLUMNS]
    shown = rows[:MOST_ROWS]
    return Table(
        title,
        [heading(c) for c in columns],
        [[cell(row.get(c)) for c in columns] for row in shown],
        hidden=len(rows) - len(shown),
    )


def heading(name: str) -> str:
    """Return a field's name as words."""
    return name.replace("_", " ").capitalize()


def cell(value: Any) -> str:
    """Return one value as short text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value)):
        return ", ".join(cast("list[str]", value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _is_rows(value: Any) -> bool:
    rows = cast("list[Any]", value) if isinstance(value, list) else []
    return bool(rows) and all(isinstance(row, dict) for row in rows)
