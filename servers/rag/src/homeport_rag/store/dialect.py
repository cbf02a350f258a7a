"""The database as the SQL of this package sees it, and what SQLite and PostgreSQL say in different words.

Everything else is written once, in what both understand. Where SQLite alone has a word for it, such as `json_each`, the
schema on PostgreSQL has a function of that name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeGuard

ALL = 2**62  # as a LIMIT


class Rows(Protocol):
    """What a statement returned."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None behind the last."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""
        ...


class Connection(Protocol):
    """Where statements with `?` for their values are run: a connection of `sqlite3`, or what is like it."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for each of several sets of values."""
        ...


def is_sqlite(connection: Connection) -> TypeGuard[sqlite3.Connection]:
    """Tell whether this is the database of one data root, or the one that many share."""
    return isinstance(connection, sqlite3.Connection)


def without_case(connection: Connection, expression: str) -> str:
    """Return the SQL by which texts are sorted whatever the case of their ASCII letters."""
    return f"{expression} COLLATE NOCASE" if is_sqlite(connection) else f'lower({expression} COLLATE "C")'


def has_value(connection: Connection, key: str, value: Any) -> tuple[str, list[Any]]:
    """Return the SQL condition that the metadata of a document `d` have this value under this key, and its values."""
    if is_sqlite(connection):
        return "EXISTS (SELECT 1 FROM json_each(d.metadata) m WHERE m.key = ? AND m.value = ?)", [key, value]
    return "parsed(d.metadata) -> ? = parsed(?)", [key, json.dumps(value)]


def bytes_of(connection: Connection, column: str) -> str:
    """Return the SQL for the number of bytes of a text."""
    return f"length(CAST({column} AS BLOB))" if is_sqlite(connection) else f"octet_length({column})"
