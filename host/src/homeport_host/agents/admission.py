"""When a run may work: after the runs it depends on, while it is not paused, and in its turn.

Of the runs that wait for room, the one with the higher priority begins first, then the older one. A run that waits for
a person gives its room back. Everything here is in memory: after a restart the engine begins each unfinished run again,
and it comes through here again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from homeport_shared.errors import HomeportError


@dataclass
class _Waiting:
    run: str
    kind: str
    agent: str
    at_once: int
    priority: int
    since: str
    admitted: anyio.Event = field(default_factory=anyio.Event)


class Admission:
    """Admits runs.

    Args:
        most: How many runs of a kind may work at once; a kind that is not in it has no limit.
    """

    def __init__(self, most: Mapping[str, int]) -> None:
        self._most = most
        self._queue: list[_Waiting] = []
        self._working: dict[str, _Waiting] = {}
        self._paused: dict[str, anyio.Event] = {}
        self._away = set[str]()
        self._ended: dict[str, anyio.Event] = {}

    # In its turn

    async def enter(self, run: str, kind: str, agent: str, *, at_once: int, priority: int, since: str) -> None:
        """Wait for room.

        Args:
            run: The run.
            kind: Its kind, such as `job`.
            agent: Its agent.
            at_once: How many runs of this agent may work at once; 0 = any number.
            priority: 0 to 3; higher begins first.
            since: When it was made, RFC 3339; the older begins first.
        """
        waiting = _Waiting(run, kind, agent, at_once, priority, since)
        self._queue.append(waiting)
        self._admit()
        try:
            await waiting.admitted.wait()
        except BaseException:
            self.leave(run)
            raise

    def leave(self, run: str) -> None:
        """Give a run's room to the next; a run that has none is fine."""
        self._queue = [waiting for waiting in self._queue if waiting.run != run]
        self._working.pop(run, None)
        self._away.discard(run)
        self._admit()

    async def again(self, run: str, left: _Waiting | None) -> None:
        """Wait for room once more, with what `give_back` returned."""
        self._away.discard(run)
        if left is not None:
            await self.enter(run, left.kind, left.agent, at_once=left.at_once, priority=left.priority, since=left.since)

    def give_back(self, run: str) -> _Waiting | None:
        """Give the room back for a while; returns what `again` needs, None when the run had none."""
        left = self._working.get(run)
        self.leave(run)
        self._away.add(run)
        return left

    def is_away(self, run: str) -> bool:
        """Say whether a run gave its room back and has not asked for it again."""
        return run in self._away

    def prefer(self, run: str, priority: int) -> None:
        """Change the priority of a run; one that works already keeps its room."""
        for waiting in self._queue:
            if waiting.run == run:
                waiting.priority = priority

    def has_room(self, kind: str, agent: str, at_once: int) -> bool:
        """Say whether a run of this kind and agent would begin at once."""
        working = self._working.values()
        of_kind = sum(one.kind == kind for one in working)
        of_agent = sum(one.agent == agent for one in working)
        return of_kind < self._most.get(kind, of_kind + 1) and (not at_once or of_agent < at_once)

    def works(self, run: str) -> bool:
        """Say whether a run has room now."""
        return run in self._working

    def _admit(self) -> None:
        for waiting in sorted(self._queue, key=lambda one: (-one.priority, one.since, one.run)):
            if self.has_room(waiting.kind, waiting.agent, waiting.at_once):
                self._queue.remove(waiting)
                self._working[waiting.run] = waiting
                waiting.admitted.set()

    # Paused

    def pause(self, run: str) -> None:
        """Let a run wait before its next step."""
        self._paused.setdefault(run, anyio.Event())

    def resume(self, run: str) -> None:
        """Let a paused run go on."""
        if paused := self._paused.pop(run, None):
            paused.set()

    def is_paused(self, run: str) -> bool:
        """Say whether a run waits, or will wait, because somebody paused it."""
        return run in self._paused

    async def unpaused(self, run: str) -> None:
        """Wait while the run is paused, without keeping its room."""
        if run not in self._paused:
            return
        left = self._working.get(run)
        self.leave(run)
        while paused := self._paused.get(run):
            await paused.wait()
        await self.again(run, left)

    # After others

    def ended(self, run: str) -> None:
        """Tell those who wait for the end of a run."""
        self.leave(run)
        self.resume(run)
        if told := self._ended.pop(run, None):
            told.set()

    def end_of(self, run: str) -> anyio.Event:
        """Return what is set when the run ends; ask for it before looking whether it has ended."""
        return self._ended.setdefault(run, anyio.Event())


def require_completed(states: Sequence[tuple[str, str]]) -> bool:
    """Say whether all runs that one depends on are completed.

    Args:
        states: Run and state of each.

    Raises:
        HomeportError: `conflict`, when one can never be completed any more.
    """
    for run, state in states:
        if state in {"failed", "cancelled", "gone"}:
            raise HomeportError(
                "conflict", f"The run {run} that this one waits for is {state}.", "Retry that one, then this one."
            )
    return all(state == "completed" for _, state in states)
