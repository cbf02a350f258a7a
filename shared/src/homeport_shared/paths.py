"""A user's path becomes an open folder and a name in it, confined to the roots. Domain code gets these, never paths.

A path is walked one name at a time through open folders (`folders` tells what each platform guarantees). Symbolic links
are read and walked the same way, so one that stays inside the roots works and one that leads out is refused, however it
is written: `..`, an absolute target, a sibling whose name only starts like the root's, a dangling link.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit

from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder, Identity, open_folder

MOST_LINKS = 40
_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that may be used, absolute and without links, and the name it goes by."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is: the root's name and the names below it, free of links and dots."""

    root: str
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join((self.root, *map(show, self.parts)))

    @property
    def name(self) -> str:
        """The last name; the root's for the root itself."""
        return self.parts[-1] if self.parts else self.root

    def child(self, name: str) -> Place:
        """Return the place of `name` in this folder."""
        return Place(self.root, (*self.parts, name))


class Spot:
    """A place whose parent folder is open: a context manager that closes it.

    Attributes:
        place: Where it is, after all links.
        folder: The open folder that holds it; for a root itself, the root.
        name: Its name in `folder`; empty for a root itself. There need not be anything of that name.
    """

    def __init__(self, place: Place, folder: Folder, handles: ExitStack) -> None:
        self.place = place
        self.folder = folder
        self.name = place.parts[-1] if place.parts else ""
        self._handles = handles

    def status(self) -> os.stat_result | None:
        """Return the status of what is there, None when nothing is. A root itself counts as a folder that is there."""
        if not self.name:
            return None
        try:
            return self.folder.look(self.name)
        except FileNotFoundError:
            return None

    def is_folder(self) -> bool:
        """Say whether a folder is there."""
        status = self.status()
        return not self.name or (status is not None and stat.S_ISDIR(status.st_mode))

    def enter(self) -> Folder:
        """Open it as a folder; closed together with the spot.

        Raises:
            OSError: When it is none.
        """
        return self._handles.enter_context(self.folder.enter(self.name)) if self.name else self.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handles.close()


OPEN = frozenset({"workspace", "uploads"})  # what Homeport keeps for its user in its own folder


class Roots:
    """The folders that may be used, by name.

    Args:
        roots: The folders.
        closed: Folders that are not entered even below a root, such as Homeport's own data; in them only what is below
            a folder named in `OPEN` can be a root. Missing ones are ignored.
    """

    def __init__(self, roots: Iterable[Root] = (), *, closed: Iterable[Path] = ()) -> None:
        folders = list(closed)
        self._roots = {root.name: root for root in roots}
        self._closed = frozenset(_identities(folders))
        self._closed_paths = [Path(os.path.realpath(folder)) for folder in folders]

    def __iter__(self) -> Generator[Root]:
        yield from list(self._roots.values())

    def add(self, root: Root) -> None:
        """Allow one more folder.

        Raises:
            HomeportError: `denied`, when it is Homeport's own.
        """
        self._refuse_closed(root)
        self._roots[root.name] = root

    def remove(self, name: str) -> None:
        """Stop allowing the folder `name`."""
        self._roots.pop(name, None)

    def find(self, path: str, *, follow: bool = True, make: bool = False) -> Spot:
        """Walk to `path` and return where it leads, with its folder open.

        Args:
            path: `root/relative`, or absolute; bytes that are no text are written as `show` writes them.
            follow: Walk on when the last name is a symbolic link; False = stop at the link itself.
            make: Make the folders on the way that are missing.

        Raises:
            HomeportError: `denied`, when it leads outside the roots; `not_found`, when a folder on the way is missing;
                `unavailable`, when the root's folder is gone.
        """
        with explained(path), ExitStack() as handles:
            walk = _Walk(handles, self._closed, make=make)
            pending = self._begin(walk, unshow(path), path)
            links = 0
            while pending:
                name = pending.pop()
                if name == "..":
                    if not walk.up():
                        raise self.refusal(path)
                    continue
                target = walk.to(name)
                if target is None or not (follow or pending):
                    continue
                links += 1
                if links > MOST_LINKS:
                    raise self.refusal(path)
                walk.up()
                pending += self._begin(walk, target, path) if _is_absolute(target) else _names(target)
            return walk.spot()

    def _begin(self, walk: _Walk, path: str, asked: str) -> list[str]:
        """Put `walk` at the root that `path` names; return the rest of the names, last one first."""
        if "\0" in path:
            raise self.refusal(asked)
        if not _is_absolute(path):
            names = _names(path)
            root = self._roots.get(names.pop()) if names else None
            if root is None:
                raise self.refusal(asked)
            self._refuse_closed(root)
            walk.begin(root)
            return names
        for candidate in (path, os.path.realpath(path)):
            for root in sorted(self, key=lambda root: -len(root.folder.parts)):
                names = _below(root.folder, candidate)
                if names is not None:
                    self._refuse_closed(root)
                    walk.begin(root)
                    return names
        raise self.refusal(asked)

    def _refuse_closed(self, root: Root) -> None:
        folder = Path(os.path.realpath(root.folder))
        for closed in self._closed_paths:
            if folder.is_relative_to(closed) and OPEN.isdisjoint(folder.relative_to(closed).parts):
                raise HomeportError(
                    "denied", f"{root.folder} belongs to Homeport itself and is not served.", "Use another folder."
                )

    def place(self, path: str) -> Place:
        """Return the place that `path` names by its words alone: for what is gone and only remembered.

        Raises:
            HomeportError: `denied`, when it names none inside the roots or holds `..`.
        """
        text = unshow(path)
        found = [(root.name, names) for root in self if (names := _below(root.folder, text)) is not None]
        if not _is_absolute(text) and (names := _names(text)):
            found = [(root.name, names) for root in self if root.name == names[-1]]
            names.pop()
        if not found or ".." in found[0][1]:
            raise self.refusal(path)
        return Place(found[0][0], tuple(reversed(found[0][1])))

    def refusal(self, path: str) -> HomeportError:
        """Return the error for a path that is not inside the roots, naming it and them."""
        known = ", ".join(f"{root.name} = {root.folder}" for root in self) or "none yet"
        return HomeportError(
            "denied",
            f"{show(path)!r} is not inside the folders that may be used ({known}).",
            "Write it as root/path, with the name of one of these roots first.",
        )


class _Walk:
    """The folders from a root down to where a walk is; `name` is the last name, not entered yet."""

    def __init__(self, handles: ExitStack, closed: frozenset[Identity], *, make: bool) -> None:
        self._handles = handles
        self._closed = closed
        self._make = make
        self._root = Root("", Path())
        self._folders: list[Folder] = []
        self._entered: list[str] = []
        self._name = ""

    def begin(self, root: Root) -> None:
        """Go to a root."""
        try:
            folder = open_folder(root.folder, root.name, self._closed)
        except OSError as error:
            raise HomeportError(
                "unavailable",
                f"The folder {root.folder} of the root {root.name!r} cannot be opened ({error.strerror}).",
                "Bring it back, or remove the root.",
            ) from error
        self._root, self._folders, self._entered, self._name = root, [self._handles.enter_context(folder)], [], ""

    def to(self, name: str) -> str | None:
        """Go on to `name`; return where it points when it is a symbolic link."""
        refuse_device(name)
        if self._name:
            self._folders.append(self._handles.enter_context(self._enter(self._name)))
            self._entered.append(self._name)
        self._name = name
        return self._folders[-1].link(name)

    def up(self) -> bool:
        """Go back to the folder; False when it is the root already."""
        if self._name:
            self._name = ""
        elif self._entered:
            self._entered.pop()
            self._folders.pop()
        else:
            return False
        return True

    def spot(self) -> Spot:
        """Return where the walk is; the handles are the spot's from now on."""
        if not self._name and self._entered:
            self._name = self._entered.pop()
            self._folders.pop()
        parts = (*self._entered, self._name) if self._name else ()
        return Spot(Place(self._root.name, parts), self._folders[-1], self._handles.pop_all())

    def _enter(self, name: str) -> Folder:
        folder = self._folders[-1]
        try:
            return folder.enter(name)
        except FileNotFoundError:
            if not self._make:
                raise
        folder.make(name)
        return folder.enter(name)


def show(name: str) -> str:
    r"""Return `name` as text that any client can carry: bytes that are no UTF-8 become `\xNN`; `unshow` undoes it."""
    name = re.sub(r"\\(?=x(5c|[89a-f][0-9a-f]))", r"\\x5c", name)
    return re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", name)


def unshow(name: str) -> str:
    r"""Return the name that `show` wrote. Windows has no such names, and its paths are full of `\x`."""
    if os.name == "nt":
        return name

    def byte(found: re.Match[str]) -> str:
        return "\\" if found[1] == "5c" else chr(0xDC00 + int(found[1], 16))

    return _ESCAPE.sub(byte, name)


def path_of_uri(uri: str) -> Path:
    """Return the path that `Path.as_uri` wrote as a `file:` URI, also where its bytes are no UTF-8."""
    written = urlsplit(uri).path
    return Path(os.fsdecode(unquote_to_bytes(written.lstrip("/") if os.name == "nt" else written)))


def refuse_device(name: str) -> None:
    """Refuse what Windows takes for a device or a stream of another file, on Windows.

    Raises:
        HomeportError: `denied`.
    """
    if os.name == "nt" and (":" in name or name.split(".")[0].rstrip().lower() in _DEVICES):
        raise HomeportError("denied", f"{name!r} means a device or a stream on Windows.", "Use another name.")


@contextmanager
def explained(path: str) -> Generator[None]:
    """Turn an OSError of the block into a HomeportError that names `path` and says what to do."""
    try:
        yield
    except ValueError as error:
        if "\0" not in path and not isinstance(error, UnicodeEncodeError):
            raise
        raise HomeportError("invalid", f"{path!r} cannot be the name of a file here.", "Use other letters.") from error
    except OSError as error:
        raise explain(error, show(path)) from error


def explain(error: OSError, path: str) -> HomeportError:
    """Return what a person can do about `error` at `path`."""
    match error.errno:
        case errno.ENOENT:
            return HomeportError("not_found", f"There is no {path!r}.", "List the folder to see what there is.")
        case errno.ENOTDIR | errno.ELOOP:
            return HomeportError("not_found", f"A part of {path!r} is not a folder.", "List the folder above it.")
        case errno.EISDIR:
            return HomeportError("unsupported", f"{path!r} is a folder.", "Name a file.")
        case errno.EEXIST | errno.ENOTEMPTY:
            return HomeportError("conflict", f"{path!r} is there already or not empty.", "Choose another name.")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return HomeportError("denied", f"The system does not allow that at {path!r}.", "Check its permissions.")
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return HomeportError(
                "unavailable", f"The disk has no room for {path!r}; what was there is unchanged.", "Free some space."
            )
        case errno.ENAMETOOLONG:
            return HomeportError("invalid", f"The name {path[:80]!r}… is too long.", "Use a shorter one.")
        case errno.EMFILE | errno.ENFILE:
            return HomeportError("unavailable", f"Too many files are open to reach {path!r}.", "Try again in a moment.")
        case _:
            reason = error.strerror or type(error).__name__
            return HomeportError(
                "unavailable", f"{path!r} could not be used: {reason}.", "Try again, or check the disk."
            )


def _identities(folders: Iterable[Path]) -> Generator[Identity]:
    for folder in folders:
        with suppress(OSError):
            status = folder.stat()
            yield status.st_dev, status.st_ino


def _is_absolute(path: str) -> bool:
    return Path(path).is_absolute() or path.startswith("/")


def _names(path: str) -> list[str]:
    """Return the names of `path`, last one first, without the empty ones and dots."""
    text = path.replace("\\", "/") if os.name == "nt" else path
    return [name for name in reversed(text.split("/")) if name not in {"", "."}]


def _below(folder: Path, path: str) -> list[str] | None:
    """Return the names of absolute `path` below `folder`, last one first; None when it does not start with it."""
    above, names = _names(str(folder)), _names(path.removeprefix("\\\\?\\"))
    above_key, names_key = ([os.path.normcase(name) for name in reversed(some)] for some in (above, names))
    return names[: len(names) - len(above)] if names_key[: len(above)] == above_key else None
