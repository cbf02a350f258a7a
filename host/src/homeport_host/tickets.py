"""One-time tickets for what must not pass through a tool: signing in, an upload, entering a secret."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from homeport_shared.clock import Clock, SystemClock

Purpose = Literal["login", "upload", "secret"]
SECONDS = 600.0
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket is good for."""

    purpose: Purpose
    target: str
    expires: float


class Tickets:
    """Tickets in memory: none survives a restart."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._open: dict[str, Ticket] = {}

    def create(self, purpose: Purpose, target: str = "", seconds: float = SECONDS) -> str:
        """Return a new ticket for one use within `seconds`."""
        now = self._clock.monotonic()
        self._open = {token: ticket for token, ticket in self._open.items() if ticket.expires > now}
        while len(self._open) >= MOST:
            self._open.pop(next(iter(self._open)))
        token = secrets.token_urlsafe(32)
        self._open[token] = Ticket(purpose, target, now + seconds)
        return token

    def peek(self, token: str, purpose: Purpose) -> str | None:
        """Return the target of a ticket that is still good, without using it up."""
        ticket = self._open.get(token)
        good = ticket is not None and ticket.purpose == purpose and ticket.expires > self._clock.monotonic()
        return ticket.target if ticket is not None and good else None

    def redeem(self, token: str, purpose: Purpose) -> str | None:
        """Use up a ticket and return its target; None when it is unknown, used, expired or for something else."""
        target = self.peek(token, purpose)
        if target is not None:
            del self._open[token]
        return target
