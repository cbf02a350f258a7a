"""Where test collections are that are too large or not free enough to keep in the repository."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = Path(__file__).parent.parent.parent.parent / "shared" / "data"


def folder(name: str) -> Path | None:
    """Return the folder of a collection, in `HOMEPORT_BENCHMARK_DATA` or beside the clone; None when it is absent."""
    for place in (os.environ.get("HOMEPORT_BENCHMARK_DATA", ""), BESIDE, BESIDE.parent.parent.parent / "shared/data"):
        if place and (Path(place) / name).is_dir():
            return Path(place) / name
    return None
