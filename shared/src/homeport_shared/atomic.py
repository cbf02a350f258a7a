"""Homeport's own small files: written whole or not at all, readable by their owner only where they are secret."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Replace `path` by `data` in one step that survives a power cut.

    Args:
        path: The file; its folder is made when missing.
        data: The new content.
        secret: Make the file readable by its owner only (mode 0600) from its first byte on.

    Raises:
        OSError: When the disk is full or the folder cannot be written; the old content is then still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o600 if secret else (path.stat().st_mode & 0o777 if path.exists() else 0o644)
    with _temporary_beside(path) as (handle, temporary):
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    sync_folder(path.parent)


@contextmanager
def _temporary_beside(path: Path) -> Generator[tuple[int, Path]]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    try:
        yield handle, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows does that by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
