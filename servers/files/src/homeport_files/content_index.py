"""What is known of the contents of one root, so that a search opens only the files that can have what is looked for.

Each file that was ever seen has a number. Its row in the filter holds as long as its stamp is the same: inode, size and
both times. A folder is stale when its files may have changed; a search looks at stale folders first. A file without a
row is always read.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain, groupby
from os import stat_result

from homeport_files import walking
from homeport_files.trigrams import BINARY, Filter, Row
from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder, is_temporary, kind_of
from homeport_shared.paths import Place, Root

MOST_FILES = 100_000
DEEPEST = 2 * walking.DEEPEST  # so that a search can begin at any folder down to the half
MOST_BYTES = 20 << 20  # of rows
LARGEST = 4 << 20  # a larger file is read by each search
REST_SECONDS = 2.0  # a file that changed less ago can change again within the same tick of its file system's clock

Parts = tuple[str, ...]
Open = Callable[[Parts], AbstractContextManager[Folder]]
Check = Callable[[], None]


class TooLargeError(Exception):
    """The root has more files than an index is kept for."""


class Plan:
    """The files below a folder that have to be looked at for some literals."""

    def __init__(self, numbers: Iterable[int], top: Parts, index: ContentIndex) -> None:
        self._index = index
        self._names: dict[Parts, dict[str, str]] = {}
        for number in numbers:
            at = index.place_of(number)
            if at is None or at[: len(top)] != top:
                continue
            kind = "file"
            while len(at) > len(top):
                known = at[:-1] in self._names
                self._names.setdefault(at[:-1], {})[at[-1]] = kind
                if known:
                    break  # and so are the folders above it
                at, kind = at[:-1], "folder"

    def names(self, place: Place) -> Mapping[str, str]:
        """Return which files and folders in a folder have to be looked at, with their kinds."""
        return self._names.get(place.parts, {})

    def binary(self, place: Place) -> bool:
        """Say whether a file is known to hold no text."""
        return self._index.binary(place.parts)


class _Known:
    """What is in a folder: its files by number, and its folders."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}
        self.folders: set[str] = set()


class ContentIndex:
    """The files of one root. Its methods are called by one thread at a time.

    Args:
        root: The root.
        text_limit: The largest file that is searched, in bytes; with another limit another index is needed.
        open_folder: Opens a folder of the root by its names.
    """

    def __init__(self, root: Root, text_limit: int, open_folder: Open) -> None:
        self.root = root
        self.text_limit = text_limit
        self._open = open_folder
        self._folders: dict[Parts, _Known] = {(): _Known()}
        self._stale: set[Parts] = {()}
        self._homes: list[Parts | None] = []
        self._names: list[str] = []
        self._stamps = array("q")
        self._filter = Filter()
        self._unread: set[int] = set()  # to be looked into
        self._always: set[int] = set()  # cannot be told by a row: too large, too varied, not readable
        self._binary: set[int] = set()
        self._dead = 0

    def distrust(self) -> None:
        """Take every folder for stale."""
        self._stale.update(self._folders)

    def heard(self, parts: Parts) -> None:
        """Take note that something changed at a place, a file or a folder with all that is in it."""
        if not parts:
            self.distrust()
            return
        home = parts[:-1]
        while home not in self._folders:  # it is new as well, and the one above it need not have been told
            home = home[:-1]
        self._stale.add(home)
        self._stale.update(self._below(parts))
        known = self._folders[home].files.pop(parts[len(home)], None)
        if known is not None:
            self._drop(known)  # its stamp may be the same, within one tick of the clock

    def renew(self, top: Parts, check: Check) -> bool:
        """Look at the stale folders at and below `top`; say whether `top` is a folder that is known.

        Raises:
            TooLargeError: When there are too many files.
        """
        for parts in sorted(parts for parts in self._stale if parts[: len(top)] == top):
            if parts in self._stale:  # not looked at together with the one above it
                with suppress(OSError, HomeportError), self._open(parts) as folder:
                    self._look(folder, parts, check)
        return top in self._folders

    def plan(self, top: Parts, literals: Sequence[bytes]) -> Plan:
        """Return what a search for lines with all `literals` has to look at below `top`."""
        return Plan(chain(self._filter.candidates(literals), self._unread, self._always, self._binary), top, self)

    @property
    def worn(self) -> bool:
        """Whether most of it is about files that are gone or were changed: then a new one is smaller."""
        return self._dead > len(self._homes) // 2 + 1000

    def folders(self) -> list[Parts]:
        """Return the folders that are known."""
        return list(self._folders)

    def stale(self, parts: Parts) -> None:
        """Take one folder for stale."""
        if parts in self._folders:
            self._stale.add(parts)

    def unread(self) -> list[int]:
        """Return the files that have no row yet, those of a folder together; none when there is no room for more."""
        return sorted(self._unread) if self._filter.bytes < MOST_BYTES else list[int]()

    def place_of(self, number: int) -> Parts | None:
        """Return where a file is; None when it is there no longer, or not the same."""
        home = self._homes[number]
        return None if home is None else (*home, self._names[number])

    def binary(self, parts: Parts) -> bool:
        """Say whether the file at a place is known to hold no text."""
        known = self._folders.get(parts[:-1])
        return known is not None and known.files.get(parts[-1], -1) in self._binary

    def contents(self, numbers: Iterable[int], now: Callable[[], float]) -> Generator[tuple[int, bytes | None]]:
        """Yield the bytes of files that are still the same; None for one that cannot be searched or have a row.

        It changes nothing, so it may run beside the other methods.

        Args:
            numbers: Of unread files, those of a folder together.
            now: Returns the time, in seconds since 1970.
        """
        for home, inside in groupby(numbers, lambda number: self._homes[number]):
            if home is not None:
                with suppress(OSError, HomeportError), self._open(home) as folder:
                    for number in inside:
                        yield from self._content(folder, number, now)

    def _content(self, folder: Folder, number: int, now: Callable[[], float]) -> Generator[tuple[int, bytes | None]]:
        name = self._names[number]
        try:
            status = folder.look(name)
            if _stamp(status) != self._stamps[number] or now() - _changed(status) < REST_SECONDS:
                return
            fits = status.st_size <= min(self.text_limit, LARGEST)
            yield number, folder.read(name, LARGEST + 1) if fits else None
        except (OSError, HomeportError):
            yield number, None

    def put(self, number: int, row: Row) -> None:
        """Keep the row of a file, unless it changed meanwhile."""
        if self._homes[number] is None:
            return
        self._unread.discard(number)
        if row is None:
            self._always.add(number)
        elif row == BINARY:
            self._binary.add(number)
        else:
            self._filter.put(number, row)

    def _look(self, folder: Folder, parts: Parts, check: Check) -> None:
        """Take over what is in one folder now, and what is in stale ones below it."""
        check()
        known = self._folders[parts]
        files: dict[str, int] = {}
        folders: set[str] = set()
        for name in sorted(folder.names()):
            if is_temporary(name):
                continue
            with suppress(OSError):
                status = folder.look(name)
                kind = kind_of(status)
                if kind == "file":
                    files[name] = self._number(parts, name, _stamp(status), known.files.get(name))
                elif kind == "folder":
                    folders.add(name)
        for number in known.files.keys() - files.keys():
            self._drop(known.files[number])
        for name in known.folders - folders:
            self._forget((*parts, name))
        for name in folders - known.folders:
            self._folders[*parts, name] = _Known()
            self._stale.add((*parts, name))
        known.files, known.folders = files, folders
        self._stale.discard(parts)
        for name in sorted(folders):
            below = (*parts, name)
            if below in self._stale and len(below) <= DEEPEST:
                # One that cannot be entered stays stale; a search cannot enter it either.
                with suppress(OSError, HomeportError), folder.enter(name) as inner:
                    self._look(inner, below, check)

    def _number(self, parts: Parts, name: str, stamp: int, number: int | None) -> int:
        """Return the number of a file: a new one when it is not the same as before."""
        if number is not None:
            if self._stamps[number] == stamp:
                return number
            self._drop(number)
        if len(self._homes) - self._dead >= MOST_FILES:
            raise TooLargeError
        self._homes.append(parts)
        self._names.append(name)
        self._stamps.append(stamp)
        self._unread.add(len(self._homes) - 1)
        return len(self._homes) - 1

    def _drop(self, number: int) -> None:
        self._homes[number] = None
        self._dead += 1
        for numbers in (self._unread, self._always, self._binary):
            numbers.discard(number)

    def _below(self, parts: Parts) -> Generator[Parts]:
        """Yield a known folder and the known ones in it."""
        if parts in self._folders:
            yield parts
            for name in self._folders[parts].folders:
                yield from self._below((*parts, name))

    def _forget(self, parts: Parts) -> None:
        for below in list(self._below(parts)):
            for number in self._folders.pop(below).files.values():
                self._drop(number)
            self._stale.discard(below)


def _stamp(status: stat_result) -> int:
    return hash((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


def _changed(status: stat_result) -> float:
    return max(status.st_mtime, status.st_ctime)
