"""Which files there are below a folder that may be read."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from homeport_shared.documents import passed_over
from homeport_shared.errors import HomeportError
from homeport_shared.folders import Folder
from homeport_shared.paths import Root, Roots, explained


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be taken in.

    Attributes:
        path: Absolute, without links.
        size: Bytes.
        mtime_ns: Modification time in nanoseconds.
    """

    path: str
    size: int
    mtime_ns: int

    @property
    def uri(self) -> str:
        """Its `file:` URI."""
        return Path(self.path).as_uri()


def confined(folders: Sequence[str], home: str) -> Roots:
    """Return the roots that `folders` make, each named by its path; the data root `home` is closed.

    Raises:
        HomeportError: `denied`, when there are none.
    """
    if not folders:
        raise HomeportError(
            "denied",
            "No folder may be read yet.",
            "Allow one first: `homeport add FOLDER`, or `homeport-rag --folders FOLDER`.",
        )
    absolute = [Path(folder).expanduser().resolve() for folder in folders]
    return Roots((Root(str(folder), folder) for folder in absolute), closed=[Path(home)])


def folder_at(path: str, home: str) -> str:
    """Return the absolute path, free of links, of a folder that may be allowed.

    Raises:
        HomeportError: `not_found`, when there is no such folder; `denied`, when it is Homeport's own.
    """
    with explained(path):
        folder = Path(path).expanduser().resolve()
        missing = not folder.is_dir()
    if missing:
        raise HomeportError("not_found", f"There is no folder {path!r}.", "Check the path.")
    return locate(str(folder), [str(folder)], home)


def locate(path: str, folders: Sequence[str], home: str) -> str:
    """Return the absolute path, free of links, of a file or folder that may be read.

    Raises:
        HomeportError: `denied`, when it is outside of `folders`; `not_found`.
    """
    with explained(path), confined(folders, home).find(str(Path(path).expanduser())) as spot:
        if spot.status() is None and spot.name:
            raise HomeportError("not_found", f"There is no {path!r}.", "Check the path.")
        return str(Path(spot.place.root, *spot.place.parts))


def scan(path: str, folders: Sequence[str], home: str, wanted: Callable[[str], bool]) -> tuple[list[Found], int]:
    """Return the files below the folder `path` whose name is `wanted`, and how many others were left out.

    Hidden files and folders, installed code, links, and what is neither file nor folder are passed over. When `path`
    is a file, it is returned itself, wanted or not.

    Raises:
        HomeportError: `denied` or `not_found`, also when a folder vanished since it was asked for.
    """
    with explained(path), confined(folders, home).find(str(Path(path).expanduser())) as spot:
        status = spot.status()
        if spot.is_folder():
            files = list(_walk(spot.enter(), Path(path)))
            found = [file for file in files if wanted(Path(file.path).name)]
            return found, len(files) - len(found)
        if status is None:
            raise HomeportError("not_found", f"{path!r} is gone.", "Check the path.")
        return [Found(path, status.st_size, status.st_mtime_ns)], 0


def vanished(folder: str, folders: Sequence[str], home: str) -> tuple[list[Found], int]:
    """Return that there are no files any more, where something below `folder` is gone.

    Raises:
        HomeportError: `not_found`, when `folder` itself vanished, such as a disk that was taken out; `denied`.
    """
    with explained(folder), confined(folders, home).find(folder) as spot:
        if not spot.is_folder():
            raise HomeportError("not_found", f"{folder!r} is gone.", "Check the path.")
    return [], 0


def _walk(folder: Folder, path: Path) -> Iterator[Found]:
    """Yield the files below an open folder in a stable order; what may not be read is passed over."""
    for name in sorted(folder.names()):
        if passed_over(name):
            continue
        try:
            status = folder.look(name)
            if stat.S_ISREG(status.st_mode):
                yield Found(str(path / name), status.st_size, status.st_mtime_ns)
            elif stat.S_ISDIR(status.st_mode):
                with folder.enter(name) as below:
                    yield from _walk(below, path / name)
        except (OSError, HomeportError):  # it vanished, or it is closed
            continue
