"""The host's own server, over MCP: what pages and the command line use."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server import MCPServer
from tests.patience import PATIENCE

from homeport_host.events.bus import EventBus
from homeport_host.events.reactions import Reactions
from homeport_host.events.starting import Starter
from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.config import ServerConfig
from homeport_host.gateway.serverfile import ServerFile
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.providers.configured import providers_for
from homeport_host.providers.pulling import Pulling
from homeport_host.providers.router import Models
from homeport_host.providers.settings import ModelSettings
from homeport_host.providers.usage import UsageStore
from homeport_host.server import build_server
from homeport_host.surface import runs as surface
from homeport_host.surface.servers import Registry
from homeport_host.surface.services import HostServices
from homeport_host.tickets import Tickets
from homeport_host.workflows.scheduling import Schedules
from homeport_shared import identity
from homeport_shared.audit import AuditLog
from homeport_shared.context import ServerContext, open_context
from homeport_shared.testing.model import ModelDouble

pytestmark = pytest.mark.anyio


class HostClient:
    """The host's server and a client of it, with a model double behind it."""

    def __init__(self, client: Client, stage: Any, services: HostServices) -> None:
        self.client = client
        self.stage = stage
        self.services = services

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return result.content[0].text  # type: ignore[union-attr]

    async def read(self, uri: str) -> Any:
        return json.loads((await self.client.read_resource(uri)).contents[0].text)  # type: ignore[union-attr]

    async def ended(self, run: str) -> dict[str, Any]:
        await self.stage.ended(run)
        return await self.call("run_get", run_id=run)


@pytest.fixture
def host(staged: Any, tmp_path: Path) -> Any:
    """Open a host's own server; the double gives these replies."""

    @asynccontextmanager
    async def open_host(*replies: Any) -> AsyncGenerator[HostClient]:
        async with AsyncExitStack() as stack:
            double = await stack.enter_async_context(ModelDouble(list(replies)))
            stage = await stack.enter_async_context(staged("unused"))
            context = await stack.enter_async_context(open_context("homeport", home=tmp_path, in_process=True))
            services = services_of(stage, context, tmp_path, double)
            stack.push_async_callback(services.models.aclose)
            stack.push_async_callback(services.audit.aclose)
            stage.loop._parts.asking._models = stage.loop._parts.models = services.models
            stage.runs._default_model = lambda: services.models.default
            client = await stack.enter_async_context(Client(build_server(context, services)))
            yield HostClient(client, stage, services)

    return open_host


def services_of(stage: Any, context: ServerContext, home: Path, double: ModelDouble) -> HostServices:
    environment = {"OLLAMA_HOST": double.ollama_url, "OPENROUTER_BASE_URL": double.openrouter_url}
    settings = ModelSettings.model_validate({"default": "ollama/qwen3:8b", "mode": "LOCAL"})
    usage = UsageStore(stage.database)
    models = Models(
        providers_for(settings, lambda _: None, environment),
        settings,
        usage,
        admit=stage.dispatcher.admit_model,
        home=home,
    )
    upstreams = Upstreams(context.tasks, home=home)
    registry = Registry(upstreams, Catalog(upstreams), ServerFile(home / "mcp.json"), dict)

    async def add_folder(path: str, collection: str) -> dict[str, Any]:
        return {"root": path, "job_id": ""}

    async def nothing(*_: Any) -> Any:
        return None

    bus = EventBus(context.tasks, stage.database, stage.changes)
    starter: Any = Starter(None, nothing)  # type: ignore[arg-type]
    return HostServices(
        home=home,
        runs=stage.runs,
        run_store=stage.store,
        steering=stage.steering,
        tasks=stage.tasks,
        workflows=stage.workflows,
        schedules=Schedules(stage.workflows.library, nothing, lambda: False),
        agents=stage.agents,
        chats=stage.chats,
        approvals=stage.approvals,
        registry=registry,
        models=models,
        usage=usage,
        events=bus,
        reactions=Reactions(context.tasks, stage.database, bus, stage.changes, starter),
        audit=AuditLog(home / "audit.db"),
        tickets=Tickets(),
        internet=lambda: False,
        set_internet=nothing,
        add_folder=add_folder,
        folders=list,
        keys=nothing,
        documents=nothing,
        pulling=Pulling(context.tasks, models.providers["ollama"].library.pull, lambda: nothing()),
        url=lambda: "http://127.0.0.1:8642",
        uptime=lambda: 1.0,
    )


async def test_a_chat_over_mcp_from_question_to_answer(host: Any) -> None:
    async with host("Ada wrote the first program.") as home:
        sent = await home.call("chat_send", text="Who wrote the first program?")
        run = await home.ended(sent["run_id"])
        assert (run["state"], run["answer"]) == ("completed", "Ada wrote the first program.")
        chat = await home.call("get_chat", session_id=sent["session_id"])
        assert [m["role"] for m in chat["messages"]] == ["user", "assistant"]
        assert chat["messages"][1]["text"] == run["answer"]
        assert await home.read(f"chat://sessions/{sent['session_id']}") == chat
        assert (await home.call("list_chats"))["chats"][0]["id"] == sent["session_id"]


async def test_a_runs_events_are_followed_from_any_point(host: Any) -> None:
    async with host("One two three.") as home:
        run = (await home.call("run_start", prompt="Count"))["run_id"]
        await home.ended(run)
        everything = await home.call("run_events", run_id=run)
        assert everything["events"][-1]["kind"] == "done"
        assert everything["state"] == "completed"
        rest = await home.call("run_events", run_id=run, after=2)
        assert rest["events"] == everything["events"][2:]
        assert (await home.read(f"run://{run}/events/2"))["events"] == rest["events"]
        written = "".join(e["data"]["text"] for e in everything["events"] if e["kind"] == "text")
        assert written.strip() == "One two three."


async def test_a_tool_of_a_server_that_is_still_starting_can_be_allowed(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface, "START_SECONDS", math.inf)
    started = anyio.Event()

    @asynccontextmanager
    async def starting(_: Any) -> AsyncGenerator[None]:
        await started.wait()
        yield

    server = MCPServer("ledger", lifespan=starting)
    server.tool("append")(lambda text: text)
    async with host("Done.") as home, anyio.create_task_group() as tasks:
        config = ServerConfig("ledger", "in-process", build=lambda _: server)
        upstreams = home.services.registry.upstreams
        ledger = upstreams.add(config)

        async def start() -> None:
            await anyio.wait_all_tasks_blocked()  # the run that is asked for waits, too
            assert ledger.state == "starting"
            started.set()

        tasks.start_soon(start)
        person = identity.Identity(caller="person").as_meta()
        asked = {"prompt": "Note it", "yes": ["ledger__append"]}
        run = (await home.client.call_tool("run_start", asked, meta=person)).structured_content
        assert (await home.ended(run["run_id"]))["state"] == "completed"
        mute = MCPServer("mute", lifespan=starting)
        started = anyio.Event()
        upstreams.add(ServerConfig("mute", "in-process", build=lambda _: mute))
        with anyio.fail_after(PATIENCE):  # another server is not waited for
            refused = await home.client.call_tool("run_start", asked | {"yes": ["ledger__add"]}, meta=person)
        assert refused.is_error and "no tool 'ledger__add'" in refused.content[0].text


async def test_tasks_are_tools_and_resources_alike(host: Any) -> None:
    async with host("Done.") as home:
        plan = {"prompt": "Do it", "title": "Doing", "priority": 2}
        assert (await home.call("task_check", plan=plan)) == {"ok": True, "problems": []}
        task = (await home.call("task_create", plan=plan, draft=True))["run_id"]
        assert (await home.call("run_get", run_id=task))["state"] == "paused"
        (row,) = (await home.call("run_steer", run_ids=[task], action="resume"))["rows"]
        assert row["error"] is None
        await home.ended(task)
        listed = await home.call("list_tasks", type="agent,chat", tag="high")
        assert [each["id"] for each in listed["rows"]] == [task] and listed["total"] == 1
        assert (await home.read("task://recent"))["rows"] == listed["rows"]
        assert await home.read(f"task://{task}") == await home.call("task_get", task_id=task)
        for part in ("progress", "resources", "artifacts", "tree"):
            shown = (await home.call("task_get", task_id=task, part=part))[part]
            assert await home.read(f"task://{task}/{part}") == shown
        assert (await home.call("task_get", task_id=task, part="inputs"))["inputs"]["prompt"] == "Do it"
        assert (await home.call("task_get", task_id=task, part="relations"))["relations"]["children"] == []
        assert (await home.call("task_get", task_id=task, part="problem"))["problem"] is None
        assert await home.read("task://filters") == await home.call("task_filters")
        figures = await home.call("task_statistics", group_by="priority")
        assert [(group["group"], group["done"], group["all"]) for group in figures["groups"]] == [("high", 1, 1)]
        assert (await home.read("task://statistics"))["success_rate"] == 1
        assert "no answer that waits" in await home.refused("task_review", task_id=task, accept=True)
        assert "no task" in await home.refused("task_get", task_id="nobody:1")
        (row,) = (await home.call("run_steer", run_ids=["nobody:1"], action="cancel"))["rows"]
        assert row["error"]["code"] == "not_found"


async def test_a_task_is_drafted_from_a_sentence_and_reviewed_before_it_is_saved(host: Any) -> None:
    plan = {"title": "Mails", "prompt": "Sum up the mails.", "type": "mail", "agent": "nobody", "about": "unknown"}
    async with host(f"Here it is: {json.dumps(plan)}") as home:
        run = (await home.call("task_draft", sentence="sum up my mails"))["run_id"]
        await home.ended(run)
        drafted = await home.call("task_drafted", run_id=run)
        assert drafted["plan"] == {name: plan[name] for name in ("prompt", "title", "type", "agent")}
        assert [problem["field"] for problem in drafted["problems"]] == ["agent"]
        assert (await home.call("list_tasks", tag="mail"))["total"] == 0, "nothing was saved"
    async with host("No plan.") as home:
        run = (await home.call("task_draft", sentence="sum up my mails"))["run_id"]
        await home.ended(run)
        assert "drafted no task" in await home.refused("task_drafted", run_id=run)


async def test_usage_is_recorded_with_the_exact_model(host: Any) -> None:
    async with host("Hello.") as home:
        await home.ended((await home.call("run_start", prompt="Hi"))["run_id"])
        (row,) = (await home.call("usage", by="model"))["rows"]
        assert row["group"].startswith("qwen3:8b")
        assert row["calls"] == 1


async def test_the_model_is_chosen_for_a_chat_an_agent_and_as_default(host: Any) -> None:
    async with host("Hello.") as home:
        sent = await home.call("chat_send", text="Hi")
        await home.ended(sent["run_id"])
        await home.call("set_model", name="ollama/llama3.2:3b", session_id=sent["session_id"])
        assert (await home.call("get_chat", session_id=sent["session_id"]))["model"] == "ollama/llama3.2:3b"
        await home.call("set_model", name="ollama/llama3.2:3b", agent="assistant")
        assert (await home.call("get_agent", name="assistant"))["model"] == "ollama/llama3.2:3b"
        await home.call("set_model", name="ollama/llama3.2:3b")
        assert (await home.call("list_models"))["default"] == "ollama/llama3.2:3b"
        assert "no model" in await home.refused("set_model", name="ollama/nonsense")


async def test_status_and_setup_tell_what_a_first_page_needs(host: Any) -> None:
    async with host("Hello.") as home:
        status = await home.call("status")
        assert status["mode"] == "LOCAL"
        assert status == {**await home.read("homeport://status"), "uptime_seconds": status["uptime_seconds"]}
        setup = await home.call("get_setup")
        assert (setup["done"], setup["step"]) == (False, "folder")
        assert "ollama/qwen3:8b" in setup["model"]["models"]
        await home.call("finish_setup", skipped=True)
        assert (await home.read("homeport://setup"))["done"] is True


async def test_a_chat_is_deleted_only_with_its_title_repeated(host: Any) -> None:
    async with host("Hello.") as home:
        sent = await home.call("chat_send", text="Hi")
        await home.ended(sent["run_id"])
        assert "does not repeat" in await home.refused("chat_delete", session_id=sent["session_id"], confirm="yes")
        await home.call("chat_delete", session_id=sent["session_id"], confirm="Hi")
        assert "no chat" in await home.refused("get_chat", session_id=sent["session_id"])


async def test_an_agent_is_saved_and_used(host: Any) -> None:
    async with host("Arr.") as home:
        await home.call("save_agent", name="pirate", markdown="---\ntitle: Pirate\n---\nTalk like a pirate.")
        assert {agent["name"] for agent in (await home.call("list_agents"))["agents"]} == {"assistant", "pirate"}
        run = await home.ended((await home.call("run_start", prompt="Hi", agent="pirate"))["run_id"])
        assert (run["agent"], run["answer"]) == ("pirate", "Arr.")
        assert "front matter" in await home.refused("save_agent", name="bad", markdown="---\nturns: [\n---\n")


async def test_tickets_and_pages_of_runs(host: Any) -> None:
    async with host("Hello.") as home:
        assert (await home.call("create_ticket", purpose="login"))["url"].startswith("http://127.0.0.1:8642/")
        for _ in range(2):
            await home.ended((await home.call("run_start", prompt="Hi"))["run_id"])
        page = await home.call("list_runs", limit=1)
        assert len((await home.call("list_runs", cursor=page["next"]))["runs"]) == 1


async def test_every_tool_says_what_it_is_and_what_it_returns(host: Any) -> None:
    async with host("Hello.") as home:
        tools = (await home.client.list_tools()).tools
        for tool in tools:
            assert tool.title, tool.name
            assert tool.description, tool.name
            assert tool.annotations is not None, tool.name
            assert tool.output_schema, tool.name
        size = len(json.dumps([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]))
        print(len(tools), size)
        with anyio.fail_after(PATIENCE):
            assert await home.client.list_resources()
