"""Tools and resources of the connected servers and of the tool registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel

from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.config import ServerConfig, parse
from homeport_host.gateway.search import ToolIndex
from homeport_host.gateway.serverfile import ServerFile
from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Tool
from homeport_host.surface.tools import changing, reading
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server


class ServerRecord(BaseModel):
    """A connected server; `next_try` is when one that is down is tried again."""

    name: str
    title: str
    kind: str
    bundled: bool
    state: str
    reason: str
    next_try: str
    tools: int
    resources: int
    prompts: int
    view: str
    protocol: str


class ServerList(BaseModel):
    """The servers in the order in which they were configured."""

    servers: list[ServerRecord]


class ToolRecord(BaseModel):
    """A tool of any server, as the registry knows it."""

    name: str
    server: str
    title: str
    description: str
    input_schema: dict[str, Any]
    labels: list[str]
    state: str
    last_used: str


class ToolList(BaseModel):
    """Tools, best match first, or in the order of their servers."""

    tools: list[ToolRecord]


class Report(BaseModel):
    """What a trial of a server showed."""

    name: str
    works: bool
    state: str
    reason: str
    tools: int
    resources: int
    prompts: int
    protocol: str


class Registry:
    """The servers and tools as pages and models see them.

    Args:
        last_used: Public tool name → RFC 3339 time of its last call.
    """

    def __init__(
        self, upstreams: Upstreams, catalog: Catalog, file: ServerFile, last_used: Callable[[], Mapping[str, str]]
    ) -> None:
        self.upstreams = upstreams
        self.catalog = catalog
        self.file = file
        self._last_used = last_used

    def servers(self) -> list[ServerRecord]:
        """Return all servers."""
        return [self._server(upstream) for upstream in self.upstreams.all()]

    def tools(self, query: str = "", server: str = "") -> list[ToolRecord]:
        """Return the tools of `server` (empty = all) that fit `query` (empty = all)."""
        tools = {tool.name: tool for tool in self.catalog.tools() if server in {"", tool.server}}
        if query:
            found = ToolIndex((name, tool.definition) for name, tool in tools.items()).search(query, 50)
            exact = [name for name in tools if query.casefold() in name.casefold()]
            tools = {name: tools[name] for name in dict.fromkeys([*exact, *found])}
        used = self._last_used()
        return [self._tool(tool, used.get(tool.name, "")) for tool in tools.values()]

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Write a third-party server into the file and connect it.

        Raises:
            HomeportError: `invalid` when the entry does not fit, `conflict` when the name is taken.
        """
        key = parse(name, dict(entry)).name
        if any(upstream.name == key for upstream in self.upstreams.all()):
            raise HomeportError("conflict", f"There is a server {key!r} already.", "Choose another name.")
        self.upstreams.add(self.file.add(name, entry))

    def _server(self, upstream: Upstream) -> ServerRecord:
        return ServerRecord(
            name=upstream.name,
            title=upstream.title or upstream.name,
            kind=upstream.config.kind,
            bundled=upstream.config.bundled,
            state=upstream.state if upstream.config.enabled else "disabled",
            reason=upstream.reason,
            next_try=upstream.next_try,
            tools=len(upstream.tools),
            resources=len(upstream.resources) + len(upstream.templates),
            prompts=len(upstream.prompts),
            view=self._view(upstream),
            protocol=upstream.protocol,
        )

    def _view(self, upstream: Upstream) -> str:
        views = (str(entry["uri"]) for entry in upstream.resources if str(entry["uri"]).startswith("ui://"))
        return next((self.catalog.public(upstream.name, uri) for uri in views), "")

    def _tool(self, tool: Tool, used: str) -> ToolRecord:
        definition = tool.definition
        return ToolRecord(
            name=tool.name,
            server=tool.server,
            title=str(definition.get("title") or tool.own),
            description=str(definition.get("description") or ""),
            input_schema=cast("dict[str, Any]", definition.get("inputSchema") or {}),
            labels=sorted(tool.labels),
            state=self.upstreams.get(tool.server).state,
            last_used=used,
        )


def register(server: Server, registry: Registry) -> None:
    """Register the tools and resources."""

    @reading(server, "List servers")
    async def list_servers() -> ServerList:
        """List the connected MCP servers with their state and why one is down."""
        return ServerList(servers=registry.servers())

    @reading(server, "List tools")
    async def list_tools(query: str = "", server: str = "") -> ToolList:
        """List the tools of all servers, or of one, or those that fit a query; with schema, state and last use."""
        return ToolList(tools=registry.tools(query, server))

    @server.resource("homeport://servers", title="Servers", mime_type="application/json")
    async def servers() -> str:
        """The connected servers; the same as the tool list_servers."""
        return ServerList(servers=registry.servers()).model_dump_json()

    @server.resource("homeport://tools", title="Tools", mime_type="application/json")
    async def tools() -> str:
        """All tools; the same as the tool list_tools."""
        return ToolList(tools=registry.tools()).model_dump_json()

    _register_changes(server, registry)


def _register_changes(server: Server, registry: Registry) -> None:
    @changing(server, "Add a server", "person-only")
    async def add_server(name: str, config: dict[str, Any]) -> ServerList:
        """Add a third-party MCP server: config has command and args, or url, as in Claude Desktop's mcpServers."""
        registry.add(name, config)
        await registry.upstreams.wait_ready()
        return ServerList(servers=registry.servers())

    @changing(server, "Remove a server", "person-only")
    async def remove_server(name: str) -> ServerList:
        """Remove a third-party MCP server and end its process."""
        registry.file.remove(name)
        await registry.upstreams.remove(name)
        return ServerList(servers=registry.servers())

    @changing(server, "Switch a server on or off", "person-only", idempotent=True)
    async def enable_server(name: str, enabled: bool) -> ServerList:
        """Switch a third-party MCP server on or off without forgetting it."""
        config = registry.file.enable(name, enabled)
        await registry.upstreams.remove(name)
        registry.upstreams.add(config)
        return ServerList(servers=registry.servers())

    @reading(server, "Test a server", "person-only")
    async def test_server(name: str, config: dict[str, Any] | None = None) -> Report:
        """Connect to a server once, on the side, and say what it offers or why it does not work."""
        tried = parse(name, config) if config else _configured(registry, name)
        report = await registry.upstreams.test(tried)
        return Report(
            name=name,
            works=report.works,
            state="ready" if report.works else "down",
            reason=report.reason,
            tools=report.tools,
            resources=report.resources,
            prompts=report.prompts,
            protocol=report.protocol,
        )


def _configured(registry: Registry, name: str) -> ServerConfig:
    config = registry.upstreams.get(name).config
    if config.build is not None:
        raise HomeportError("unsupported", f"{name} is the host itself.", "Test another server.")
    return config
