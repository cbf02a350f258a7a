"""What people and Homeport note about files: tags, a category, what the knowledge base holds, which folders it follows.

Marks follow a move and wait for what was deleted. Moves are not told to this module: before each use it takes those
from the history that it does not know yet, in one transaction with its own change. So marks follow also a move in
another process, and one before a crash.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from homeport_files.store import Store, key_of, place_of
from homeport_shared.errors import HomeportError
from homeport_shared.paths import Place
from homeport_shared.sqlite import Schema, SqliteFile, transaction

T = TypeVar("T")
LONGEST = 50
SCHEMA = Schema(  # in the file of the history
    "homeport.files.tags",
    (
        """
        CREATE TABLE tags (
            root TEXT NOT NULL, path TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (root, path, tag)
        ) WITHOUT ROWID;
        CREATE INDEX tags_tag ON tags (tag);
        CREATE TABLE tags_known (version INTEGER NOT NULL);
        INSERT INTO tags_known SELECT coalesce(max(version), 0) FROM changes;
        """,
        """
        CREATE TABLE marks (
            root TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, detail TEXT NOT NULL,
            PRIMARY KEY (root, path, kind, value)
        ) WITHOUT ROWID;
        CREATE INDEX marks_value ON marks (kind, value);
        INSERT INTO marks SELECT root, path, 'tag', tag, '' FROM tags;
        DROP TABLE tags;
        """,
    ),
)
Kind = Literal["tag", "category", "knowledge", "failed", "indexed"]


@dataclass(slots=True)
class Marked:
    """The marks of one place.

    Attributes:
        collection: The collection of the knowledge base that holds it; empty = none does.
        stamp: What the file was like when the knowledge base took it in.
        failed: Why the knowledge base did not take it in.
        indexed: The collection in which the folder is kept in step; empty = it is not.
    """

    tags: list[str] = field(default_factory=list[str])
    category: str = ""
    collection: str = ""
    stamp: str = ""
    failed: str = ""
    indexed: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of the kind that was asked for."""

    place: Place
    value: str
    detail: str


class Marks:
    """The marks of one data root; several processes may use it.

    Args:
        folder: Where the server's database is.
        store: The history; opened first, as the moves are read from its table.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._file: SqliteFile | None = None

    async def change(
        self, places: Iterable[Place], *, add: Iterable[str], remove: Iterable[str], category: str | None = None
    ) -> dict[Place, Marked]:
        """Add and remove tags; return the marks that each place has then.

        Args:
            places: Where.
            add: Tags.
            remove: Tags.
            category: The one category; empty removes it, None leaves it.

        Raises:
            HomeportError: `invalid`, for a text that cannot be a tag.
        """
        keys = {place: key_of(place) for place in places}
        new, old = [tag_of(tag) for tag in add], [tag_of(tag) for tag in remove]
        group = tag_of(category) if category else category

        def work(connection: sqlite3.Connection) -> dict[Place, Marked]:
            for key in keys.values():
                for tag in old:
                    connection.execute(
                        "DELETE FROM marks WHERE root = ? AND path = ? AND kind = 'tag' AND value = ?", (*key, tag)
                    )
                for tag in new:
                    connection.execute("INSERT OR IGNORE INTO marks VALUES (?, ?, 'tag', ?, '')", (*key, tag))
                if group is not None:
                    _put(connection, key, "category", group, "")
            return {place: _marked(connection, key) for place, key in keys.items()}

        return await self._use(work)

    async def rename(self, tag: str, new: str) -> int:
        """Give what has `tag` the tag `new` instead, or none when `new` is empty; return how many there were.

        Raises:
            HomeportError: `not_found`, when nothing has it; `invalid`, for a text that cannot be a tag.
        """
        name, other = tag_of(tag), tag_of(new) if new else ""
        count = len(await self.having("tag", name))
        if not count:
            raise HomeportError("not_found", f"Nothing has the tag {name!r}.", "List the tags: tags.")

        def work(connection: sqlite3.Connection) -> None:
            if other and other != name:
                connection.execute(
                    "INSERT OR IGNORE INTO marks SELECT root, path, 'tag', ?, '' FROM marks"
                    " WHERE kind = 'tag' AND value = ?",
                    (other, name),
                )
            if other != name:
                connection.execute("DELETE FROM marks WHERE kind = 'tag' AND value = ?", (name,))

        await self._use(work)
        return count

    async def counts(self, kind: Kind = "tag") -> dict[str, int]:
        """Return how many files and folders have each tag, or each other mark of one kind, in order."""
        if self._store.empty:
            return {}
        find = "SELECT value, count(*) FROM marks WHERE kind = ? GROUP BY value ORDER BY value"
        return await self._use(lambda connection: dict(connection.execute(find, (kind,))))

    async def having(self, kind: Kind, value: str = "", *, below: Place | None = None) -> list[Mark]:
        """Return the marks of one kind, in the order of their places.

        Args:
            kind: Which.
            value: Only those with this value; empty = all.
            below: Only those of this place and what is in it.
        """
        if self._store.empty:
            return []
        root, path = key_of(below) if below else ("", "")
        inside = f"{path}/" if path else ""
        find = (
            "SELECT root, path, value, detail FROM marks WHERE kind = ? AND (? = '' OR value = ?)"
            " AND (? = '' OR (root = ? AND (path = ? OR substr(path, 1, ?) = ?))) ORDER BY root, path"
        )
        values = (kind, value, value, root, root, path, len(inside), inside)
        return await self._use(
            lambda connection: [Mark(place_of(r, p), v, d) for r, p, v, d in connection.execute(find, values)]
        )

    async def of(self, places: Sequence[Place]) -> dict[Place, Marked]:
        """Return the marks of each of `places`."""
        if self._store.empty:
            return {place: Marked() for place in places}
        keys = {place: key_of(place) for place in places}
        return await self._use(lambda connection: {place: _marked(connection, key) for place, key in keys.items()})

    async def put(self, kind: Kind, value: str, details: Mapping[Place, str]) -> None:
        """Set the one mark of this kind at each place, with its detail; an empty `value` removes it."""
        keys = {key_of(place): detail for place, detail in details.items()}

        def work(connection: sqlite3.Connection) -> None:
            for key, detail in keys.items():
                _put(connection, key, kind, value, detail)

        await self._use(work)

    async def copy_to(self, file: Path) -> None:
        """Write the whole database, the history included, into a new `file`."""
        await self._use(lambda _: None)

        def copy(connection: sqlite3.Connection) -> None:
            connection.execute("VACUUM INTO ?", (str(file),))

        await self._opened().read(copy)

    async def copy_from(self, file: Path) -> None:
        """Replace marks and accesses by those that `copy_to` wrote into `file`; missing history comes back, too."""

        def copy(connection: sqlite3.Connection) -> None:
            connection.execute("ATTACH ? AS backup", (str(file),))
            try:
                with transaction(connection):
                    for table in ("accesses", "marks", "tags_known"):
                        connection.execute(f"DELETE FROM main.{table}")  # noqa: S608 - our own names
                        connection.execute(f"INSERT INTO main.{table} SELECT * FROM backup.{table}")  # noqa: S608
                    connection.execute("INSERT OR IGNORE INTO main.changes SELECT * FROM backup.changes")
            finally:
                connection.execute("DETACH backup")

        await self._use(lambda _: None)
        await self._opened().read(copy)

    async def aclose(self) -> None:
        """Close the database."""
        if self._file is not None:
            await self._file.aclose()

    async def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._file is None:
            await self._store.reading(lambda _: None)  # makes the table of the history

        def caught_up(connection: sqlite3.Connection) -> T:
            _follow_moves(connection)
            return work(connection)

        return await self._opened().write(caught_up)

    def _opened(self) -> SqliteFile:
        if self._file is None:
            self._file = SqliteFile(self._folder / "files.db", SCHEMA)
        return self._file


def tag_of(text: str) -> str:
    """Return a tag as it is stored: in lower case, single spaces.

    Raises:
        HomeportError: `invalid`, when it is empty, too long, or has a comma or control characters.
    """
    tag = re.sub(r"\s+", " ", text).strip().casefold()
    if not tag or len(tag) > LONGEST or not tag.isprintable() or "," in tag:
        raise HomeportError("invalid", f"{text[:80]!r} cannot be a tag.", f"Use up to {LONGEST} characters, no comma.")
    return tag


def _put(connection: sqlite3.Connection, key: tuple[str, str], kind: Kind, value: str, detail: str) -> None:
    connection.execute("DELETE FROM marks WHERE root = ? AND path = ? AND kind = ?", (*key, kind))
    if value:
        connection.execute("INSERT INTO marks VALUES (?, ?, ?, ?, ?)", (*key, kind, value, detail))


def _marked(connection: sqlite3.Connection, key: tuple[str, str]) -> Marked:
    marked = Marked()
    find = "SELECT kind, value, detail FROM marks WHERE root = ? AND path = ? ORDER BY value"
    for kind, value, detail in connection.execute(find, key):
        if kind == "tag":
            marked.tags.append(value)
        elif kind == "category":
            marked.category = value
        elif kind == "knowledge":
            marked.collection, marked.stamp = value, detail
        elif kind == "failed":
            marked.failed = detail
        else:
            marked.indexed = value
    return marked


def _follow_moves(connection: sqlite3.Connection) -> None:
    known = connection.execute("SELECT version FROM tags_known").fetchone()[0]
    moves = connection.execute(
        "SELECT version, root, path, from_root, from_path FROM changes WHERE version > ? AND kind = 'moved'"
        " ORDER BY version",
        (known,),
    ).fetchall()
    for version, root, path, from_root, from_path in moves:
        inside = (from_root, from_path, len(from_path) + 1, f"{from_path}/")
        connection.execute("DELETE FROM marks WHERE root = ? AND path = ?", (root, path))  # of what was replaced
        connection.execute(
            "UPDATE OR REPLACE marks SET root = ?, path = ? || substr(path, ?)"
            " WHERE root = ? AND (path = ? OR substr(path, 1, ?) = ?)",
            (root, path, len(from_path) + 1, *inside),
        )
        connection.execute("UPDATE tags_known SET version = ?", (version,))
