"""Too many in a while: counted, and told once. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta


class Alarm:
    """Counts things in windows of time.

    Args:
        metric: What is counted.
        limit: More than these in one window are too many; 0 = there is no limit.
        window: How long one is.
    """

    def __init__(self, metric: str, limit: int, window: timedelta) -> None:
        self.metric = metric
        self.limit = limit
        self._window = window
        self._begun: datetime | None = None
        self._number = 0

    def count(self, now: datetime, number: int = 1) -> int:
        """Add `number`; return how many there are when they have just become too many, otherwise 0."""
        if self._begun is None or not timedelta() <= now - self._begun < self._window:
            self._begun, self._number = now, 0
        before, self._number = self._number, self._number + number
        return self._number if self.limit and before <= self.limit < self._number else 0
