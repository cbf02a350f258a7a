"""What every Homeport server does alike, seen by clients of both protocol eras."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from mcp import Client, types
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel
from tests.patience import PATIENCE

from homeport_shared import identity
from homeport_shared.audit import AuditLog
from homeport_shared.context import ServerContext, open_context
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server
from homeport_shared.testing.clients import Era, connected

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])


class Who(BaseModel):
    actor: str
    run: str


def build(context: ServerContext) -> Server:
    server = Server(context, title="Test", instructions="For tests.")

    @server.tool()
    async def who() -> Who:
        return Who(actor=identity.current().actor, run=identity.current().run)

    @server.tool()
    async def fail(title: str) -> str:
        if title == "foreseen":
            raise HomeportError("conflict", "The file a.txt changed.", "Read it again.")
        raise RuntimeError("secret detail")

    @server.resource("test://missing/{name}")
    async def missing(name: str) -> str:
        raise HomeportError("not_found", f"There is no {name}.", "List them.")

    @server.tool()
    async def touch() -> str:
        await context.changes.updated("test://health")
        return "done"

    return server


@ERAS
async def test_a_foreseen_failure_reaches_the_model_with_the_next_step(tmp_path: Path, era: Era) -> None:
    async with connected(build, "test", tmp_path, era=era) as client:
        result = await client.call_tool("fail", {"title": "foreseen"})
    assert result.is_error
    assert result.content == [types.TextContent(type="text", text="The file a.txt changed. Read it again.")]
    assert (result.meta or {})[identity.ERROR]["code"] == "conflict"


async def test_an_unforeseen_failure_shows_a_reference_and_no_detail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(build, "test", tmp_path) as client:
        result = await client.call_tool("fail", {"title": "other"})
    text = str(result.content)
    assert "secret detail" not in text
    reference = text.split("reference ")[1][:8]
    assert any(reference in record.getMessage() and record.exc_info for record in caplog.records)


@ERAS
@pytest.mark.parametrize(
    ("arguments", "said"), [({}, "title: Field required"), ({"title": 3}, "title: Input should be a valid string")]
)
async def test_wrong_arguments_name_the_field(
    tmp_path: Path, era: Era, arguments: dict[str, object], said: str
) -> None:
    async with connected(build, "test", tmp_path, era=era) as client:
        result = await client.call_tool("fail", arguments)
    assert result.is_error
    assert said in str(result.content)


@ERAS
async def test_an_argument_that_a_tool_does_not_have_is_refused_before_anything_happens(
    tmp_path: Path, era: Era
) -> None:
    async with connected(build, "test", tmp_path, era=era) as client:
        result = await client.call_tool("fail", {"title": "foreseen", "dry_run": True})
        none = await client.call_tool("who", {"name": "a"})
    assert "The tool fail has no argument 'dry_run'. It takes title." in str(result.content)
    assert "The tool who has no argument 'name'. It takes none." in str(none.content)


async def test_a_foreseen_failure_of_a_resource_keeps_its_message(tmp_path: Path) -> None:
    async with connected(build, "test", tmp_path) as client:
        with pytest.raises(MCPError, match=r"There is no x\. List them\."):
            await client.read_resource("test://missing/x")


async def test_schemas_keep_parameters_named_title_and_drop_generated_titles(tmp_path: Path) -> None:
    async with connected(build, "test", tmp_path) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools["fail"].input_schema["properties"] == {"title": {"type": "string"}}
    assert "title" not in tools["fail"].input_schema


@ERAS
async def test_alone_the_actor_is_the_name_the_client_gave_and_claims_are_not_believed(
    tmp_path: Path, era: Era
) -> None:
    claims = {f"{identity.PREFIX}actor": "root", f"{identity.PREFIX}run": "r"}
    async with (
        open_context("test", home=tmp_path) as context,
        Client(build(context), mode=era, client_info=types.Implementation(name="cursor", version="1")) as client,
    ):
        result = await client.call_tool("who", {}, meta=claims)
    assert result.structured_content == {"actor": "cursor", "run": ""}


async def test_the_host_is_believed_in_process_and_by_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = identity.Identity(actor="ada", run="r1").as_meta()
    async with open_context("test", home=tmp_path, in_process=True) as context, Client(build(context)) as client:
        assert (await client.call_tool("who", {}, meta=meta)).structured_content == {"actor": "ada", "run": "r1"}
    monkeypatch.setenv("HOMEPORT_CONNECTION_KEY", "k" * 32)
    async with open_context("test", home=tmp_path) as context, Client(build(context)) as client:
        keyed = identity.Identity(actor="ada", run="r1").as_meta("k" * 32)
        assert (await client.call_tool("who", {}, meta=keyed)).structured_content == {"actor": "ada", "run": "r1"}
        forged = identity.Identity(actor="ada", run="r1").as_meta("wrong")
        assert (await client.call_tool("who", {}, meta=forged)).structured_content != {"actor": "ada", "run": "r1"}


async def test_alone_every_call_leaves_an_audit_row(tmp_path: Path) -> None:
    async with connected(build, "test", tmp_path) as client:
        await client.call_tool("fail", {"title": "foreseen"})
        await client.call_tool("who", {})
    log = AuditLog(tmp_path / "test" / "audit.db")
    rows = await log.latest()
    await log.aclose()
    assert [(row["target"], row["outcome"]) for row in rows] == [("who", "ok"), ("fail", "conflict")]


async def test_clients_of_2026_hear_of_changes(tmp_path: Path) -> None:
    async with connected(build, "test", tmp_path) as client:
        with anyio.fail_after(PATIENCE):
            async with client.listen(resource_subscriptions=["test://health"]) as changes:
                await client.call_tool("touch", {})
                event = await anext(aiter(changes))
    assert str(event.uri) == "test://health"


async def test_clients_of_2025_hear_of_what_they_subscribed_to(tmp_path: Path) -> None:
    heard: list[str] = []
    news = anyio.Event()

    async def on_message(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))
            news.set()

    async with (
        open_context("test", home=tmp_path) as context,
        Client(build(context), mode="legacy", message_handler=on_message) as client,
    ):
        with pytest.warns(match="resources/subscribe"):
            await client.subscribe_resource("test://health")
        await client.call_tool("touch", {})
        with anyio.fail_after(PATIENCE):
            await news.wait()
        with pytest.warns(match="resources/unsubscribe"):
            await client.unsubscribe_resource("test://health")
        await client.call_tool("touch", {})
    assert heard == ["test://health"]


@ERAS
async def test_every_server_has_a_health_resource(tmp_path: Path, era: Era) -> None:
    async with connected(build, "test", tmp_path, era=era) as client:
        contents = (await client.read_resource("test://health")).contents[0]
    assert json.loads(contents.text)["status"] == "ok"
