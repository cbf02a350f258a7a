"""Which files a folder holds, as far as the settings allow."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from homeport_shared.errors import HomeportError

SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})  # besides all that begin with a dot


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be taken in.

    Attributes:
        path: Absolute.
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


def allowed(path: str, folders: Sequence[str]) -> Path:
    """Return `path` as an absolute path without links, if it lies in one of `folders`.

    Raises:
        HomeportError: `denied` or `not_found`.
    """
    resolved = Path(path).expanduser().resolve()
    if not any(resolved.is_relative_to(Path(folder).expanduser().resolve()) for folder in folders):
        readable = ", ".join(folders) or "none"
        raise HomeportError(
            "denied",
            f"{path} is outside of the folders that may be read ({readable}).",
            "Ask the user to allow its folder: `homeport add FOLDER`, or --folders of homeport-rag.",
        )
    if not resolved.exists():
        raise HomeportError("not_found", f"There is no {path}.", "Check the path.")
    return resolved


def scan(path: Path, wanted: Callable[[str], bool]) -> tuple[list[Found], int]:
    """Return the files below `path` whose name is `wanted`, in a stable order, and how many others were left out.

    Links, hidden files and folders, and what is neither file nor folder are never followed or counted. A `path` that is
    a file is returned itself, wanted or not.
    """
    if not path.is_dir():
        return [_found(path)], 0
    found: list[Found] = []
    others = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        for name in sorted(names):
            file = Path(folder, name)
            if name.startswith(".") or file.is_symlink() or not file.is_file():
                continue
            if wanted(name):
                found.append(_found(file))
            else:
                others += 1
    return found, others


def _found(path: Path) -> Found:
    status = path.stat()
    return Found(str(path), status.st_size, status.st_mtime_ns)
