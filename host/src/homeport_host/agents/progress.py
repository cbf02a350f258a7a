"""How far a run is: what it does at this moment, and how much of it is probably done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeport_host.agents.runs import Run

ALMOST = 95.0  # percent: an estimate never says that something is done


@dataclass(frozen=True, slots=True)
class Doing:
    """What a run does now.

    Attributes:
        text: The step under way, in a few words.
        at: When this was noted, RFC 3339.
        steps: How many steps are done.
        total: How many there are; 0 = nobody knows.
        share: How much of the step under way is done, 0 to 1, as its tool reports.
        used: How much of its limits the run has used up, 0 to 1.
    """

    text: str
    at: str
    steps: int = 0
    total: int = 0
    share: float = 0.0
    used: float = 0.0


def estimate(
    run: Run, doing: Doing | None, typical: tuple[float, float] | None, seconds: float | None
) -> dict[str, Any]:
    """Return how far a run is: `percent`, None when that cannot be told, `basis`, and `eta_seconds`.

    Args:
        run: The run.
        doing: What it does now; None when that is not known here.
        typical: Steps and seconds of earlier runs like it, at the median.
        seconds: For how long it has worked; None = it has not begun.
    """
    if run.state == "completed":
        return {"percent": 100.0, "basis": "ended", "eta_seconds": 0.0}
    if run.finished or seconds is None:
        return {"percent": 0.0 if not run.started else None, "basis": "ended" if run.finished else "queued",
                "eta_seconds": None}  # fmt: skip
    share, basis = _share(doing, typical)
    left = None
    if typical is not None and basis != "steps":
        left = max(typical[1] - seconds, 0.0)
    elif share:
        left = seconds * (1 - share) / share
    percent = None if share is None else round(min(share * 100, ALMOST), 1)
    return {"percent": percent, "basis": basis, "eta_seconds": None if left is None else round(left, 1)}


def _share(doing: Doing | None, typical: tuple[float, float] | None) -> tuple[float | None, str]:
    if doing is None:
        return None, "unknown"
    done = doing.steps + doing.share
    if doing.total:
        return done / doing.total, "steps"
    if typical is not None and typical[0]:
        return done / typical[0], "earlier runs"
    return doing.used, "limits"
