"""The files in which graphs of vectors are kept: each name says how far the graph followed the change log."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from homeport_rag.vectors import Graph


class GraphFiles:
    """The files of one collection and one model; another process may write one at any time.

    Attributes:
        folder: Where they are.
    """

    def __init__(self, folder: Path, collection: int, model: str) -> None:
        self.folder = folder
        self._stem = f"{collection}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"

    def newest(self) -> int:
        """Return the entry of the change log that the newest file followed; -1 when there is none."""
        return max((_sequence(path) for path in self._all()), default=-1)

    def read(self, last: int, dimension: int) -> tuple[int, Graph] | None:
        """Return the newest graph that is whole, with its entry of the change log, which is at most `last`."""
        for path in sorted(self._all(), reverse=True):
            if _sequence(path) > last or _digest(path) != path.stem.split("-")[3]:
                continue
            graph = Graph.read(path)
            if graph.dimension == dimension:
                return _sequence(path), graph
        return None

    def write(self, graph: Graph, sequence: int) -> None:
        """Keep a graph in place of those there are; a crash leaves the old file or the new one, whole."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as folder:
                fresh = Path(folder, "new")
                graph.write(fresh)
                with fresh.open("rb+") as file:
                    os.fsync(file.fileno())
                name = f"{self._stem}-{sequence:012d}-{_digest(fresh)}.faiss"
                fresh.replace(self.folder / name)
            self.remove(keep=name)
        except (OSError, RuntimeError) as error:  # a full disk costs the next start a graph, nothing else
            sys.stderr.write(f"the vector index was not saved: {error}\n")

    def remove(self, keep: str = "") -> None:
        """Remove all files but the one named `keep`."""
        for path in self._all():
            if path.name != keep:
                path.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        return list(self.folder.glob(f"{self._stem}-*.faiss"))


def _sequence(path: Path) -> int:
    return int(path.stem.split("-")[2])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
