"""Cron expressions and local times, turned into instants through every change of the clocks.

The fields are read by `cronsim`, which follows Debian's cron: five fields, or six with the seconds first; when both
day fields are restricted, one of them is enough. What a change of the clocks does follows cron(8) of Debian: a job at
a fixed time runs once a day, also when that time does not exist or comes twice; a job whose minute or hour begins
with `*` runs whenever the clock on the wall says so.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from homeport_shared.errors import HomeportError

Dst = Literal["once", "skip", "twice"]
NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST_SHIFT = timedelta(hours=3)  # no zone that is in use changes its clocks by more
MINUTE = timedelta(minutes=1)


class Crontab:
    """One expression in one time zone.

    Args:
        text: Five fields, six with the seconds first, or a name such as `@daily`.
        zone: Whose clock on the wall counts.
        dst: What a fixed time does when the clocks change: `once` = one run a day, at the end of the gap or at the
            first of two; `skip` = none where the time does not exist; `twice` = both where it comes twice.

    Raises:
        HomeportError: `invalid`, naming the field that does not fit.
    """

    def __init__(self, text: str, zone: ZoneInfo, dst: Dst = "once") -> None:
        self._text = NAMES.get(text.strip().lower(), text.strip())
        self._zone = zone
        fields = self._text.split()
        try:
            CronSim(self._text, datetime(2000, 1, 1))  # noqa: DTZ001 - a time on the wall
        except (CronSimError, ValueError, RecursionError) as error:
            raise HomeportError(
                "invalid",
                f"The cron expression {text[:100]!r} does not fit: {error}.",
                "Write minute hour day month weekday, such as 0 9 * * 1-5; seconds may stand before them.",
            ) from error
        minute, hour = fields[-5], fields[-4]
        self._often = minute.startswith("*") or hour.startswith("*") or (len(fields) == 6 and fields[0][0] == "*")
        self._gap = not self._often and dst != "skip"
        self._both = self._often or dst == "twice"

    def after(self, moment: datetime) -> datetime | None:
        """Return the first instant after `moment`, in UTC; None when there is none in 50 years."""
        first = self._first(moment)
        if not self._both:
            return first
        # The second of two equal times lies behind times that the clock shows later: it is looked for by itself.
        again = self._second(moment, first)
        return min(filter(None, (first, again)), default=None)

    def latest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the newest instants, at most `most`, in `after` < instant <= `until`, oldest first."""
        found: list[datetime] = []
        oldest = _wall(after, self._zone) - LONGEST_SHIFT
        for wall in self._walls(_wall(until, self._zone) + LONGEST_SHIFT, back=True):
            if wall < oldest:
                break
            if len(found) >= most and wall < _wall(found[-most], self._zone) - LONGEST_SHIFT:
                break
            for at in self._instants(wall):
                if after < at <= until and at not in found[-most:]:
                    insort(found, at)
        return found[-most:]

    def _first(self, moment: datetime) -> datetime | None:
        for wall in self._walls(_wall(moment, self._zone)):
            for instant in self._instants(wall)[:1]:
                if instant > moment:
                    return instant
        return None

    def _second(self, moment: datetime, before: datetime | None) -> datetime | None:
        start = _wall(moment, self._zone) - LONGEST_SHIFT
        end = _wall(before, self._zone) if before else start + LONGEST_SHIFT
        for wall in self._walls(start):
            if wall > end:
                return None
            for instant in self._instants(wall)[1:]:
                if instant > moment:
                    return instant
        return None

    def _walls(self, start: datetime, *, back: bool = False) -> Iterator[datetime]:
        try:
            yield from CronSim(self._text, start, reverse=back)
        except (OverflowError, ValueError):  # the calendar ends with the year 9999
            return

    def _instants(self, wall: datetime) -> list[datetime]:
        found = instants(wall, self._zone)
        if not found:
            return [after_gap(wall, self._zone)] if self._gap else []
        return found if self._both else found[:1]


def instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when the clock in `zone` shows `wall`: no, one or two instants in UTC, oldest first."""
    found: list[datetime] = []
    for fold in (0, 1):
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if _wall(instant, zone) == wall and instant not in found:
            found.append(instant)
    return found


def after_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant after the gap that swallows `wall`, in UTC."""
    while not (found := instants(wall, zone)):
        wall = wall.replace(second=0, microsecond=0) + MINUTE
    return found[0]


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)
