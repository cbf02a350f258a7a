"""A host's agent layer with real parts; only the model's words and the tools' work are scripted."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE
from tests.postgres import Postgres

from homeport_host.agents.admission import Admission
from homeport_host.agents.definition import AgentFolder
from homeport_host.agents.loop import AgentLoop
from homeport_host.agents.messages import Messages
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import Run, RunEvent, RunStore
from homeport_host.agents.service import KIND, Runs
from homeport_host.agents.steering import Steering
from homeport_host.agents.turns import Parts
from homeport_host.chat.attach import Attaching
from homeport_host.chat.service import Chats
from homeport_host.chat.store import ChatStore, Message
from homeport_host.database import Database
from homeport_host.dialects import Where, parse
from homeport_host.engine import system
from homeport_host.engine.dbos import DbosEngine
from homeport_host.engine.protocol import FINAL
from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Caller, Tool
from homeport_host.governance.dispatch import Dispatcher
from homeport_host.governance.ledger import Ledger
from homeport_host.governance.pins import Pins
from homeport_host.governance.stages import Pending
from homeport_host.governance.taint import Taints
from homeport_host.providers.protocol import (
    ModelAnswer,
    ModelInfo,
    ModelRequest,
    ProviderError,
    TextDelta,
    ToolCall,
    Usage,
)
from homeport_host.tasks.details import Details
from homeport_host.tasks.plans import Planning
from homeport_host.tasks.serverjobs import ServerJobs
from homeport_host.tasks.service import Tasks
from homeport_host.workflows.body import WorkflowBody
from homeport_host.workflows.journal import Journal
from homeport_host.workflows.library import WorkflowLibrary
from homeport_host.workflows.means import Means
from homeport_host.workflows.service import Workflows
from homeport_host.workflows.store import WorkflowStore
from homeport_host.workflows.task import KIND as WORKFLOW
from homeport_shared.audit import Entry
from homeport_shared.changes import ChangeBus
from homeport_shared.errors import HomeportError
from homeport_shared.identity import ERROR

Reply = str | ModelAnswer | ProviderError | Callable[[ModelRequest], Any]


class Scripted:
    """A model that says what the test wrote, one reply after the other; the last one for ever."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self.replies = list(replies)
        self.requests: list[ModelRequest] = []
        self.context_length = 32_768
        self.endless = False

    async def describe(self, name: str) -> ModelInfo:
        return ModelInfo(name, self.context_length)

    async def stream(self, name: str, request: ModelRequest, *, who: Any) -> AsyncGenerator[Any]:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(reply) and not isinstance(reply, BaseException):
            reply = reply(request)
            if isinstance(reply, Awaitable):
                reply = await reply
        if isinstance(reply, ProviderError):
            yield TextDelta("half an ans")
            raise reply
        answer = answer_of(reply) if isinstance(reply, str) else reply
        for word in answer.text.split(" "):
            yield TextDelta(word + " ")
        if self.endless:
            await anyio.sleep_forever()
        yield answer


def answer_of(text: str = "", *calls: ToolCall, **fields: Any) -> ModelAnswer:
    finish = fields.pop("finish", "tool_calls" if calls else "stop")
    return ModelAnswer(text, finish, calls=calls, usage=Usage(10, 5), model="scripted:1", provider="test", **fields)


def call_of(name: str, arguments: dict[str, Any] | None = None, raw: str = "", id: str = "call_1") -> ToolCall:
    return ToolCall(id, name, arguments if not raw else None, raw)


class Desk:
    """Tools that are Python functions, behind the real dispatch path."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._work: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.with_progress: dict[str, Callable[..., Any]] = {}

    def add(self, name: str, work: Callable[..., Any], /, *labels: str, **properties: Any) -> None:
        server, _, own = name.partition("__")
        schema = {"type": "object", "properties": properties, "required": sorted(properties)}
        definition = {"name": own, "description": work.__doc__ or own, "inputSchema": schema}
        self._tools[name] = Tool(name, server, own, definition, frozenset(labels or {"read-only"}))  # type: ignore[arg-type]
        self._work[name] = work

    async def ready(self, seconds: float) -> None:
        """Wait for servers that are starting; there are none."""

    def tools(self) -> Iterable[Tool]:
        return list(self._tools.values())

    def tool(self, name: str) -> Tool | None:
        return self._tools.get(name)

    async def call_tool(self, call: Pending) -> dict[str, Any]:
        self.calls.append((call.tool.name, call.arguments))
        if call.tool.name in self.with_progress:
            result = self.with_progress[call.tool.name](call.progress)
        else:
            result = self._work[call.tool.name](**call.arguments)
        if isinstance(result, Awaitable):
            result = await result
        if isinstance(result, dict) and "content" in result:
            return result
        text = result if isinstance(result, str) else json.dumps(result)
        structured = result if isinstance(result, dict) else {"result": result}
        return {"content": [{"type": "text", "text": text}], "structuredContent": structured}

    async def read_resource(self, uri: str, caller: Caller, meta: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def get_prompt(self, *_: Any) -> dict[str, Any]:
        raise NotImplementedError

    def reads_own_things(self, uri: str) -> bool:
        return False

    async def complete(self, *_: Any) -> dict[str, Any]:
        raise NotImplementedError

    def labels_at(self, uri: str) -> tuple[str, frozenset[Any]]:
        return "", frozenset()

    def server_of_prompt(self, name: str) -> str:
        return ""

    def shows(self, exposure: str, tool: Tool) -> bool:
        return True

    def shows_all(self, exposure: str) -> bool:
        return True


class Stage:
    """The agent layer of one host."""

    def __init__(
        self, home: Path, place: Place, tasks: anyio.abc.TaskGroup, database: Database, model: Scripted, desk: Desk
    ) -> None:
        self.model, self.desk, self.database = model, desk, database
        self.changes = ChangeBus()
        self.approvals = Approvals(database, self.changes)
        self.audit: list[Entry] = []
        self.loaded: list[ModelInfo] = []
        self.dispatcher = Dispatcher(
            desk,
            desk,
            approvals=self.approvals,
            taints=Taints(database),
            pins=Pins(database, lambda _: False),
            ledger=Ledger(database),
            record=self._record,
        )
        self.engine = DbosEngine(place.engine, database, tasks)
        self.store = RunStore(database)
        self.recorder = Recorder(tasks, self.store, self.changes)
        self.admission = Admission({"job": 1})
        self.agents = AgentFolder(home / "agents")
        messages = Messages(database, self.store.clock)
        parts = Parts(
            model, self.dispatcher, self.store, self.recorder, desk.ready, self.admission, self.agents, messages
        )
        self.loop = AgentLoop(parts)
        self.runs = Runs(self.engine, self.store, self.recorder, self.admission, self.agents, lambda: "test/scripted:1")
        self.steering = Steering(self.runs, self.engine, self.store, self.recorder, self.admission)
        self.engine.register(KIND, self.loop)
        self._workflows(desk)
        attaching = Attaching(self.as_person, home / "attachments")
        self.chats = Chats(ChatStore(database), self.runs, attaching, self.changes)
        self.loop.on_done.append(self.chats.ended)
        self.runs.on_cancelled.append(self.chats.ended)
        self.approvals.on_decided.append(self.runs.decided)

    def _workflows(self, desk: Desk) -> None:
        journal = Journal(self.database)
        details = Details(
            self.store,
            self.engine,
            journal,
            self.recorder.doing.get,
            self.as_person,
            lambda: desk.tool("files__changes") is not None,
            self._loaded,
        )
        jobs = ServerJobs(desk.tools, self.as_person, self.store.clock)
        planning = Planning(self.runs, desk.tools, self.as_person)
        self.tasks = Tasks(self.store, details, jobs, planning, self.as_person)
        library = WorkflowLibrary(WorkflowStore(self.database), desk, self.agents, self.changes, lambda key: False)
        means = Means(self.loop._parts, self.engine, self.approvals, self.runs, journal, library.known)
        self.engine.register(WORKFLOW, WorkflowBody(means))
        self.workflows = Workflows(library, self.engine, self.runs, journal, means)
        self.steering.repeat[WORKFLOW] = self.workflows.repeat

    async def _loaded(self) -> list[ModelInfo]:
        return self.loaded

    async def _record(self, entry: Entry, durable: bool) -> None:
        self.audit.append(entry)

    async def as_person(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self.dispatcher.call_tool(Caller("person", "tester"), name, arguments)
        if result.get("isError"):
            raise HomeportError.from_dict(result["_meta"][ERROR], f"{name} failed")
        return result["structuredContent"]

    async def answered(self, session: str) -> list[Message]:
        """Wait until no answer is being written in a chat, and return its messages."""
        with anyio.fail_after(PATIENCE):
            while True:
                _, running, messages = await self.chats.get(session)
                if not running:
                    return messages
                await anyio.sleep(0.01)

    async def ended(self, run: str, *states: str) -> Run:
        """Wait until a run is in one of `states`, or has ended."""
        with anyio.fail_after(PATIENCE):
            while True:
                row = await self.runs.get(run)
                if row.state in (states or FINAL):
                    return row
                await anyio.sleep(0.01)

    async def ask(self, prompt: str, **options: Any) -> Run:
        return await self.ended(await self.runs.start(prompt, **options))

    async def events(self, run: str, kind: str = "") -> list[RunEvent]:
        await self.recorder.drain()
        events, _ = await self.runs.events(run)
        return [event for event in events if not kind or event.kind == kind]


@dataclass
class Place:
    """Where a host keeps its tables and its engine's."""

    database: Where
    engine: Where


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each test that asks for it runs once on each database; the tables are there, and empty."""
    if request.param == "sqlite":
        yield Place(tmp_path / "host.db", tmp_path / "engine.db")
        return
    postgres, name = request.getfixturevalue("postgres"), request.getfixturevalue("template")
    where = parse(postgres.url(name))
    yield Place(where, where)
    postgres.empty(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """As `place`, without any tables."""
    if request.param == "sqlite":
        return Place(tmp_path / "host.db", tmp_path / "engine.db")
    postgres = request.getfixturevalue("postgres")
    where = parse(postgres.url(postgres.new()))
    return Place(where, where)


@pytest.fixture(autouse=True)
def quick_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let DBOS look every 20 ms whether it is stopped, not every second: tests stop it often."""
    configured = system.configuration

    def quick(where: Where, worker: str) -> Any:
        return {**configured(where, worker), "notification_listener_polling_interval_sec": 0.02}

    monkeypatch.setattr(system, "configuration", quick)


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A PostgreSQL database with all tables, used again and again: making them takes most of a short test."""
    name = postgres.new()
    where = parse(postgres.url(name))

    async def make() -> None:
        database = Database(where)
        await database.open()
        async with anyio.create_task_group() as tasks:
            engine = DbosEngine(where, database, tasks)
            await engine.steps("none")
            await engine.aclose()
            tasks.cancel_scope.cancel()
        await database.aclose()

    anyio.run(make)
    return name


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def staged(tmp_path: Path, place: Place, desk: Desk) -> Callable[..., AbstractAsyncContextManager[Stage]]:
    """Open the agent layer on a model that gives these replies; again and again on the same folder, as after a stop."""

    @asynccontextmanager
    async def open_stage(*replies: Reply, endless: bool = False) -> AsyncIterator[Stage]:
        database = Database(place.database)
        await database.open()
        async with anyio.create_task_group() as tasks:
            stage = Stage(tmp_path, place, tasks, database, Scripted(replies), desk)
            stage.model.endless = endless
            await stage.engine.launch()
            await stage.chats.recover()
            try:
                yield stage
            finally:
                await stage.engine.aclose()
                await stage.recorder.drain()
                await database.aclose()
                tasks.cancel_scope.cancel()

    return open_stage


@pytest.fixture
def say() -> Callable[..., ModelAnswer]:
    return answer_of


@pytest.fixture
def call() -> Callable[..., ToolCall]:
    return call_of
