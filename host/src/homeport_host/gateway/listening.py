"""Tell clients what changed: those of 2026 over their listen streams, those of 2025 over their sessions."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.types import (
    EmptyResult,
    NotificationParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
Context = ServerRequestContext[Any, Any]
Key = tuple[int, str]

ACKNOWLEDGE_SECONDS = 2.0
SEND_SECONDS = 2.0
IDLE_SECONDS = 1_800.0  # as long as the SDK keeps a 2025 HTTP session without a request


@dataclass
class _Session:
    """A 2025 client."""

    session: ServerSession
    uris: set[str] = field(default_factory=set[str])
    seen: float = field(default_factory=time.monotonic)


class Listening:
    """The clients of one front that want to hear of changes.

    Args:
        catalog: Announces changed lists.
        upstreams: Announce changed resources.
        may_follow: Says whether the client of a request may learn of changes of the resource at a public URI.
    """

    def __init__(
        self, catalog: Catalog, upstreams: Upstreams, may_follow: Callable[[Context, str], Awaitable[bool]]
    ) -> None:
        self._catalog = catalog
        self._may_follow = may_follow
        self._bus = InMemorySubscriptionBus()
        self._handler = ListenHandler(self._bus)
        self._sessions: dict[Key, _Session] = {}
        self._known = self._lists()
        catalog.on_change.append(self._catalog_changed)
        upstreams.on_update.append(self._updated)

    @property
    def sessions(self) -> int:
        """How many 2025 clients are known."""
        return len(self._sessions)

    def close(self) -> None:
        """End every listen stream gracefully."""
        self._handler.close()

    # Clients of 2026

    async def listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Serve one listen stream: it is acknowledged once the servers have accepted to tell about the resources."""
        asked = params.notifications.resource_subscriptions or []
        granted = [uri for uri in asked if await self._may_follow(context, str(uri))]
        notifications = params.notifications.model_copy(update={"resource_subscriptions": granted or None})
        held = [found for uri in granted if (found := self._find(str(uri)))]
        try:
            for upstream, own in held:
                upstream.hold(own)
            with anyio.move_on_after(ACKNOWLEDGE_SECONDS):
                for upstream, own in held:
                    await upstream.acknowledged(own)
            return await self._handler(context, params.model_copy(update={"notifications": notifications}))
        finally:
            for upstream, own in held:
                upstream.release(own)

    # Clients of 2025

    async def initialized(self, context: Context, params: NotificationParams) -> None:
        """Remember the session of a 2025 client."""
        self._sessions[key_of(context)] = _Session(context.session)

    def seen(self, context: Context) -> None:
        """Note that the client made a request."""
        if known := self._sessions.get(key_of(context)):
            known.seen = time.monotonic()

    async def subscribe(self, context: Context, params: SubscribeRequestParams) -> EmptyResult:
        """Serve `resources/subscribe`."""
        session, uri = self._sessions.get(key_of(context)), str(params.uri)
        found = self._find(uri) if await self._may_follow(context, uri) else None
        if session is not None and found is not None and uri not in session.uris:
            session.uris.add(uri)
            found[0].hold(found[1])
            with anyio.move_on_after(ACKNOWLEDGE_SECONDS):
                await found[0].acknowledged(found[1])
        return EmptyResult()

    async def unsubscribe(self, context: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """Serve `resources/unsubscribe`."""
        if session := self._sessions.get(key_of(context)):
            self._drop(session, str(params.uri))
        return EmptyResult()

    def end_session(self, session_id: str) -> None:
        """Forget the 2025 HTTP client of that `mcp-session-id`: nothing in the SDK tells that it went."""
        for key in [key for key in self._sessions if key[1] == session_id]:
            self._forget(key)

    @asynccontextmanager
    async def lifespan(self, server: object) -> AsyncGenerator[object]:
        """The lifespan of a connection over stdio or in memory, or of the whole HTTP app."""
        connection = object()
        try:
            yield connection
        finally:
            for key in [key for key in self._sessions if key[0] == id(connection)]:
                self._forget(key)

    # What the servers announce

    async def _updated(self, server: str, own: str) -> None:
        public = self._catalog.public(server, own)
        for uri in {public, f"{server}+{own}"}:
            await self._bus.publish(ResourceUpdated(uri=uri))
            for key, known in list(self._sessions.items()):
                if uri in known.uris:
                    await self._tell(key, known.session.send_resource_updated, uri)

    async def _catalog_changed(self) -> None:
        before, self._known = self._known, self._lists()
        if before[0] != self._known[0]:
            await self._bus.publish(ToolsListChanged())
            await self._tell_all("send_tool_list_changed")
        if before[1] != self._known[1]:
            await self._bus.publish(ResourcesListChanged())
            await self._tell_all("send_resource_list_changed")
        if before[2] != self._known[2]:
            await self._bus.publish(PromptsListChanged())
            await self._tell_all("send_prompt_list_changed")

    def _lists(self) -> tuple[Any, Any, Any]:
        tools = [(tool.name, tool.definition) for tool in self._catalog.tools()]
        return tools, (self._catalog.resources(), self._catalog.templates()), self._catalog.prompts()

    async def _tell_all(self, method: str) -> None:
        for key, known in list(self._sessions.items()):
            await self._tell(key, getattr(known.session, method))

    async def _tell(self, key: Key, send: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        if time.monotonic() - self._sessions[key].seen > IDLE_SECONDS:
            self._forget(key)
            return
        try:
            with anyio.fail_after(SEND_SECONDS):
                await send(*arguments)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, TimeoutError):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        if session := self._sessions.pop(key, None):
            for uri in list(session.uris):
                self._drop(session, uri)

    def _drop(self, session: _Session, uri: str) -> None:
        found = self._find(uri)
        if uri in session.uris and found is not None:
            found[0].release(found[1])
        session.uris.discard(uri)

    def _find(self, uri: str) -> tuple[Upstream, str] | None:
        try:
            return self._catalog.locate(uri)
        except HomeportError:  # it may appear later, and until then nothing changes there
            return None


def key_of(context: Context) -> Key:
    """Return what tells one 2025 client from another."""
    headers: Mapping[str, str] = getattr(context.request, "headers", None) or {}
    return id(context.lifespan_context), str(headers.get("mcp-session-id") or "")
