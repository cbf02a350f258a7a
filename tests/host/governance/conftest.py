"""A dispatcher over a few scripted tools, with real stores."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from homeport_host.database import Database
from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Caller, Label, Tool
from homeport_host.governance.dispatch import Dispatcher
from homeport_host.governance.ledger import Ledger
from homeport_host.governance.pins import Pins
from homeport_host.governance.stages import Pending
from homeport_host.governance.taint import Taints
from homeport_shared.audit import Entry
from homeport_shared.changes import ChangeBus
from homeport_shared.errors import HomeportError


def tool(name: str, *labels: Label, **definition: Any) -> Tool:
    server, own = name.split("__")
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    return Tool(name, server, own, {"name": own, "inputSchema": schema, **definition}, frozenset(labels))


TOOLS = [
    tool("files__read", "read-only", "reads-private", "untrusted-content"),
    tool("files__write", "can-be-taken-back"),
    tool("mail__send", "outward"),
    tool("homeport__decide_approval", "person-only"),
    tool("web__put", "outward", annotations={"idempotentHint": True}),
]


@dataclass
class World:
    """The servers as an external ledger of effects: what really happened, in order."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=lambda: {"content": [{"type": "text", "text": "done"}]})
    dies: HomeportError | None = None
    offered: list[Tool] = field(default_factory=lambda: list(TOOLS))

    def tools(self) -> Iterable[Tool]:
        return self.offered

    def tool(self, name: str) -> Tool | None:
        return next((t for t in self.offered if t.name == name), None)

    def replace(self, name: str, **changes: Any) -> Tool:
        """Let a server say something else of one of its tools."""
        old = self.tool(name)
        assert old
        new = Tool(old.name, old.server, old.own, {**old.definition, **changes}, old.labels)
        self.offered[self.offered.index(old)] = new
        return new

    async def call_tool(self, call: Pending) -> dict[str, Any]:
        self.calls.append((call.tool.name, call.arguments))
        if self.dies:
            raise self.dies
        return self.answer

    async def read_resource(self, uri: str, caller: Caller, meta: Mapping[str, Any]) -> dict[str, Any]:
        return {"contents": [{"uri": uri, "text": str(dict(meta))}]}

    async def get_prompt(self, name: str, arguments: Any, caller: Caller, meta: Any, extra: Any) -> dict[str, Any]:
        return {"messages": []}

    def reads_own_things(self, uri: str) -> bool:
        return uri.startswith("homeport:")

    async def complete(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        return {"completion": {"values": ["Ada"]}}

    def labels_at(self, uri: str) -> tuple[str, frozenset[Label]]:
        server = uri.partition(":")[0]
        return ("homeport", frozenset({"person-only"})) if server == "approval" else (server, frozenset())

    def server_of_prompt(self, name: str) -> str:
        return name.partition("__")[0]

    def shows_all(self, exposure: str) -> bool:
        return exposure == "all"

    def shows(self, exposure: str, tool: Tool) -> bool:
        return exposure == "all" or tool.server == exposure.removeprefix("profile:")


@dataclass
class Setup:
    dispatcher: Dispatcher
    world: World
    approvals: Approvals
    ledger: Ledger
    rows: list[tuple[Entry, bool]]
    pins: Pins


@asynccontextmanager
async def opened(place: Any, world: World, secrets: list[str]) -> AsyncGenerator[Setup]:
    database = Database(place.database)
    await database.open()
    rows: list[tuple[Entry, bool]] = []

    async def record(entry: Entry, durable: bool) -> None:
        rows.append((entry, durable))

    approvals, ledger, pins = (
        Approvals(database, ChangeBus()),
        Ledger(database),
        Pins(database, lambda server: server == "mail"),
    )
    dispatcher = Dispatcher(
        world,
        world,
        approvals=approvals,
        taints=Taints(database),
        pins=pins,
        ledger=ledger,
        record=record,
        secrets=lambda: secrets,
    )
    await pins.compare("mail", [t.definition for t in TOOLS if t.server == "mail"])
    yield Setup(dispatcher, world, approvals, ledger, rows, pins)
    await database.aclose()


@pytest.fixture
async def setup(place: Any, anyio_backend: str) -> AsyncGenerator[Setup]:
    async with opened(place, World(), ["canary-secret-value"]) as made:
        yield made
