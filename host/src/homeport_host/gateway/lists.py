"""What one server offers: its lists as they came, fetched again when the server says that they changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, cast

import anyio
from mcp import Client
from mcp.client.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged

from homeport_host.gateway.connections import send

ListName = Literal["tools", "resources", "templates", "prompts"]

METHODS: Mapping[ListName, tuple[str, str]] = {
    "tools": ("tools/list", "tools"),
    "resources": ("resources/list", "resources"),
    "templates": ("resources/templates/list", "resourceTemplates"),
    "prompts": ("prompts/list", "prompts"),
}
EVENTS: Mapping[type, tuple[ListName, ...]] = {
    ToolsListChanged: ("tools",),
    ResourcesListChanged: ("resources", "templates"),
    PromptsListChanged: ("prompts",),
}
NOTIFICATIONS: Mapping[str, tuple[ListName, ...]] = {
    "notifications/tools/list_changed": ("tools",),
    "notifications/resources/list_changed": ("resources", "templates"),
    "notifications/prompts/list_changed": ("prompts",),
}
PAGES = 50
PAUSE_SECONDS = 0.1  # a flood of announcements becomes ten refreshes a second


class Lists:
    """The lists of one server, under its own names and URIs.

    Args:
        changed: Awaited when a list was fetched again.

    Attributes:
        entries: Raw entries by list; they stay while the server is away.
    """

    def __init__(self, changed: Callable[[], Awaitable[None]]) -> None:
        self.entries: dict[ListName, list[dict[str, Any]]] = {name: [] for name in METHODS}
        self._changed = changed
        self._stale: set[ListName] = set()
        self._wake = anyio.Event()

    async def refresh(self, client: Client, names: Iterable[ListName] = tuple(METHODS)) -> None:
        """Fetch the lists `names` that the server has."""
        offered = client.server_capabilities
        present: dict[ListName, bool] = {
            "tools": offered.tools is not None,
            "resources": offered.resources is not None,
            "templates": offered.resources is not None,
            "prompts": offered.prompts is not None,
        }
        wanted = set(names)
        for name in METHODS:
            if name in wanted and present[name]:
                self.entries[name] = await _pages(client, *METHODS[name])
        tools = self.entries["tools"] if "tools" in wanted else []
        if any("x-mcp-header" in str(tool.get("inputSchema")) for tool in tools):
            await client.list_tools()  # the SDK mirrors such arguments into headers only for tools it listed itself

    async def keep(self, client: Client) -> None:
        """Fetch what was announced as changed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            names, self._stale = self._stale, set()
            await self.refresh(client, names)
            await self._changed()
            await anyio.sleep(PAUSE_SECONDS)

    def on_event(self, event: object) -> None:
        """Take an event of a 2026 server's stream."""
        self._announce(EVENTS.get(type(event), ()))

    def on_notification(self, method: str) -> None:
        """Take a notification of a 2025 server."""
        self._announce(NOTIFICATIONS.get(method, ()))

    def _announce(self, names: tuple[ListName, ...]) -> None:
        if names:
            self._stale.update(names)
            self._wake.set()


async def _pages(client: Client, method: str, key: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    for _ in range(PAGES):
        result = await send(client, method, params)
        found = cast("list[Any]", result.get(key) or [])
        entries += [cast("dict[str, Any]", entry) for entry in found if isinstance(entry, dict)]
        if not result.get("nextCursor"):
            break
        params = {"cursor": result["nextCursor"]}
    return entries
