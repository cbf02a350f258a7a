"""What the scheduler remembers: jobs with their state, runs, events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from homeport_scheduler.definitions import Definition, Kind, TriggerKind
from homeport_shared.events import Event

RunState = Literal["queued", "running", "completed", "failed", "cancelled", "skipped"]
Cause = Literal["schedule", "event", "manual"]
FINAL: frozenset[RunState] = frozenset({"completed", "failed", "cancelled", "skipped"})


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its state.

    Attributes:
        agreed: A person wrote the action, or confirmed it: what cannot be taken back may be done by it.
        owner: Who made it: `user`, `agent:NAME`, `client:NAME` or `system`.
        sources: Runs and clients that wrote it, where no person did.
        next: The next instant, RFC 3339; empty when there is none.
        version: Grows by one with every change, so that two editors notice each other.
        deleted: When it was deleted; empty while it was not. It can be restored.
    """

    id: str
    definition: Definition
    enabled: bool
    agreed: bool
    owner: str
    next: str
    version: int
    created: str
    updated: str
    deleted: str = ""
    sources: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What kind of action it has."""
        return self.definition.action.kind

    @property
    def trigger(self) -> TriggerKind:
        """What kind of trigger it has."""
        return self.definition.trigger.kind


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job. Times are RFC 3339, empty = not yet.

    Attributes:
        id: `sched-<job>-<instant>`, so the same instant makes one run.
        planned: The instant that it is for.
        not_before: Jitter and back-off delay it until then.
        category: Of a failure: the error's code; of a skipped run why.
        detail: The result, or what went wrong; one or a few sentences.
        agreed: What cannot be taken back may be done by it.
        event: The event that started it.
        attempts: Earlier attempts: `{started, finished, error}`.
        host_run: The host's run that does the work.
        process: Which scheduler process has it.
    """

    id: str
    job: str
    name: str
    kind: Kind
    cause: Cause
    state: RunState
    planned: str
    not_before: str
    priority: int = 1
    attempt: int = 1
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    category: str = ""
    detail: str = ""
    agreed: bool = False
    event: dict[str, Any] | None = None
    attempts: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    host_run: str = ""
    process: str = ""

    @property
    def order(self) -> str:
        """The id of this attempt, under which the work is asked for."""
        return self.id if self.attempt == 1 else f"{self.id}-{self.attempt}"

    @property
    def correlation(self) -> str:
        """What follows from this run is found by it: that of the event that started it, or its own id."""
        return str((self.event or {}).get("correlation") or self.id)


@dataclass(frozen=True, slots=True)
class Note:
    """An event as it is kept; the same key is kept once.

    Attributes:
        correlation: The same for all that one event led to; empty = this one is the first.
    """

    key: str
    at: str
    kind: str
    subject: str
    data: dict[str, Any]
    seq: int = 0
    correlation: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what filters and blanks see."""
        names = ("at", "kind", "subject", "data", "correlation")
        return {name: getattr(self, name) for name in names}

    def as_event(self) -> Event:
        """Return it as the host is told."""
        return Event(self.kind, self.subject, self.data, correlation=self.correlation)
