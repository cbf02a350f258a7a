"""What the files server remembers: each change with its contents before and after, and who read what last.

Contents lie in `blobs/` under their SHA-256, written and flushed before the row that names them. Rows are one durable
statement each, so that a killed process loses no version: at worst the row of a change is missing whose content is in
the file, and the next change records it as found.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from homeport_shared.atomic import sync_folder
from homeport_shared.clock import Clock, iso
from homeport_shared.errors import HomeportError
from homeport_shared.identity import Identity
from homeport_shared.paths import Place, unshow
from homeport_shared.sqlite import Schema, SqliteFile, exclusive

T = TypeVar("T")
Kind = Literal["found", "created", "changed", "deleted", "moved", "restored"]


@dataclass(frozen=True, slots=True)
class Version:
    """One row of the history.

    Attributes:
        version: Its number, counted over all files.
        at: When, RFC 3339 in UTC.
        kind: What was done; `found` keeps a content that somebody else had put there.
        place: Where it was done; for `moved`, where it went.
        came_from: For `moved`, where it came from.
        before: SHA-256 of the content before, empty when there was no file.
        after: SHA-256 of the content after, empty when there is no file any more.
        size: Bytes after; for `deleted`, before.
        actor: The person or client that did it.
        agent: The agent, if one did it.
        run: The run it belongs to.
        change_set: The set of changes it belongs to.
    """

    version: int
    at: str
    kind: Kind
    place: Place
    came_from: Place | None = None
    before: str = ""
    after: str = ""
    size: int = 0
    actor: str = ""
    agent: str = ""
    run: str = ""
    change_set: str = ""


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Changes that belong together, such as those of one run.

    Attributes:
        id: Its id: the run's, or one that the server gave.
        began: Of its first change, RFC 3339 in UTC.
        ended: Of its last one.
        changes: How many there are.
        paths: How many paths they concern.
        actor: The person or client behind them.
        agent: The agent, if one made them.
        run: The run, if there was one.
        last: The version of its last change.
    """

    id: str
    began: str
    ended: str
    changes: int
    paths: int
    actor: str
    agent: str
    run: str
    last: int


_COLUMNS = "version, at, kind, root, path, from_root, from_path, before, after, size, actor, agent, run, change_set"
SCHEMA = Schema(
    "homeport.files",
    (
        """
        CREATE TABLE changes (
            version INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, root TEXT NOT NULL,
            path TEXT NOT NULL, from_root TEXT NOT NULL, from_path TEXT NOT NULL, before TEXT NOT NULL,
            after TEXT NOT NULL, size INTEGER NOT NULL, actor TEXT NOT NULL, agent TEXT NOT NULL, run TEXT NOT NULL,
            change_set TEXT NOT NULL
        );
        CREATE INDEX changes_path ON changes (root, path, version);
        CREATE TABLE accesses (
            root TEXT NOT NULL, path TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (root, path)
        ) WITHOUT ROWID;
        """,
        "CREATE INDEX changes_set ON changes (change_set, version)",
        "ALTER TABLE accesses ADD COLUMN uses INTEGER NOT NULL DEFAULT 1",
    ),
)


class Ledger:
    """The history while its lock is held: used on the store's thread only."""

    def __init__(self, connection: sqlite3.Connection, blobs: Path, clock: Clock) -> None:
        self._connection = connection
        self._blobs = blobs
        self._clock = clock

    def keep(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Store a content; return its SHA-256 and size. On return it survives a power cut."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        for left in self._blobs.glob("*.tmp"):  # of a process that was killed: the lock is ours
            left.unlink()
        digest, size = hashlib.sha256(), 0
        handle, name = tempfile.mkstemp(dir=self._blobs, suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(handle)
            target = self._blob(digest.hexdigest())
            target.parent.mkdir(exist_ok=True)
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def content(self, sha256: str) -> BinaryIO:
        """Open a stored content.

        Raises:
            HomeportError: `damaged`, when it is gone.
        """
        try:
            return self._blob(sha256).open("rb")
        except FileNotFoundError:
            raise HomeportError(
                "damaged",
                f"The kept content {sha256[:12]} is missing from {self._blobs}.",
                "It may have been cleaned up as an old version; else restore it from a backup.",
            ) from None

    def kept(self, before: str) -> tuple[dict[str, int], dict[str, int]]:
        """Return the bytes of each kept content by its SHA-256: of all, and of those that can go.

        These are only in changes made before `before`, RFC 3339 in UTC, and are not what a path holds now.
        """
        kept = dict(self._contents())
        needed = self._connection.execute(
            "SELECT before FROM changes WHERE at >= :at UNION SELECT after FROM changes WHERE at >= :at UNION"
            " SELECT after FROM changes WHERE version IN (SELECT max(version) FROM changes GROUP BY root, path)",
            {"at": before},
        )
        names = {row[0] for row in needed}
        return kept, {name: size for name, size in kept.items() if name not in names}

    def _contents(self) -> Generator[tuple[str, int]]:
        for folder in self._blobs.glob("??"):
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # another process removes old ones
                        yield entry.name, entry.stat().st_size

    def forget(self, names: Iterable[str]) -> None:
        """Remove contents by their SHA-256; the rows of their changes stay."""
        for name in names:
            self._blob(name).unlink(missing_ok=True)

    def last(self, place: Place) -> Version | None:
        """Return the newest change at `place`, also when that moved it away."""
        rows = self._rows("(root = ? AND path = ?) OR (from_root = ? AND from_path = ?)", *key_of(place) * 2, limit=1)
        return rows[0] if rows else None

    def known(self, place: Place) -> str:
        """Return the SHA-256 of the content that the history last saw at `place`; empty when it knows of none."""
        return next((change.after for change in self.trail(place) if change.kind != "moved"), "")

    def find(self, version: int) -> Version | None:
        """Return the change with this number."""
        rows = self._rows("version = ?", version, limit=1)
        return rows[0] if rows else None

    def record(
        self,
        who: Identity,
        kind: Kind,
        place: Place,
        *,
        before: str = "",
        after: str = "",
        size: int = 0,
        came_from: Place | None = None,
    ) -> Version:
        """Add a change; on return it survives a power cut."""
        source = key_of(came_from) if came_from else ("", "")
        rest = (before, after, size, who.actor, who.agent, who.run, who.change_set or who.run)
        row = self._connection.execute(
            f"INSERT INTO changes VALUES (NULL, {', '.join('?' * 13)}) RETURNING {_COLUMNS}",  # noqa: S608 - constants
            (iso(self._clock.now()), kind, *key_of(place), *source, *rest),
        ).fetchone()
        return _version(row)

    def below(self, place: Place, *, before: int | None, limit: int) -> list[Version]:
        """Return the changes at `place` and below it, newest first, also those that moved something away."""
        root, path = key_of(place)
        inside = f"{path}/" if path else ""
        where = (
            "(root = ? AND (path = ? OR substr(path, 1, ?) = ?)) OR"
            " (from_root = ? AND (from_path = ? OR substr(from_path, 1, ?) = ?))"
        )
        one = (root, path, len(inside), inside)
        return self._rows(where, *one, *one, limit=limit, before=before)

    def all(self, *, before: int | None, limit: int) -> list[Version]:
        """Return the changes of every root, newest first."""
        return self._rows("1", limit=limit, before=before)

    def of_set(self, change_set: str) -> list[Version]:
        """Return the changes of one set, newest first."""
        return self._rows("change_set = ?", change_set, limit=1 << 31)

    def sets(self, *, before: int | None, limit: int) -> list[ChangeSet]:
        """Return the sets of changes, the one changed last first."""
        rows = self._connection.execute(
            "SELECT change_set, min(at), max(at), count(*), count(DISTINCT root || '/' || path), max(actor),"
            " max(agent), max(run), max(version) AS last FROM changes WHERE change_set != ''"
            " GROUP BY change_set HAVING last < ? ORDER BY last DESC LIMIT ?",
            (before if before is not None else 1 << 62, limit),
        )
        return [ChangeSet(*row) for row in rows]

    def trail(self, place: Place) -> Generator[Version]:
        """Yield the changes of what is at `place` now, newest first, back through the moves that brought it there."""
        before: int | None = None
        while page := self._near(place, before):
            for change in page:
                before = change.version
                if change.kind == "moved" and (moved := _back(place, change)) is not None:
                    yield change
                    place = moved
                    break
                if change.place == place or change.came_from == place:
                    yield change

    def _near(self, place: Place, before: int | None) -> list[Version]:
        """Return up to 100 changes at `place`, or moves of a folder above it, newest first."""
        above = [key_of(Place(place.root, place.parts[:count])) for count in range(len(place.parts) + 1)]
        marks = " OR ".join(["(kind = 'moved' AND root = ? AND path = ?)"] * len(above))
        own = "(root = ? AND path = ?) OR (from_root = ? AND from_path = ?)"
        values = [*key_of(place) * 2, *(value for key in above for value in key)]
        return self._rows(f"({own} OR {marks})", *values, limit=100, before=before)

    def _rows(self, where: str, *values: object, limit: int, before: int | None = None) -> list[Version]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM changes WHERE version < ? AND ({where})"  # noqa: S608 - only constants
            " ORDER BY version DESC LIMIT ?",
            (before if before is not None else 1 << 62, *values, limit),
        )
        return [_version(row) for row in rows]

    def _blob(self, sha256: str) -> Path:
        return self._blobs / sha256[:2] / sha256


class Store:
    """The history and the accesses of one data root; several processes may use it.

    Args:
        folder: Where its database and blobs are.
        clock: Where the time of a change comes from.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._path = folder / "files.db"
        self._clock = clock
        self._file: SqliteFile | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was kept yet: what only asks need not make the database, nor wait for its library."""
        return self._file is None and not self._path.exists()

    async def changing(self, work: Callable[[Ledger], T]) -> T:
        """Run `work(ledger)` while no other change of any process is under way.

        Raises:
            HomeportError: What `work` raises; `unavailable`, when another process keeps the lock.
        """

        def locked(connection: sqlite3.Connection) -> T:
            with exclusive(self._folder / "changes.lock"):
                return work(self._ledger(connection))

        return await self._open().read(locked)

    async def reading(self, work: Callable[[Ledger], T]) -> T:
        """Run `work(ledger)`, which changes nothing."""
        return await self._open().read(lambda connection: work(self._ledger(connection)))

    async def accessed(self, accesses: dict[Place, tuple[str, str]]) -> None:
        """Remember who read each place last, and when."""
        rows = [(*key_of(place), who, at) for place, (who, at) in accesses.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO accesses VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET who = excluded.who,"
                " at = excluded.at, uses = uses + 1",
                rows,
            )

        await self._open().write(write)

    async def accesses(self, places: list[Place]) -> dict[Place, str]:
        """Return who read each of `places` last; places nobody read are left out."""
        if self.empty:
            return {}

        def query(connection: sqlite3.Connection) -> dict[Place, str]:
            find = "SELECT who FROM accesses WHERE root = ? AND path = ?"
            rows = ((place, connection.execute(find, key_of(place)).fetchone()) for place in places)
            return {place: row[0] for place, row in rows if row}

        return await self._open().read(query)

    async def most_used(self, limit: int) -> list[tuple[Place, int]]:
        """Return the places that were read most often, with how often."""
        if self.empty:
            return []
        find = "SELECT root, path, uses FROM accesses ORDER BY uses DESC, at DESC LIMIT ?"
        return await self._open().read(
            lambda connection: [(place_of(root, path), uses) for root, path, uses in connection.execute(find, (limit,))]
        )

    async def aclose(self) -> None:
        """Close the database."""
        if self._file is not None:
            await self._file.aclose()

    def _open(self) -> SqliteFile:
        if self._file is None:
            self._file = SqliteFile(self._path, SCHEMA)
        return self._file

    def _ledger(self, connection: sqlite3.Connection) -> Ledger:
        return Ledger(connection, self._folder / "blobs", self._clock)


def key_of(place: Place) -> tuple[str, str]:
    """Return root and path as they are stored; SQLite takes no lone surrogates, so they are shown."""
    return place.root, str(place).partition("/")[2]


def place_of(root: str, path: str) -> Place:
    """Return the place of a stored root and path."""
    return Place(root, tuple(unshow(part) for part in path.split("/")) if path else ())


def _version(row: tuple[Any, ...]) -> Version:
    version, at, kind, root, path, from_root, from_path, *rest = row
    came_from = place_of(from_root, from_path) if from_root else None
    return Version(version, at, kind, place_of(root, path), came_from, *rest)


def _back(place: Place, change: Version) -> Place | None:
    """Return where `place` was before the move `change`; None when that move did not bring it."""
    to, source = change.place, change.came_from
    if source is None or to.root != place.root or place.parts[: len(to.parts)] != to.parts:
        return None
    return Place(source.root, (*source.parts, *place.parts[len(to.parts) :]))
