"""Tell clients of both protocol eras that a resource or a list changed."""

from __future__ import annotations

from collections.abc import Hashable

import anyio
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)


class ChangeBus(InMemorySubscriptionBus):
    """The SDK's bus, which also reaches 2025 sessions that used `resources/subscribe`.

    `subscriptions/listen` streams of 2026 clients subscribe to the bus by themselves. A 2025 session is told through
    `attach`; one that went away is forgotten at the first notification that does not reach it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sessions: dict[Hashable, tuple[ServerSession, set[str]]] = {}

    def attach(self, key: Hashable, session: ServerSession, uri: str) -> None:
        """Send `resources/updated` for exactly `uri` to a 2025 client from now on.

        Args:
            key: The same for all requests of one connection; the SDK makes a new `session` object for each.
            session: What notifications are sent through.
            uri: The resource.
        """
        self._sessions.setdefault(key, (session, set()))[1].add(uri)

    def detach(self, key: Hashable, uri: str) -> None:
        """Stop sending `resources/updated` for `uri` to the client `key`."""
        if key in self._sessions:
            self._sessions[key][1].discard(uri)
            if not self._sessions[key][1]:
                del self._sessions[key]

    async def publish(self, event: ServerEvent) -> None:
        """Deliver `event` to every listening client."""
        await super().publish(event)
        if isinstance(event, ResourceUpdated):
            for key, (session, uris) in list(self._sessions.items()):
                if str(event.uri) in uris:
                    await self._tell(key, session, str(event.uri))

    async def _tell(self, key: Hashable, session: ServerSession, uri: str) -> None:
        try:
            with anyio.fail_after(2):
                await session.send_resource_updated(uri)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, TimeoutError):
            self._sessions.pop(key, None)

    async def updated(self, *uris: str) -> None:
        """Say that the resources at `uris` have new content."""
        for uri in uris:
            await self.publish(ResourceUpdated(uri=uri))

    async def resources_changed(self) -> None:
        """Say that the list of resources changed."""
        await self.publish(ResourcesListChanged())

    async def tools_changed(self) -> None:
        """Say that the list of tools changed."""
        await self.publish(ToolsListChanged())

    async def prompts_changed(self) -> None:
        """Say that the list of prompts changed."""
        await self.publish(PromptsListChanged())
