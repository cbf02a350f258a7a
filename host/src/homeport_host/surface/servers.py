"""Connected servers and their tools as tools and resources."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from homeport_host.gateway.search import ToolIndex
from homeport_host.governance.calls import Tool
from homeport_host.surface.results import (
    DESTROY,
    NO_JSON,
    PERSON,
    READ,
    WRITE,
    Item,
    Json,
    Named,
    ServerList,
    ToolList,
    dumped,
)
from homeport_host.surface.services import HostServices
from homeport_shared.server import Server

MOST_FOUND = 50


def register(server: Server, host: HostServices) -> None:
    """Add what concerns servers and tools."""
    _changing(server, host)
    _reading(server, host)


def _changing(server: Server, host: HostServices) -> None:
    @server.tool(title="Add server", annotations=WRITE, meta=PERSON)
    async def add_server(
        name: str, config: Annotated[Json, Field(description="an entry of mcpServers: command and args, or url")]
    ) -> Item:
        """Connect an MCP server."""
        return Item(**await host.servers.add(name, config))

    @server.tool(title="Remove server", annotations=DESTROY, meta=PERSON)
    async def remove_server(name: str) -> Named:
        """Disconnect and forget a server."""
        await host.servers.remove(name)
        return Named(id=name, state="removed")

    @server.tool(title="Switch server", annotations=WRITE, meta=PERSON)
    async def enable_server(name: str, enabled: bool) -> Item:
        """Start or stop a server."""
        return Item(**await host.servers.enable(name, enabled))

    @server.tool(title="Test server", annotations=WRITE, meta=PERSON)
    async def test_server(name: str, config: Json = NO_JSON) -> Item:
        """Connect to a server once and say what it offers or why it does not work; `config` for one not added yet."""
        return Item(**await host.servers.test(name, config or None))


def _reading(server: Server, host: HostServices) -> None:
    @server.tool(title="Servers", annotations=READ)
    async def list_servers() -> ServerList:
        """List the connected servers with their state."""
        return ServerList(servers=await host.servers.list())

    @server.tool(title="Tools", annotations=READ)
    async def list_tools(query: str = "", server: str = "") -> ToolList:
        """List the tools of all servers, or find them by what they do."""
        return ToolList(tools=_tools(host, query, server))

    @server.resource("homeport://servers", title="Servers", mime_type="application/json")
    async def servers() -> str:
        """The connected servers with their state."""
        return dumped({"servers": await host.servers.list()})

    @server.resource("homeport://tools", title="Tools", mime_type="application/json")
    async def tools() -> str:
        """The tools of all servers."""
        return dumped({"tools": _tools(host, "", "")})


def _tools(host: HostServices, query: str, server: str) -> list[Json]:
    found = {tool.name: tool for tool in host.tools.tools() if server in {"", tool.server}}
    if not query.strip():
        return [_shaped(host, found[name]) for name in sorted(found)]
    index = ToolIndex((name, tool.definition) for name, tool in found.items())
    ranked = index.search(query, MOST_FOUND)
    ranked += [name for name in sorted(found) if query.lower() in name.lower() and name not in ranked]
    return [_shaped(host, found[name]) for name in ranked[:MOST_FOUND]]


def _shaped(host: HostServices, tool: Tool) -> Json:
    return {
        "name": tool.name,
        "server": tool.server,
        "title": tool.definition.get("title") or tool.own.replace("_", " ").capitalize(),
        "description": tool.definition.get("description") or "",
        "input_schema": tool.definition.get("inputSchema") or {},
        "labels": sorted(tool.labels),
        "state": "ready",
        "last_used": host.last_used.get(tool.name, ""),
    }
