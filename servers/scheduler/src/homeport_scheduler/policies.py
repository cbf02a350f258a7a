"""What the policies of a job come to: missed runs, jitter, back-off. Pure, and the same in every process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeport_scheduler.definitions import Missed
from homeport_scheduler.schedules import Schedule

GRACE = timedelta(seconds=60)  # a run this late counts as on time: a busy machine is no outage
LONGEST_BACK_OFF = 3_600
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about a job that is due.

    Attributes:
        runs: The instants to run for, oldest first.
        passed: The newest instant that is left out; None when none is, or another one runs in its place.
        following: The next instant; None when there is none any more.
    """

    runs: tuple[datetime, ...]
    passed: datetime | None
    following: datetime | None


def plan(schedule: Schedule, due: datetime, now: datetime, missed: Missed, most: int) -> Plan:
    """Decide on the instants from `due`, the first that was not looked at, up to `now`.

    Args:
        schedule: The job's.
        due: The stored next instant; not after `now`.
        now: The time.
        missed: `skip` runs none that is late, `once` one for all of them, `all` each of the newest `most`.
        most: For `all`.
    """
    found = schedule.latest(due - INSTANT, now, most if missed == "all" else 1)
    following = schedule.after(now)
    if not found:
        return Plan((), None, following)
    if missed == "skip" and now - found[-1] > GRACE:
        return Plan((), found[-1], following)
    return Plan(tuple(found), None, following)


def jitter(run: str, seconds: int) -> timedelta:
    """Return the delay of a run, from 0 to `seconds`: random, but the same whoever computes it."""
    number = int.from_bytes(hashlib.sha256(run.encode()).digest()[:6], "big")
    return timedelta(seconds=seconds * number / (1 << 48))


def back_off(first: int, attempt: int) -> timedelta:
    """Return how long to wait after the failure of `attempt`, counted from 1."""
    return timedelta(seconds=min(first * 2 ** min(attempt - 1, 20), max(first, LONGEST_BACK_OFF)))
