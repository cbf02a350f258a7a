"""Tells what happens in runs: events are stored, then readers are told, text at most every 50 ms."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from homeport_host.agents.progress import Doing
from homeport_host.agents.runs import NewEvent, Run, RunStore
from homeport_shared.batching import Batcher
from homeport_shared.changes import ChangeBus

SECONDS_BETWEEN = 0.05
SECONDS_BETWEEN_LISTS = 0.5  # a list of many runs is read anew less often than one of them
GATHER = SECONDS_BETWEEN  # readers are told no sooner, and each write takes time from the steps


class Recorder:
    """The way of events from a run to its readers.

    Args:
        tasks: Runs the writer.
        store: Where events are kept.
        changes: Told that `run://{id}/events` and, when its state changes, `run://{id}` have news.

    Attributes:
        listeners: Awaited with the run, the kind and the data of each event.
        doing: What the runs of this process are doing now; nothing of it is stored.
    """

    def __init__(self, tasks: TaskGroup, store: RunStore, changes: ChangeBus) -> None:
        self._store = store
        self._changes = changes
        self.listeners: list[Callable[[str, str, dict[str, Any]], Awaitable[None]]] = []
        self._batcher = Batcher[NewEvent](tasks, self._write, gather=GATHER)
        self._text: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        self._flushing = _Spaced(tasks, self._flush_text)
        self._telling = _Spaced(tasks, self._tell)
        self._advancing = _Spaced(tasks, self._tell_progress)
        self._listing = _Spaced(tasks, self._tell_list, between=SECONDS_BETWEEN_LISTS)
        self.doing: dict[str, Doing] = {}

    async def text(self, run: str, message: str, text: str, *, thinking: bool = False) -> None:
        """Add a piece of a model's answer; pieces of the same 50 ms become one event."""
        self._text[run].append(("thinking" if thinking else "text", message, text))
        self._flushing.touch(run)

    async def emit(self, run: str, kind: str, data: dict[str, Any], *, key: str = "", durable: bool = False) -> None:
        """Add an event after the text that came before it.

        Args:
            run: The run.
            kind: `state`, `call`, `approval`, `restart`, `usage`, `note` or `done`.
            data: JSON-able.
            key: Stored once only under this key.
            durable: Return when it is stored.
        """
        await self._flush_text(run)
        await self._batcher.add(NewEvent(run, self._store.now(), kind, data, key), durable=durable)
        for heard in self.listeners:
            await heard(run, kind, data)

    def advance(self, run: str, doing: Doing) -> None:
        """Note what a run does now and how far it is; its readers are told, nothing is stored."""
        self.doing[run] = doing
        self._advancing.touch(run)
        self._listing.touch("")

    async def end(self, run: Run) -> None:
        """Store that a run has ended and tell its readers."""
        await self._flush_text(run.id)
        await self._batcher.drain()
        done = {
            "status": run.state,
            "answer": run.answer,
            "citations": run.citations,
            "usage": run.usage,
            "error": run.error,
        }
        now = self._store.now()
        events = [
            NewEvent(run.id, now, "state", {"state": run.state}, "ended"),
            NewEvent(run.id, now, "done", done, "done"),
        ]
        await self._store.end(run, events)
        self.doing.pop(run.id, None)
        await self._changes.updated(f"run://{run.id}/events", f"run://{run.id}", "run://recent")

    async def changed(self, *runs: str) -> None:
        """Tell that something about runs changed that is no event."""
        await self._changes.updated(*(f"run://{run}" for run in runs), "run://recent")

    async def drain(self) -> None:
        """Wait until everything is stored."""
        for run in list(self._text):
            await self._flush_text(run)
        await self._batcher.drain()

    async def _flush_text(self, run: str) -> None:
        now = self._store.now()
        for kind, message, text in _joined(self._text.pop(run, [])):
            data = {"text": text, "message_id": message}
            await self._batcher.add(NewEvent(run, now, kind, data), durable=False)

    async def _write(self, events: list[NewEvent]) -> None:
        await self._store.append(events)
        for run in {event.run for event in events}:
            self._telling.touch(run)
        changed = [f"run://{event.run}" for event in events if event.kind == "state"]
        if changed:
            await self._changes.updated(*changed, "run://recent")

    async def _tell_progress(self, run: str) -> None:
        await self._changes.updated(f"task://{run}/progress")

    async def _tell_list(self, _key: str) -> None:
        await self._changes.updated("task://recent")

    async def _tell(self, run: str) -> None:
        await self._changes.updated(f"run://{run}/events")


def _joined(pieces: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    joined: list[tuple[str, str, str]] = []
    for kind, message, text in pieces:
        if joined and joined[-1][:2] == (kind, message):
            joined[-1] = (kind, message, joined[-1][2] + text)
        else:
            joined.append((kind, message, text))
    return joined


class _Spaced:
    """Does something for a key soon after it is touched, but not more often than every `between` seconds."""

    def __init__(
        self, tasks: TaskGroup, act: Callable[[str], Awaitable[None]], between: float = SECONDS_BETWEEN
    ) -> None:
        self._tasks = tasks
        self._act = act
        self._between = between
        self._due = set[str]()
        self._last: dict[str, float] = {}

    def touch(self, key: str) -> None:
        if key not in self._due:
            self._due.add(key)
            self._tasks.start_soon(self._serve, key)

    async def _serve(self, key: str) -> None:
        wait = self._last.get(key, 0) + self._between - time.monotonic()
        if wait > 0:
            await anyio.sleep(wait)
        self._due.discard(key)
        if len(self._last) > 1_000:
            self._last.clear()
        self._last[key] = time.monotonic()
        await self._act(key)
