"""When a job is due: pure arithmetic from a trigger to instants in UTC, and what is to be known about each."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from homeport_scheduler.crontab import Crontab, Dst, after_gap, instants
from homeport_scheduler.definitions import Trigger
from homeport_shared.errors import HomeportError

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SHORTEST_SECONDS = 1
FAR = datetime(9999, 1, 1, tzinfo=UTC)


class Schedule(Protocol):
    """The instants of a trigger, all in UTC."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first instant after `moment`; None when there is none."""
        ...

    def latest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the newest instants, at most `most`, in `after` < instant <= `until`, oldest first."""
        ...


class Interval:
    """Every so many seconds from a start; a change of the clocks changes nothing.

    Args:
        seconds: From one instant to the next.
        start: The instant that all others are counted from.
    """

    def __init__(self, seconds: int, start: datetime) -> None:
        self._step = timedelta(seconds=seconds)
        self._start = start

    def after(self, moment: datetime) -> datetime | None:
        """Return the first instant after `moment`, the start included."""
        if moment < self._start:
            return self._start
        following = self._start + ((moment - self._start) // self._step + 1) * self._step
        return following if following < FAR else None

    def latest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the newest instants in `after` < instant <= `until`."""
        if until < self._start:
            return []
        at = self._start + ((until - self._start) // self._step) * self._step
        found: list[datetime] = []
        while at > after and at >= self._start and len(found) < most:
            found.append(at)
            at -= self._step
        return found[::-1]


class Once:
    """A single instant."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def after(self, moment: datetime) -> datetime | None:
        """Return the instant while it is still to come."""
        return self._at if self._at > moment else None

    def latest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the instant when it lies between."""
        return [self._at] if after < self._at <= until and most > 0 else []


def schedule_of(trigger: Trigger, zone: ZoneInfo, dst: Dst = "once") -> Schedule | None:
    """Return when `trigger` is due; None for one that waits for an event or a person.

    Raises:
        HomeportError: `invalid`, naming what does not fit.
    """
    if trigger.cron:
        return Crontab(trigger.cron, zone, dst)
    if trigger.every:
        return Interval(seconds_of(trigger.every), moment_of(trigger.start, zone) if trigger.start else _EPOCH)
    return Once(moment_of(trigger.at, zone)) if trigger.at else None


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def seconds_of(text: str) -> int:
    """Return the seconds of a duration such as `90s`, `15m`, `2h` or `1d12h`.

    Raises:
        HomeportError: `invalid`, for anything else and for less than a second or more than ten years.
    """
    parts = re.findall(r"(\d{1,9})\s*([smhd])", text.lower())
    seconds = sum(int(number) * UNITS[unit] for number, unit in parts)
    rest = re.sub(r"\d{1,9}\s*[smhd]", "", text.lower()).strip()
    if rest or not SHORTEST_SECONDS <= seconds <= 3_650 * 86_400:
        raise HomeportError("invalid", f"{text[:60]!r} is not a time span.", "Write it like 90s, 15m, 2h or 1d.")
    return seconds


def moment_of(text: str, zone: ZoneInfo) -> datetime:
    """Return the instant of an ISO 8601 date and time; without an offset it is the clock of `zone`.

    Raises:
        HomeportError: `invalid`.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise HomeportError("invalid", f"{text[:60]!r} is not a date and time.", "Write 2026-11-30T09:00.") from error
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    found = instants(moment, zone)
    return found[0] if found else after_gap(moment, zone)


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        HomeportError: `invalid`.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise HomeportError(
            "invalid", f"There is no time zone {name[:60]!r}.", "Use a name such as Europe/Berlin or UTC."
        ) from error


def note_on(instant: datetime, zone: ZoneInfo) -> str:
    """Return what a change of the clocks has to do with a run at `instant`; empty when nothing."""
    local = instant.astimezone(zone)
    before, after = (instant - timedelta(hours=1)).astimezone(zone), (instant + timedelta(hours=1)).astimezone(zone)
    same = instants(local.replace(tzinfo=None, fold=0), zone)
    if len(same) == 2:
        which = "first" if same[0] == instant else "second"
        return f"The clocks go back: {local:%H:%M} comes twice, this is the {which}."
    gained = (local.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
    if gained > timedelta():
        return f"The clocks went forward by {_span(gained)} just before."
    lost = (after.utcoffset() or timedelta()) - (local.utcoffset() or timedelta())
    return f"The clocks go forward by {_span(lost)} soon after." if lost > timedelta() else ""


def upcoming(schedule: Schedule, moment: datetime, count: int) -> list[datetime]:
    """Return the next `count` instants after `moment`."""
    found: list[datetime] = []
    at: datetime | None = moment
    while len(found) < count and at is not None:
        at = schedule.after(at)
        if at is not None:
            found.append(at)
    return found


def _span(gained: timedelta) -> str:
    minutes = int(gained.total_seconds() // 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
