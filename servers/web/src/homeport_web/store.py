"""The copies of visited pages, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from homeport_shared.sqlite import Schema, SqliteFile
from homeport_web.reading import Page


@dataclass(frozen=True, slots=True)
class Copy:
    """A page as it was when it was visited.

    Attributes:
        id: Of the address that was asked for.
        asked: That address.
        url: Where it led to.
        fetched: When, RFC 3339 in UTC.
    """

    id: str
    asked: str
    url: str
    fetched: str
    page: Page
    redirects: list[str]


@dataclass(frozen=True, slots=True)
class Row:
    """A copy without its content; `size` is in bytes, as kept."""

    id: str
    url: str
    title: str
    fetched: str
    size: int


SCHEMA = Schema(
    "homeport.web",
    (
        """
        CREATE TABLE copies (
            id TEXT PRIMARY KEY, asked TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL, fetched TEXT NOT NULL,
            size INTEGER NOT NULL, page BLOB NOT NULL, html BLOB NOT NULL, redirects TEXT NOT NULL
        );
        CREATE INDEX copies_fetched ON copies (fetched, id);
        """,
    ),
)


class Store:
    """The copies of one data root.

    Args:
        path: The database file.
        most_bytes: The most that copies take; the oldest leave first.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._file: SqliteFile | None = None

    async def put(self, copy: Copy, *, forget_before: str) -> None:
        """Keep a copy in place of an older one of the same address; forget those fetched before a moment."""
        page = zlib.compress(json.dumps({**asdict(copy.page), "html": ""}, ensure_ascii=False).encode())
        html = zlib.compress(copy.page.html.encode())
        row = (
            copy.id, copy.asked, copy.url, copy.page.title, copy.fetched, len(page) + len(html), page, html,
            json.dumps(copy.redirects),
        )  # fmt: skip

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO copies (id, asked, url, title, fetched, size, page, html, redirects)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            connection.execute("DELETE FROM copies WHERE fetched < ?", (forget_before,))
            # All that, newest first, go beyond the limit; the one just put stays.
            connection.execute(
                "DELETE FROM copies WHERE id <> ? AND id IN (SELECT id FROM (SELECT id, SUM(size) OVER"
                " (ORDER BY fetched DESC, id) AS total FROM copies) WHERE total > ?)",
                (copy.id, self._most_bytes),
            )

        await self._opened().write(work)

    async def get(self, identifier: str) -> Copy | None:
        """Return a copy by its id; None where there is none."""

        def work(connection: sqlite3.Connection) -> Copy | None:
            query = "SELECT id, asked, url, fetched, page, html, redirects FROM copies WHERE id = ?"
            row: tuple[Any, ...] | None = connection.execute(query, (identifier,)).fetchone()
            if row is None:
                return None
            content: dict[str, Any] = json.loads(zlib.decompress(row[4]))
            content["html"] = zlib.decompress(row[5]).decode()
            page = Page(**content)
            return Copy(row[0], row[1], row[2], row[3], page, json.loads(row[6]))

        return await self._opened().read(work)

    async def list(self, limit: int, before: tuple[str, str]) -> list[Row]:
        """Return copies, newest first, from behind the moment and id `before`; when these are empty, from the start."""

        def work(connection: sqlite3.Connection) -> list[Row]:
            query = (
                "SELECT id, url, title, fetched, size FROM copies WHERE ? = '' OR (fetched, id) < (?, ?)"
                " ORDER BY fetched DESC, id DESC LIMIT ?"
            )
            return [Row(*row) for row in connection.execute(query, (before[0], *before, limit))]

        return await self._opened().read(work)

    async def aclose(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._file.aclose()

    def _opened(self) -> SqliteFile:
        if self._file is None:
            self._file = SqliteFile(self._path, SCHEMA)
        return self._file
