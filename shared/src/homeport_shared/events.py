"""Publish what happened; the host persists and delivers it, a server alone has nobody to tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: Dotted name in the past tense, such as `file.changed` or `ingest.finished`.
        subject: The URI of what it happened to.
        data: JSON-able details.
        correlation: The same for all that one event led to; empty = the host finds it, or begins a new one.
    """

    kind: str
    subject: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    correlation: str = ""


class EventSink(Protocol):
    """Where a server puts its events."""

    async def publish(self, event: Event) -> None:
        """Hand `event` over. Never raises on account of a subscriber."""
        ...


class NoEvents:
    """The sink of a server that runs alone."""

    async def publish(self, event: Event) -> None:
        """Drop `event`: there is no host."""
