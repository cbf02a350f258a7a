"""Handles of open folders: each step starts at a folder that is open already, never at a path that may have changed.

What a platform guarantees:

- Linux and macOS (`DescriptorFolder`): a step is one system call relative to an open directory (`openat` and its
  family with `O_NOFOLLOW`). A folder that is swapped for a symbolic link between two steps is never followed.
- Windows (`ResolvedFolder`): no such calls. Each step resolves the path and refuses it when a link or junction has
  come in, and checks an opened file again. A swap within those microseconds can be missed when something is created,
  renamed or removed; what is read is checked after it was opened, so nothing outside is ever returned.

Everywhere: only regular files are opened. FIFOs, sockets and devices are refused before and after opening, so nothing
hangs. A replaced file becomes a new file, so what hard links to the old one show does not change.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from homeport_shared.errors import HomeportError

Identity = tuple[int, int]
TEMPORARY = ".homeport-"
STALE_SECONDS = 600
PIECE = 1 << 20  # bytes that are read at once of a file that has grown
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
}
_ENTRIES = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


def kind_of(status: os.stat_result) -> str:
    """Return `file`, `folder`, `link` or `other`."""
    return _ENTRIES.get(stat.S_IFMT(status.st_mode), "other")


class Folder(ABC):
    """One open folder. Its methods take the names of entries, never paths; a context manager that closes it.

    Args:
        shown: How messages name this folder.
        closed: Folders, as (device, inode), that are not entered.
    """

    def __init__(self, shown: str, closed: frozenset[Identity]) -> None:
        self.shown = shown
        self._closed = closed

    @abstractmethod
    def _at(self, name: str) -> tuple[str, int | None]:
        """Return the path and directory descriptor of the entry `name` for a system call."""

    @abstractmethod
    def _verify(self, name: str, descriptor: int) -> None:
        """Check that `descriptor` is the entry `name` of this folder."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all entries, in no order; undecodable bytes are surrogates."""

    @abstractmethod
    def kinds(self) -> dict[str, str]:
        """Return what `kind_of` says of each entry, by its name; mostly without a system call for each."""

    @abstractmethod
    def enter(self, name: str) -> Folder:
        """Open the folder `name` of this folder; a symbolic link is refused.

        Raises:
            HomeportError: `denied`, for a link or a folder that is closed to users.
            OSError: When there is none or it cannot be read.
        """

    @abstractmethod
    def status(self) -> os.stat_result:
        """Return the status of the folder itself."""

    @abstractmethod
    def sync(self) -> None:
        """Make renames in this folder survive a power cut."""

    @abstractmethod
    def close(self) -> None:
        """Give the handle back."""

    def look(self, name: str) -> os.stat_result:
        """Return the status of the entry `name` itself, also of a link.

        Raises:
            OSError: When there is none.
        """
        path, at = self._at(name)
        return os.stat(path, dir_fd=at, follow_symlinks=False)

    def link(self, name: str) -> str | None:
        """Return where the symbolic link `name` points; None when it is no link or does not exist."""
        path, at = self._at(name)
        try:
            return os.readlink(path, dir_fd=at) if stat.S_ISLNK(self.look(name).st_mode) else None
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINVAL}:  # EINVAL: it was one a moment ago; `enter` follows none
                return None
            raise

    def open(self, name: str) -> BinaryIO:
        """Open the regular file `name` for reading.

        Raises:
            HomeportError: `unsupported`, for anything that is not a regular file; `denied`, when it was swapped.
            OSError: When there is none or it cannot be read.
        """
        self._require_file(name, self.look(name))
        path, at = self._at(name)
        descriptor = os.open(path, os.O_RDONLY | _SAFE | _BINARY, dir_fd=at)
        try:
            self._require_file(name, os.fstat(descriptor))
            self._verify(name, descriptor)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, name: str, most: int) -> bytes:
        """Return the bytes of the regular file `name`, at most `most` of them; for many small files, one after another.

        Args:
            name: The file, which was looked at a moment ago.
            most: Where to stop.

        Raises:
            HomeportError: `unsupported` or `denied`, when something else is there by now.
            OSError: When there is none or it cannot be read.
        """
        path, at = self._at(name)
        descriptor = os.open(path, os.O_RDONLY | _SAFE | _BINARY, dir_fd=at)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._require_file(name, status)
            self._verify(name, descriptor)
            data = os.read(descriptor, min(status.st_size, most) + 1)
            if 0 < len(data) == status.st_size <= most:  # nearly always: no call to see that nothing follows
                return data
            while data and len(data) < most and (more := os.read(descriptor, min(most - len(data), PIECE))):
                data += more
            return data[:most]
        finally:
            os.close(descriptor)

    def put(self, name: str, chunks: Iterable[bytes], *, like: os.stat_result | None = None) -> None:
        """Replace or create the file `name` in one step; on any failure what was there stays.

        Args:
            name: The file.
            chunks: The new content.
            like: Status of the file that is replaced, whose permissions and owner the new one gets; None = there is
                none yet.

        Raises:
            HomeportError: `conflict`, when meanwhile somebody else changed, made or removed it.
            OSError: When the disk is full or the folder cannot be written.
        """
        temporary = f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
        path, at = self._at(temporary)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE | _BINARY, 0o644, dir_fd=at)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._verify(temporary, descriptor)
                if like is not None and os.name != "nt":
                    _resemble(descriptor, like)
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(descriptor)
            self.require_unchanged(name, like)
            self.move(temporary, self, name)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def move(self, name: str, target: Folder, new: str) -> None:
        """Rename the entry `name` to `new` in `target`, replacing a file that is there.

        Raises:
            OSError: When it cannot be renamed, such as to another file system.
        """
        (old_path, old_at), (new_path, new_at) = self._at(name), target._at(new)
        os.replace(old_path, new_path, src_dir_fd=old_at, dst_dir_fd=new_at)
        target.sync()
        if target is not self:
            self.sync()

    def remove(self, name: str) -> None:
        """Remove the file or link `name`."""
        path, at = self._at(name)
        os.unlink(path, dir_fd=at)

    def make(self, name: str) -> None:
        """Make the folder `name`; one that is there already is fine."""
        path, at = self._at(name)
        with suppress(FileExistsError):
            os.mkdir(path, dir_fd=at)

    def drop(self, name: str) -> None:
        """Remove the empty folder `name`."""
        path, at = self._at(name)
        os.rmdir(path, dir_fd=at)

    def sweep(self) -> None:
        """Remove what writers that were killed left behind in this folder."""
        for name in self.names():
            if is_temporary(name):
                with suppress(OSError):
                    if self.look(name).st_mtime < time.time() - STALE_SECONDS:
                        self.remove(name)

    def require_unchanged(self, name: str, like: os.stat_result | None) -> None:
        """Check that the entry `name` still is what it was when `like` was its status; None = there was none.

        Raises:
            HomeportError: `conflict`, when somebody else changed, made or removed it.
        """
        try:
            now = _state(self.look(name))
        except FileNotFoundError:
            now = None
        if now != (_state(like) if like is not None else None):
            raise HomeportError(
                "conflict", f"{self.shown}/{name} was changed by somebody else just now.", "Read it again, then retry."
            )

    def _require_file(self, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something special")
            hint = "List it instead." if kind == "a folder" else "Only regular files are opened."
            raise HomeportError("unsupported", f"{self.shown}/{name} is {kind}, not a file.", hint)

    def _admit(self, name: str, status: os.stat_result) -> None:
        if (status.st_dev, status.st_ino) in self._closed:
            raise HomeportError(
                "denied", f"{self.shown}/{name} belongs to Homeport itself and is not served.", "Use another folder."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DescriptorFolder(Folder):
    """A folder held open by a directory descriptor."""

    def __init__(self, descriptor: int, shown: str, closed: frozenset[Identity]) -> None:
        super().__init__(shown, closed)
        self._descriptor = descriptor

    def _at(self, name: str) -> tuple[str, int | None]:
        return single(name), self._descriptor

    def _verify(self, name: str, descriptor: int) -> None:
        """Nothing to check: the descriptor came from the open folder."""

    def names(self) -> list[str]:
        """Return the names of all entries."""
        return os.listdir(self._descriptor)  # noqa: PTH208 - Path cannot list a descriptor

    def kinds(self) -> dict[str, str]:
        """Return the kinds of all entries."""
        return _kinds(self._descriptor)

    def enter(self, name: str) -> Folder:
        """Open the folder `name` without following a link."""
        descriptor = os.open(single(name), os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=self._descriptor)
        try:
            self._admit(name, os.fstat(descriptor))
        except HomeportError:
            os.close(descriptor)
            raise
        return DescriptorFolder(descriptor, f"{self.shown}/{name}", self._closed)

    def status(self) -> os.stat_result:
        """Return the status of the folder itself."""
        return os.fstat(self._descriptor)

    def sync(self) -> None:
        """Flush the folder to the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ResolvedFolder(Folder):
    """A folder held by its resolved path, which is checked at each step."""

    def __init__(self, path: Path, shown: str, closed: frozenset[Identity]) -> None:
        super().__init__(shown, closed)
        self._path = path
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
        self._check(path)

    def _at(self, name: str) -> tuple[str, int | None]:
        self._check(self._path)
        return str(self._path / single(name)), None

    def _verify(self, name: str, descriptor: int) -> None:
        """Ask the open file itself: whatever is asked by path may be about another file by now."""
        if os.path.normcase(_path_of(descriptor)) != os.path.normcase(self._path / name):
            raise self._swapped(name)

    def _check(self, path: Path) -> None:
        try:
            real = os.path.realpath(path)
        except OSError as error:  # a link that is swapped while it is read
            raise self._swapped(path.name) from error
        if os.path.normcase(real) != os.path.normcase(path):
            raise self._swapped(path.name)

    def _swapped(self, name: str) -> HomeportError:
        return HomeportError("denied", f"{self.shown}/{name} turned into a link on the way.", "Try again.")

    def names(self) -> list[str]:
        """Return the names of all entries."""
        self._check(self._path)
        return [entry.name for entry in self._path.iterdir()]

    def kinds(self) -> dict[str, str]:
        """Return the kinds of all entries."""
        self._check(self._path)
        return _kinds(self._path)

    def enter(self, name: str) -> Folder:
        """Open the folder `name` without following a link."""
        path, _ = self._at(name)
        status = self.look(name)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", name)
        self._admit(name, status)
        return ResolvedFolder(Path(path), f"{self.shown}/{name}", self._closed)

    def status(self) -> os.stat_result:
        """Return the status of the folder itself."""
        return self._path.stat()

    def sync(self) -> None:
        """Nothing to do: Windows keeps renames by itself."""

    def close(self) -> None:
        """Nothing is held."""


_SEPARATORS = frozenset({os.sep, os.altsep or "/"})
_NOT_SINGLE = frozenset({"", ".", ".."})


def _kinds(folder: int | Path) -> dict[str, str]:
    with os.scandir(folder) as entries:
        return {entry.name: _kind(entry) for entry in entries}


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "link" if entry.is_symlink() else "other"


def single(name: str) -> str:
    """Return `name` when it is the name of one entry.

    Raises:
        ValueError: For anything that could lead elsewhere.
    """
    if name in _NOT_SINGLE or "/" in name or "\0" in name or (os.name == "nt" and not _SEPARATORS.isdisjoint(name)):
        raise ValueError(f"{name!r} is not the name of one entry")
    return name


def is_temporary(name: str) -> bool:
    """Say whether `name` is a file that `Folder.put` has not finished."""
    return name.startswith(TEMPORARY) and name.endswith(".tmp")


def open_folder(path: Path, shown: str, closed: frozenset[Identity] = frozenset()) -> Folder:
    """Open the folder at a trusted, resolved `path` with the strongest handle that this platform has.

    Args:
        path: Absolute, without links.
        shown: How messages name it.
        closed: Folders below it, as (device, inode), that are not entered.

    Raises:
        OSError: When there is no such folder or it cannot be read.
    """
    if os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW"):
        return DescriptorFolder(os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFE), shown, closed)
    return ResolvedFolder(path, shown, closed)


if sys.platform == "win32":
    import ctypes
    import msvcrt

    def _path_of(descriptor: int) -> str:
        """Return the path of an open file, https://learn.microsoft.com/windows/win32/api/fileapi (by handle)."""
        buffer = ctypes.create_unicode_buffer(32_768)
        handle = msvcrt.get_osfhandle(descriptor)
        ask = ctypes.windll.kernel32.GetFinalPathNameByHandleW
        ask.argtypes = [ctypes.c_void_p, ctypes.c_wchar_p, ctypes.c_uint32, ctypes.c_uint32]
        if not ask(handle, buffer, len(buffer), 0):
            raise ctypes.WinError()
        path = buffer.value.removeprefix("\\\\?\\")
        return "\\\\" + path.removeprefix("UNC\\") if path.startswith("UNC\\") else path

else:

    def _path_of(descriptor: int) -> str:
        """Return the path of an open file; only tests use it here, see `open_folder`."""
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _resemble(descriptor: int, like: os.stat_result) -> None:
    with suppress(PermissionError):  # only root may give a file away
        os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
