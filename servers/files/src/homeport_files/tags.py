"""Tags of files and folders: they follow a move, wait for what was deleted, and are counted.

Moves are not told to this module: before each use it takes those from the history that it does not know yet, in one
transaction with its own change. So tags follow also a move in another process, and one before a crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from homeport_files.store import Store, key_of
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place
from homeport_shared.sqlite import SqliteFile

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database, Migrations

T = TypeVar("T")
LONGEST = 50


class Tags:
    """The tags of one data root; several processes may use it.

    Args:
        folder: Where the server's database is.
        store: The history; opened first, as the moves are read from its table.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._file: SqliteFile | None = None

    async def change(
        self, places: Iterable[Place], *, add: Iterable[str], remove: Iterable[str]
    ) -> dict[Place, list[str]]:
        """Add and remove tags; return those that each place has then.

        Raises:
            HomeportError: `invalid`, for a text that cannot be a tag.
        """
        keys = {place: key_of(place) for place in places}
        new, old = [tag_of(tag) for tag in add], [tag_of(tag) for tag in remove]

        def work(connection: sqlite3.Connection) -> dict[Place, list[str]]:
            for root, path in keys.values():
                for tag in old:
                    connection.execute("DELETE FROM tags WHERE root = ? AND path = ? AND tag = ?", (root, path, tag))
                for tag in new:
                    connection.execute("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", (root, path, tag))
            return {place: _tags(connection, *key) for place, key in keys.items()}

        return await self._use(work)

    async def rename(self, tag: str, new: str) -> int:
        """Give what has `tag` the tag `new` instead, or none when `new` is empty; return how many there were.

        Raises:
            HomeportError: `not_found`, when nothing has it; `invalid`, for a text that cannot be a tag.
        """
        name, other = tag_of(tag), tag_of(new) if new else ""

        def work(connection: sqlite3.Connection) -> int:
            if other and other != name:
                connection.execute(
                    "INSERT OR IGNORE INTO tags SELECT root, path, ? FROM tags WHERE tag = ?", (other, name)
                )
            found = connection.execute("SELECT count(*) FROM tags WHERE tag = ?", (name,)).fetchone()[0]
            if other != name:
                connection.execute("DELETE FROM tags WHERE tag = ?", (name,))
            return found

        count = await self._use(work)
        if not count:
            raise HomeportError("not_found", f"Nothing has the tag {name!r}.", "List the tags: tags.")
        return count

    async def counts(self) -> dict[str, int]:
        """Return how many files and folders have each tag, in the order of the tags."""
        return await self._use(
            lambda connection: dict(connection.execute("SELECT tag, count(*) FROM tags GROUP BY tag ORDER BY tag"))
        )

    async def tagged(self, tag: str) -> list[str]:
        """Return the paths that have `tag`, in order."""
        find = "SELECT root || '/' || path FROM tags WHERE tag = ? ORDER BY root, path"
        return await self._use(lambda connection: [row[0] for row in connection.execute(find, (tag_of(tag),))])

    async def aclose(self) -> None:
        """Close the database."""
        if self._file is not None:
            await self._file.aclose()

    async def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._file is None:
            await self._store.reading(lambda _: None)  # makes the table of the history
            self._file = SqliteFile(self._folder / "files.db", _migrations())

        def caught_up(database: Database) -> T:
            _follow_moves(database.conn)
            return work(database.conn)

        return await self._file.write(caught_up)


def tag_of(text: str) -> str:
    """Return a tag as it is stored: in lower case, single spaces.

    Raises:
        HomeportError: `invalid`, when it is empty, too long, or has a comma or control characters.
    """
    tag = re.sub(r"\s+", " ", text).strip().casefold()
    if not tag or len(tag) > LONGEST or not tag.isprintable() or "," in tag:
        raise HomeportError("invalid", f"{text[:80]!r} cannot be a tag.", f"Use up to {LONGEST} characters, no comma.")
    return tag


def _tags(connection: sqlite3.Connection, root: str, path: str) -> list[str]:
    find = "SELECT tag FROM tags WHERE root = ? AND path = ? ORDER BY tag"
    return [row[0] for row in connection.execute(find, (root, path))]


def _follow_moves(connection: sqlite3.Connection) -> None:
    known = connection.execute("SELECT version FROM tags_known").fetchone()[0]
    moves = connection.execute(
        "SELECT version, root, path, from_root, from_path FROM changes WHERE version > ? AND kind = 'moved'"
        " ORDER BY version",
        (known,),
    ).fetchall()
    for version, root, path, from_root, from_path in moves:
        inside = (from_root, from_path, len(from_path) + 1, f"{from_path}/")
        connection.execute("DELETE FROM tags WHERE root = ? AND path = ?", (root, path))  # of what was replaced
        connection.execute(
            "UPDATE OR REPLACE tags SET root = ?, path = ? || substr(path, ?)"
            " WHERE root = ? AND (path = ? OR substr(path, 1, ?) = ?)",
            (root, path, len(from_path) + 1, *inside),
        )
        connection.execute("UPDATE tags_known SET version = ?", (version,))


def _migrations() -> Migrations:
    from sqlite_utils import Migrations

    migrations = Migrations("homeport.files.tags")

    @migrations()
    def create(database: Database) -> None:  # pyright: ignore[reportUnusedFunction]
        database.conn.execute(
            "CREATE TABLE tags (root TEXT NOT NULL, path TEXT NOT NULL, tag TEXT NOT NULL,"
            " PRIMARY KEY (root, path, tag)) WITHOUT ROWID"
        )
        database.conn.execute("CREATE INDEX tags_tag ON tags (tag)")
        database.conn.execute("CREATE TABLE tags_known (version INTEGER NOT NULL)")
        database.conn.execute("INSERT INTO tags_known SELECT coalesce(max(version), 0) FROM changes")

    return migrations
