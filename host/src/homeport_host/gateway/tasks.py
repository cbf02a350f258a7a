"""The MCP extension for tasks: a call that takes long goes on after its answer, and its client asks for it by an id.

As `io.modelcontextprotocol/tasks` (SEP-2663) says: the server decides, `tasks/get` carries the result, `tasks/update`
brings answers to questions, `tasks/cancel` stops the call. A task is stored before its client hears of it. One whose
host stopped has failed: nobody repeats a call that may have had its effect.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.types import ElicitRequestParams, ElicitResult
from sqlalchemy import JSON, Column, String, Table, delete, insert, select, update

from homeport_host.database import Database, metadata
from homeport_host.gateway.turns import Elicit, asking
from homeport_host.governance.calls import Progress
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError

EXTENSION = "io.modelcontextprotocol/tasks"
LONG_SECONDS = 10.0  # a call that has not ended by then becomes a task
ASKING_SECONDS = 0.25  # what asks before it works does so by then, also when its calls become tasks at once
KEEP = timedelta(days=1)
ASKS = "input_required"
POLL_MS = 500
MOST_ROUNDS = 20
logger = logging.getLogger(__name__)

call_tasks = Table(
    "call_tasks",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("host", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created", String, nullable=False, index=True),
    Column("updated", String, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
)
# Makes the call, given how to ask, where to report progress, and what to send along.
Call = Callable[[Elicit, Progress, Mapping[str, Any]], Awaitable[dict[str, Any]]]


@dataclass
class _Live:
    """A call that goes on."""

    id: str
    owner: str
    asks_first: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)
    answered: anyio.Event = field(default_factory=anyio.Event)
    questions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    answers: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    message: str = ""
    stored: bool = False
    outcome: dict[str, Any] | None = None


class CallTasks:
    """The tasks of one endpoint's clients.

    Args:
        tasks: Where the calls go on.
        database: Where tasks are kept.
        host: The name of this host among those that share the database.
        long_seconds: A call that has not ended by then becomes a task.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        database: Database,
        *,
        host: str = "local",
        clock: Clock | None = None,
        long_seconds: float = LONG_SECONDS,
    ) -> None:
        self._tasks = tasks
        self._database = database
        self._host = host
        self._clock = clock or SystemClock()
        self._long_seconds = long_seconds
        self._live: dict[str, _Live] = {}

    async def open(self) -> None:
        """Fail the tasks that the last stop of this host cut off, and forget old ones."""
        error = {"code": -32603, "message": "Homeport stopped during the call. Look whether it took effect."}
        cut = update(call_tasks).where(call_tasks.c.host == self._host, call_tasks.c.status == "working")
        old = delete(call_tasks).where(call_tasks.c.created < iso(self._clock.now() - KEEP))
        cut = cut.values(status="failed", error=error, updated=iso(self._clock.now()))
        await self._database.write(lambda connection: (connection.execute(cut), connection.execute(old)))

    async def call(self, owner: str, work: Call, *, at_once: bool, asks_first: bool = False) -> dict[str, Any]:
        """Make a call; return its result, or the task that it has become.

        Args:
            owner: Whose it is: nobody else finds it.
            work: Makes the call.
            at_once: It becomes a task without waiting whether it takes long.
            asks_first: A result that asks for input before there is a task is returned as it is; the call that brings
                the answers becomes the task.
        """
        live = _Live(secrets.token_hex(16), owner, asks_first=asks_first)
        self._live[live.id] = live
        self._tasks.start_soon(self._run, live, work)
        try:
            soon = ASKING_SECONDS if asks_first else 0
            with anyio.move_on_after(soon if at_once else self._long_seconds):
                await live.ended.wait()
            result: dict[str, Any] | None = (live.outcome or {}).get("result")
            if result is not None and (not at_once or result.get("resultType") == ASKS):
                del self._live[live.id]
                return result
            return await self._store(live)
        except anyio.get_cancelled_exc_class():
            live.scope.cancel()  # the client gave the call up before it became a task
            raise

    async def get(self, owner: str, task: str) -> dict[str, Any]:
        """Return a task as `tasks/get` does.

        Raises:
            HomeportError: `not_found`.
        """
        row = await self._row(owner, task)
        shown = _shown(task, row)
        if (live := self._live.get(task)) is not None and row["status"] == "working":
            shown |= {"statusMessage": live.message} if live.message else {}
            if live.questions:
                shown |= {"status": "input_required", "inputRequests": dict(live.questions)}
        shown |= {name: row[name] for name in ("result", "error") if row[name] is not None}
        return {"resultType": "complete", **shown}

    async def answer(self, owner: str, task: str, responses: Mapping[str, dict[str, Any]]) -> None:
        """Hand answers to a task; those to no open question are ignored.

        Raises:
            HomeportError: `not_found`.
        """
        await self._row(owner, task)
        live = self._live.get(task)
        if live is not None:
            for key in live.questions.keys() & responses.keys():
                live.answers[key] = responses[key]
                del live.questions[key]
            live.answered.set()

    async def cancel(self, owner: str, task: str) -> None:
        """Stop a task's call; one that has ended stays as it is.

        Raises:
            HomeportError: `not_found`.
        """
        await self._row(owner, task)
        live = self._live.get(task)
        if live is not None:
            live.scope.cancel()
            await live.ended.wait()

    async def _run(self, live: _Live, work: Call) -> None:
        async def elicit(params: ElicitRequestParams) -> ElicitResult:
            asked = params.model_dump(by_alias=True, mode="json", exclude_none=True)
            answers = await self._ask(live, {"": {"method": "elicitation/create", "params": asked}})
            return ElicitResult.model_validate(answers[""])

        async def progress(done: float, total: float | None, message: str | None) -> None:
            share = f"{done:g} of {total:g}" if total else f"{done:g}"
            live.message = f"{message} ({share})" if message else share

        status, outcome = "cancelled", {}
        with live.scope:
            asking.set(elicit)
            try:
                status, outcome = "completed", {"result": await self._to_end(live, work, elicit, progress)}
            except HomeportError as error:
                status, outcome = "failed", {"error": {"code": -32603, "message": str(error)}}
            except Exception as error:  # the boundary of a call: a bug fails this task and nothing else
                logger.exception("the call of task %s failed", live.id)
                message = f"The call failed in a way nobody foresaw ({type(error).__name__})."
                status, outcome = "failed", {"error": {"code": -32603, "message": message}}
        live.outcome = {"status": status, **outcome}
        with anyio.CancelScope(shield=True):
            if live.stored:
                await self._end(live)
        live.ended.set()

    async def _to_end(self, live: _Live, work: Call, elicit: Elicit, progress: Progress) -> dict[str, Any]:
        """Make a call, answering what its server asks on the way."""
        extra: dict[str, Any] = {}
        for _ in range(MOST_ROUNDS):
            result = await work(elicit, progress, extra)
            if result.get("resultType") != ASKS:
                return {name: value for name, value in result.items() if name != "resultType"}
            if live.asks_first and not live.stored:
                return result
            answers = await self._ask(live, result.get("inputRequests") or {})
            extra = {"inputResponses": answers, "requestState": result.get("requestState")}
        raise HomeportError("limit", f"The tool asked more than {MOST_ROUNDS} times.", "Call it with all it needs.")

    async def _ask(self, live: _Live, requests: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        keys = {secrets.token_hex(8): name for name in requests}  # unlike all keys before, as the extension wants
        live.questions |= {key: requests[name] for key, name in keys.items()}
        while keys.keys() & live.questions.keys():
            if live.answered.is_set():  # else another question waits for it, too
                live.answered = anyio.Event()
            await live.answered.wait()
        return {name: live.answers.pop(key) for key, name in keys.items()}

    async def _store(self, live: _Live) -> dict[str, Any]:
        now = iso(self._clock.now())
        row = {"id": live.id, "owner": live.owner, "host": self._host, "status": "working", "created": now}
        with anyio.CancelScope(shield=True):
            over, live.stored = live.ended.is_set(), True
            await self._database.write(lambda c: c.execute(insert(call_tasks).values(**row, updated=now)))
            if over:  # it failed before it became a task
                await self._end(live)
        return {"resultType": "task", **_shown(live.id, {**row, "updated": now})}

    async def _end(self, live: _Live) -> None:
        change = update(call_tasks).where(call_tasks.c.id == live.id)
        change = change.values(updated=iso(self._clock.now()), **(live.outcome or {}))
        await self._database.write(lambda connection: connection.execute(change))
        self._live.pop(live.id, None)

    async def _row(self, owner: str, task: str) -> dict[str, Any]:
        query = select(call_tasks).where(call_tasks.c.id == task, call_tasks.c.owner == owner)
        row = await self._database.read(lambda connection: connection.execute(query).mappings().first())
        if row is None:
            raise HomeportError("not_found", f"There is no task {task[:64]!r}.", "It ended long ago, or is not yours.")
        return dict(row)


def _shown(task: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "taskId": task,
        "status": row["status"],
        "createdAt": row["created"],
        "lastUpdatedAt": row["updated"],
        "ttlMs": int(KEEP.total_seconds() * 1000),
        "pollIntervalMs": POLL_MS,
    }
