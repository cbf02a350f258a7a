"""A small host for the pages' tests: a real MCP server with the host's tools and resources, and answers by script."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.types import Tool
from pydantic import BaseModel, ConfigDict

from homeport_files.server import build_server as files_server
from homeport_rag.server import build_server as rag_server
from homeport_scheduler.server import build_server as scheduler_server
from homeport_shared.context import ServerContext, open_context
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server
from homeport_shared.views import SHOWS_VIEWS

ANSWER = """The lease ends on **30 June 2027** [1]. You may give notice three months before [2].

| Clause | Term |
|---|---|
| 4.1 | 24 months |
| 4.3 | 3 months' notice |

```python
def notice(end):
    return end - timedelta(days=92)  # three months
```
"""
STEP = 0.005


class Anything(BaseModel):
    """A result with any fields."""

    model_config = ConfigDict(extra="allow")


def now() -> str:
    """Return this moment as RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class World:
    """Everything the double keeps; tests change it and look at it."""

    context: ServerContext
    mode: str = "LOCAL"
    model: str = "ollama/qwen3:8b"
    answer: str = ANSWER
    fail: dict[str, HomeportError] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    chats: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stops: dict[str, anyio.CancelScope] = field(default_factory=dict)
    approvals: dict[str, dict[str, Any]] = field(default_factory=dict)
    decided: dict[str, anyio.Event] = field(default_factory=dict)
    setup: dict[str, Any] = field(default_factory=lambda: {"done": True, "step": "model", "folders": []})
    ask_before: str = ""
    gate: anyio.Event | None = None
    step: float = STEP
    upstreams: dict[str, Client] = field(default_factory=dict)

    async def event(self, run: str, kind: str, **data: Any) -> None:
        """Add an event to a run and tell who listens."""
        log = self.events[run]
        log.append({"seq": len(log) + 1, "at": now(), "kind": kind, "data": data})
        await self.context.changes.updated(f"run://{run}/events")

    async def touch(self, *uris: str) -> None:
        """Say that resources changed."""
        await self.context.changes.updated(*uris)

    def chat(self, key: str) -> dict[str, Any]:
        """Return a session or say that there is none."""
        if key not in self.chats:
            raise HomeportError("not_found", f"There is no chat {key}.", "Open one of the list.")
        return self.chats[key]

    def new_chat(self, title: str = "", **more: Any) -> dict[str, Any]:
        """Make a session."""
        key = f"c{len(self.chats) + 1:03}"
        made = {
            "id": key,
            "title": title,
            "agent": "",
            "model": "",
            "archived": False,
            "created": now(),
            "updated": now(),
            "running_run": "",
            "messages": [],
        }
        self.chats[key] = {**made, **more}
        return self.chats[key]

    def message(self, chat: dict[str, Any], role: str, text: str, **more: Any) -> dict[str, Any]:
        """Append a message to a session."""
        made = {
            "id": f"{chat['id']}m{len(chat['messages']) + 1}",
            "role": role,
            "text": text,
            "created": now(),
            "run_id": "",
            "state": "done",
            "error": None,
            "calls": [],
            "citations": [],
            "model": "",
            "provider": "",
            "usage": None,
            "attachments": [],
        }
        made |= more
        chat["messages"].append(made)
        return made

    async def begin(self, chat: dict[str, Any]) -> dict[str, Any]:
        """Start an answer in `chat`."""
        run = f"r{len(self.events) + 1:03}"
        self.events[run] = []
        message = self.message(chat, "assistant", "", run_id=run, state="running", model=chat["model"] or self.model)
        chat["running_run"], chat["updated"] = run, now()
        await self.touch(f"chat://sessions/{chat['id']}", "chat://sessions", "run://recent", "homeport://status")
        self.context.tasks.start_soon(self._answer, chat, message, run)
        return {"session_id": chat["id"], "message_id": message["id"], "run_id": run}

    async def _answer(self, chat: dict[str, Any], message: dict[str, Any], run: str) -> None:
        scope = self.stops[run] = anyio.CancelScope()
        with scope:
            await self._script(message, run)
        if scope.cancelled_caught:
            message["state"] = "stopped"
        chat["running_run"] = ""
        await self.event(
            run,
            "done",
            status=message["state"],
            answer=message["text"],
            citations=message["citations"],
            usage=message["usage"],
            error=message["error"],
        )
        await self.touch(f"chat://sessions/{chat['id']}", "chat://sessions", "run://recent", "homeport://status")

    async def _script(self, message: dict[str, Any], run: str) -> None:
        if error := self.fail.get("model"):
            message |= {"state": "failed", "error": error.as_dict()}
            return
        call = {
            "id": f"{run}t1",
            "tool": "rag__search",
            "server": "rag",
            "arguments": {"query": "lease"},
            "state": "running",
            "result_text": "",
            "error": "",
            "milliseconds": 0,
            "approval_id": "",
        }
        message["calls"].append(call)
        await self.event(run, "call", **call)
        await anyio.sleep(self.step)
        call |= {"state": "ok", "result_text": "2 passages", "milliseconds": 12.4}
        await self.event(run, "call", **call)
        if self.ask_before:
            await self._ask(message, run)
        for at in range(0, len(self.answer), 24):
            if self.gate is not None and at > len(self.answer) / 2:
                await self.gate.wait()
            piece = self.answer[at : at + 24]
            message["text"] += piece
            await self.event(run, "text", text=piece, message_id=message["id"])
            await anyio.sleep(self.step)
        message |= {
            "state": "done",
            "usage": {"prompt_tokens": 812, "completion_tokens": 96, "usd": 0.0, "seconds": 2.31},
            "citations": [
                {
                    "n": 1,
                    "title": "lease.pdf",
                    "uri": "files://documents/lease.pdf",
                    "place": "page 3",
                    "document_id": "d1",
                    "chunk_id": "1",
                    "text": "The lease runs until 30 June 2027.",
                },
                {
                    "n": 2,
                    "title": "lease.pdf",
                    "uri": "files://documents/lease.pdf",
                    "place": "page 4",
                    "document_id": "d1",
                    "chunk_id": "2",
                    "text": "Notice: three months before the end.",
                },
            ],
        }

    async def _ask(self, message: dict[str, Any], run: str) -> None:
        approval = self.new_approval(self.ask_before)
        call = {
            "id": f"{run}t2",
            "tool": self.ask_before,
            "server": self.ask_before.partition("__")[0],
            "arguments": approval["arguments"],
            "state": "waiting",
            "result_text": "",
            "error": "",
            "milliseconds": 0,
            "approval_id": approval["id"],
        }
        message["calls"].append(call)
        await self.event(run, "call", **call)
        await self.event(
            run,
            "approval",
            approval_id=approval["id"],
            tool=call["tool"],
            arguments=call["arguments"],
            reason=approval["reason"],
        )
        await self.touch("approval://pending", "homeport://status")
        await self.decided[approval["id"]].wait()
        call["state"] = "ok" if approval["state"] == "approved" else "denied"
        await self.event(run, "call", **call)

    def new_approval(self, tool: str, **more: Any) -> dict[str, Any]:
        """Let an action wait for a person."""
        key = f"a{len(self.approvals) + 1:03}"
        made = {
            "id": key,
            "tool": tool,
            "server": tool.partition("__")[0],
            "arguments": {"path": "documents/old.txt"},
            "digest": "0",
            "caller": "agent assistant",
            "run": "",
            "reason": "It deletes something.",
            "created": now(),
            "expires": now(),
            "state": "pending",
        }
        self.approvals[key] = {**made, **more}
        self.decided[key] = anyio.Event()
        return self.approvals[key]

    def status(self) -> dict[str, Any]:
        """Return what `homeport://status` holds."""
        running = [chat for chat in self.chats.values() if chat["running_run"]]
        waiting = [item for item in self.approvals.values() if item["state"] == "pending"]
        return {
            "version": "0.1.0",
            "home": "/home/ada/.homeport",
            "mode": self.mode,
            "default_model": self.model,
            "servers": {"ready": 3, "down": 0},
            "runs": {"running": len(running), "waiting": 0},
            "approvals": len(waiting),
            "documents": {"count": 4, "indexing": 0},
            "last_errors": [],
            "uptime_seconds": 12.0,
            "url": "",
        }


class Composed(Server):
    """The host's tools together with those of real servers, under `server__tool` as the gateway names them."""

    upstreams: dict[str, Client]

    async def list_tools(self) -> list[Tool]:
        """List all tools."""
        own = await super().list_tools()
        for name, client in self.upstreams.items():
            listed = await client.list_tools()
            own += [tool.model_copy(update={"name": f"{name}__{tool.name}"}) for tool in listed.tools]
        return own

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool where it lives."""
        server, _, tool = name.partition("__")
        if server in self.upstreams:
            return await self.upstreams[server].call_tool(tool, arguments)
        return await super().call_tool(name, arguments, context)

    async def read_resource(self, uri: Any, context: Any = None) -> Any:
        """Read a resource where it lives."""
        scheme, _, rest = str(uri).partition("://")
        server = rest.partition("/")[0] if scheme == "ui" else scheme
        if server in self.upstreams:
            found = (await self.upstreams[server].read_resource(str(uri))).contents[0]
            return [ReadResourceContents(content=found.text, mime_type=found.mime_type)]
        return await super().read_resource(uri, context)


def build_host(context: ServerContext, upstreams: dict[str, Client]) -> tuple[Server, World]:
    """Make the server and the world behind it."""
    server = Composed(context, title="Homeport", instructions="The host's tools.")
    server.upstreams = upstreams
    world = World(context)
    _resources(server, world)
    _chat_tools(server, world)
    _other_tools(server, world)
    return server, world


def _resources(server: Server, world: World) -> None:
    @server.resource("homeport://status", mime_type="application/json")
    async def status() -> str:
        if error := world.fail.get("status"):
            raise error
        return json.dumps(world.status())

    @server.resource("homeport://mode", mime_type="application/json")
    async def mode() -> str:
        if error := world.fail.get("status"):
            raise error
        return json.dumps({"mode": world.mode, "default": world.model})

    @server.resource("approval://pending", mime_type="application/json")
    async def pending() -> str:
        return json.dumps({"approvals": [item for item in world.approvals.values() if item["state"] == "pending"]})

    @server.resource("notifications://recent", mime_type="application/json")
    async def notifications() -> str:
        return json.dumps({"notifications": [], "unread": 0})

    @server.resource("homeport://setup", mime_type="application/json")
    async def setup() -> str:
        return json.dumps(world.setup)


def _chat_tools(server: Server, world: World) -> None:
    def public(chat: dict[str, Any], *, whole: bool = False) -> Anything:
        return Anything(**{k: v for k, v in chat.items() if whole or k != "messages"})

    @server.tool()
    async def homeport__chat_send(
        text: str, session_id: str = "", agent: str = "", model: str = "", attachments: list[str] | None = None
    ) -> Anything:
        world.calls.append(("chat_send", {"text": text, "model": model, "attachments": attachments}))
        if error := world.fail.get("chat_send"):
            raise error
        chat = world.chat(session_id) if session_id else world.new_chat(text[:60], model=model)
        world.message(chat, "user", text, attachments=[{"reference": r, "title": r} for r in attachments or []])
        return Anything(**await world.begin(chat))

    @server.tool()
    async def homeport__chat_stop(session_id: str) -> Anything:
        world.stops[world.chat(session_id)["running_run"]].cancel()
        return Anything(stopped=True)

    @server.tool()
    async def homeport__chat_regenerate(session_id: str) -> Anything:
        chat = world.chat(session_id)
        chat["messages"].pop()
        return Anything(**await world.begin(chat))

    @server.tool()
    async def homeport__chat_update(
        session_id: str, title: str | None = None, archived: bool | None = None, model: str | None = None
    ) -> Anything:
        given = {"title": title, "archived": archived, "model": model}
        world.chat(session_id).update({k: v for k, v in given.items() if v is not None})
        await world.touch("chat://sessions", f"chat://sessions/{session_id}")
        return public(world.chat(session_id))

    @server.tool()
    async def homeport__chat_duplicate(session_id: str) -> Anything:
        chat = world.chat(session_id)
        copy = world.new_chat(f"{chat['title']} (copy)", messages=list(chat["messages"]))
        await world.touch("chat://sessions")
        return public(copy)

    @server.tool()
    async def homeport__chat_delete(session_id: str, confirm: str) -> Anything:
        if confirm != world.chat(session_id)["title"]:
            raise HomeportError("invalid", "confirm does not repeat the title.")
        del world.chats[session_id]
        await world.touch("chat://sessions")
        return Anything(deleted=session_id)

    @server.tool()
    async def homeport__chat_attach(session_id: str, name: str, base64: str = "") -> Anything:
        chat = world.chat(session_id) if session_id else world.new_chat(name)
        world.calls.append(("chat_attach", {"name": name, "base64": base64}))
        return Anything(reference=f"ref-{name}", title=name, session_id=chat["id"])

    @server.tool()
    async def homeport__list_chats(archived: bool = False, query: str = "", limit: int = 50) -> Anything:
        found = [c for c in world.chats.values() if c["archived"] == archived and query.lower() in c["title"].lower()]
        found.sort(key=lambda c: c["updated"], reverse=True)
        return Anything(chats=[public(c).model_dump() for c in found[:limit]], next="")

    @server.tool()
    async def homeport__get_chat(session_id: str) -> Anything:
        return public(world.chat(session_id), whole=True)

    @server.tool()
    async def homeport__run_events(run_id: str, after: int = 0, limit: int = 500) -> Anything:
        events = [event for event in world.events[run_id] if event["seq"] > after][:limit]
        done = bool(world.events[run_id]) and world.events[run_id][-1]["kind"] == "done"
        return Anything(events=events, next=after + len(events), state="completed" if done else "running")

    @server.tool()
    async def homeport__run_start(
        prompt: str, tools: list[str] | None = None, interactive: bool = True, idempotency_key: str = ""
    ) -> Anything:
        world.calls.append(("run_start", {"prompt": prompt, "tools": tools}))
        return Anything(run_id="r900")

    @server.tool()
    async def homeport__run_get(run_id: str) -> Anything:
        return Anything(id=run_id, state="completed", answer=world.answer, error=None)

    @server.tool()
    async def homeport__list_runs(limit: int = 20) -> Anything:
        runs = [
            {
                "id": m["run_id"],
                "kind": "chat",
                "agent": "assistant",
                "model": m["model"],
                "prompt": c["messages"][i - 1]["text"],
                "title": c["messages"][i - 1]["text"][:80],
                "state": {"done": "completed", "stopped": "cancelled"}.get(m["state"], m["state"]),
                "created": m["created"],
                "session_id": c["id"],
            }
            for c in world.chats.values()
            for i, m in enumerate(c["messages"])
            if m["run_id"]
        ]
        return Anything(runs=runs[::-1][:limit], next="")


def _other_tools(server: Server, world: World) -> None:
    mcp = server

    @server.tool()
    async def homeport__list_approvals(state: str = "pending") -> Anything:
        return Anything(approvals=[item for item in world.approvals.values() if item["state"] == state], next="")

    @server.tool()
    async def homeport__decide_approval(
        approval_id: str, approve: bool, remember: str = "once", note: str = ""
    ) -> Anything:
        item = world.approvals[approval_id]
        item["state"] = "approved" if approve else "denied"
        world.calls.append(("decide_approval", {"id": approval_id, "approve": approve, "remember": remember}))
        world.decided[approval_id].set()
        await world.touch("approval://pending", "homeport://status")
        return Anything(**item)

    @server.tool()
    async def homeport__list_servers() -> Anything:
        names = [("files", "Files", "ready"), ("rag", "Knowledge", "ready"), ("clock", "Clock", "ready")]
        return Anything(
            servers=[
                {
                    "name": n,
                    "title": t,
                    "kind": "in-process",
                    "state": s,
                    "reason": "",
                    "tools": 3,
                    "resources": 2,
                    "prompts": 0,
                    "view": "",
                    "protocol": "2026-07-28",
                    "since": now(),
                }
                for n, t, s in names
            ]
        )

    @server.tool()
    async def homeport__list_tools(query: str = "", server: str = "") -> Anything:
        listed = [t for t in await mcp.list_tools() if t.name.startswith(server)]
        tools = [t for t in listed if query.lower() in f"{t.name} {t.title} {t.description}".lower()]
        rows = [
            {
                "name": t.name,
                "server": t.name.partition("__")[0],
                "title": t.title or t.name.partition("__")[2].replace("_", " ").capitalize(),
                "description": t.description or "",
                "input_schema": t.input_schema,
                "labels": [],
                "state": "ready",
                "last_used": "",
            }
            for t in tools
        ]
        return Anything(tools=rows)

    @server.tool()
    async def homeport__list_models(query: str = "") -> Anything:
        return Anything(
            models=[{"name": name} for name in ("ollama/qwen3:8b", "ollama/llama3.2:3b", "openrouter/z-ai/glm-5")],
            downloads=[],
        )

    @server.tool()
    async def homeport__set_model(name: str, agent: str = "", session_id: str = "") -> Anything:
        if session_id:
            world.chat(session_id)["model"] = name
        else:
            world.model = name
        await world.touch("homeport://status", "homeport://setup")
        return Anything(model=name)

    @server.tool()
    async def homeport__set_mode(mode: str) -> Anything:
        world.mode = mode
        await world.touch("homeport://mode", "homeport://status")
        return Anything(mode=mode)

    @server.tool()
    async def homeport__add_folder(path: str, collection: str = "default", watch: bool = False) -> Anything:
        if not path.startswith("/"):
            raise HomeportError("not_found", f"There is no folder {path}.", "Check the spelling.")
        world.setup["folders"].append(path)
        await world.touch("homeport://setup", "homeport://status")
        return Anything(root=path, job_id="j1")

    @server.tool()
    async def homeport__get_setup() -> Anything:
        return Anything(
            recommendation={
                "name": "qwen3:8b",
                "size_bytes": 5_200_000_000,
                "reason": "This machine has 16 GiB of memory; qwen3:8b runs well in it.",
            },
            model={"default": world.model},
            **world.setup,
        )

    @server.tool()
    async def homeport__finish_setup(skipped: bool = False) -> Anything:
        world.setup["done"] = True
        return Anything(done=True)

    @server.tool(title="What time is it", description="Tell the time in a zone.")
    async def clock__now(zone: str = "UTC", lines: int = 1) -> Anything:
        return Anything(zone=zone, rows=[{"zone": zone, "line": n + 1, "note": world.answer} for n in range(lines)])

    @server.tool(title="Wipe the clock", description="Forget the time; cannot be taken back.")
    async def clock__wipe(confirm: str) -> Anything:
        approved = [item for item in world.approvals.values() if item["state"] == "approved"]
        if not approved:
            world.new_approval("clock__wipe", title="Wipe the clock", arguments={"confirm": confirm})
            raise HomeportError("approval_required", "Wiping needs your approval.", "Decide it under Approvals.")
        return Anything(wiped=True)


class Neighbours:
    """What the host gives a server to call the others with."""

    there = True

    def __init__(self, upstreams: dict[str, Client]) -> None:
        self.upstreams = upstreams
        self.own: Any = None

    async def call(self, tool: str, arguments: Any) -> dict[str, Any]:
        """Call a tool of another server."""
        server, _, name = tool.partition("__")
        client, name = (self.own, tool) if server == "homeport" else (self.upstreams[server], name)
        result = await client.call_tool(name, dict(arguments))
        if result.is_error:
            raise HomeportError.from_dict(result.meta["io.homeport/error"])
        return result.structured_content


@asynccontextmanager
async def _upstream(
    name: str, build: Any, home: Path, flags: dict[str, Any], host: ServerContext, neighbours: Any
) -> AsyncGenerator[Client]:
    async with open_context(name, home=home, flags=flags, in_process=True, neighbours=neighbours) as context:
        context.changes.subscribe(lambda event: host.tasks.start_soon(host.changes.publish, event))
        async with Client(build(context), extensions=[SHOWS_VIEWS]) as client:
            yield client


@asynccontextmanager
async def serving_host(home: Path, folder: Path | None = None) -> AsyncGenerator[tuple[Any, World]]:
    """Yield `connect` for the dashboard, and the world; with a folder, the real files and knowledge servers hold it."""
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(open_context("homeport", home=home, in_process=True))
        upstreams: dict[str, Client] = {}
        neighbours = Neighbours(upstreams)
        for name, build, flags in (
            [
                ("files", files_server, {"roots": [str(folder)]}),
                ("rag", rag_server, {}),
                ("scheduler", scheduler_server, {"time_zone": "UTC"}),
            ]
            if folder
            else []
        ):
            upstreams[name] = await stack.enter_async_context(_upstream(name, build, home, flags, context, neighbours))
        server, world = build_host(context, upstreams)
        world.upstreams = upstreams
        neighbours.own = await stack.enter_async_context(Client(server, extensions=[SHOWS_VIEWS]))

        @asynccontextmanager
        async def connect() -> AsyncGenerator[Client]:
            async with Client(server, extensions=[SHOWS_VIEWS]) as client:
                yield client

        yield connect, world
