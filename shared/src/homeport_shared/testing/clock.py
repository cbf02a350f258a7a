"""A clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


class SetClock:
    """Stands still until it is told to go on.

    Args:
        at: The time that it shows, aware.
    """

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the time that was set, in UTC."""
        return self.at.astimezone(UTC)

    def monotonic(self) -> float:
        """Return seconds that pass as the time is set."""
        return self.at.timestamp()

    def go_on(self, **span: float) -> None:
        """Let time pass: `seconds`, `minutes`, `hours`, `days`, as `datetime.timedelta` takes them."""
        self.at += timedelta(**span)
