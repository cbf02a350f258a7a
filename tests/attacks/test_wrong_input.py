"""Every tool of every server is given what it cannot use: each call ends in a clear tool error, and all goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from tests.patience import PATIENCE

from homeport.connection import call as use
from homeport_shared.identity import ERROR
from homeport_shared.testing.clients import connected

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
SERVERS = {entry.name: entry for entry in entry_points(group="homeport.servers")}
HALF = "\ud800"  # half a character, as a model's or a client's JSON may hold it
WRONG: list[Any] = [HALF, {"a": None}]
TEXTS = ["a\0b", "../../etc/passwd", "\uffff\u202e\u200b", "x" * 60_000]
NUMBERS = [-1, 10**30]
LONGEST = 4_000  # characters of an error, whatever the input was
Call = Callable[[str, Any], Any]
# These reach out to the network or to other programs with what they are given; their own tests say what they do then.
REACHING = {"install_model"}


def wrong(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield arguments that are wrong in one thing each, for the tool with the input `schema`."""
    fields: dict[str, Any] = schema.get("properties", {})
    right = {name: example(fields[name]) for name in schema.get("required", [])}
    yield {**right, "no_such_field": 1}
    yield {}
    for name, field in fields.items():
        kind = field.get("type")
        values = WRONG + (TEXTS if kind == "string" else NUMBERS if kind in {"integer", "number"} else [])
        if kind == "array":
            values = [*WRONG, *([text] for text in TEXTS)]
        for value in values:
            yield {**right, name: value}


def example(field: dict[str, Any]) -> Any:
    """Return something that fits the type of `field`."""
    kinds = {"string": "docs/a.md", "integer": 1, "number": 1, "boolean": False, "array": [], "object": {}}
    return field.get("default", field.get("enum", [kinds.get(field.get("type", ""), "docs/a.md")])[0])


async def ask_all(tools: list[dict[str, Any]], call: Call) -> list[str]:
    """Call every tool with everything wrong, and return what did not end as it should."""
    found: list[str] = []
    for tool in tools:
        for arguments in wrong(tool["inputSchema"]):
            result = await call(tool["name"], arguments)
            told = result.get("_meta", {}).get(ERROR, {})
            if result.get("isError") and (told.get("code", "internal") == "internal" or "Traceback" in str(result)):
                found.append(f"{tool['name']} {str(arguments)[:200]!a}: {str(result)[:300]}")
            if len(told.get("message", "")) > LONGEST:
                found.append(f"{tool['name']} says too much of {str(arguments)[:200]!a}")
    return found


@asynccontextmanager
async def over_http(machine: Any) -> AsyncGenerator[Call]:
    """Yield what calls a tool with raw JSON, in which anything can be written."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "wrong", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Authorization": f"Bearer {machine.token()}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
    }
    async with httpx2.AsyncClient(timeout=60) as http:

        async def call(name: str, arguments: Any) -> dict[str, Any]:
            params = {"name": name, "arguments": arguments, "_meta": meta}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
            answer = await http.post(f"{machine.url}/mcp", content=body, headers={**headers, "Mcp-Name": name})
            text = answer.text
            if answer.headers["content-type"].startswith("text/event-stream"):
                text = next(line[6:] for line in reversed(text.splitlines()) if line.startswith("data: {"))
            return json.loads(text)["result"]

        yield call


async def test_every_tool_of_the_host_refuses_what_it_cannot_use(shared_machine: Any, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nThe boiler.\n")
    async with shared_machine.client() as client:
        await use(client, "files__add_root", folder=str(tmp_path), name="docs")
        listed = (await client.list_tools()).tools
        own = [tool.model_dump(by_alias=True) for tool in listed if tool.name.startswith("homeport__")]
        relayed = [tool.model_dump(by_alias=True) for tool in listed if tool.name in {"files__write", "rag__search"}]
        async with over_http(shared_machine) as call:
            found = await ask_all(own + relayed, call)
        assert found == []
        state = await use(client, "homeport__status")
        assert {one["state"] for one in state["server_list"]} == {"ready"}, "and everything goes on"


@pytest.mark.parametrize("name", sorted(SERVERS))
async def test_every_tool_of_a_server_alone_refuses_what_it_cannot_use(name: str, tmp_path: Path) -> None:
    async with connected(SERVERS[name].load(), name, tmp_path / "home") as client:

        async def call(tool: str, arguments: Any) -> dict[str, Any]:
            return (await client.call_tool(tool, arguments)).model_dump(by_alias=True, exclude_none=True, mode="python")

        tools = [tool.model_dump(by_alias=True) for tool in (await client.list_tools()).tools]
        assert await ask_all([tool for tool in tools if tool["name"] not in REACHING], call) == []


@pytest.mark.parametrize(
    "uri", ["", "x", "files://", "files://docs/../../etc/passwd", "rag://documents/\0", "a" * 9_000]
)
async def test_a_resource_that_is_not_there_is_one_plain_error(uri: str, shared_machine: Any) -> None:
    async with shared_machine.client() as client:
        with pytest.raises(MCPError) as raised:
            await read(client, uri)
    assert raised.value.error.code in {-32602, -32002}
    assert "Traceback" not in str(raised.value)


async def read(client: Client, uri: str) -> Any:
    with anyio.fail_after(PATIENCE):
        return await client.read_resource(uri)
