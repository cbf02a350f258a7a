"""Events of servers in other processes: each keeps its own until they are read; here they come onto the bus.

A server offers a feed by a resource template whose `_meta` names, under `io.homeport/events`, the resource that changes
when there are new ones. The template's `{after}` is a place; what it gives is a `Page`. The place of the last page
that was taken over is kept with its events in one transaction, so that none is lost or taken twice, whichever side
stops in between.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel, Field, ValidationError

from homeport_host.events.bus import EventBus, Told
from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Label
from homeport_host.governance.taint import of_server
from homeport_shared.errors import HomeportError
from homeport_shared.events import Event
from homeport_shared.outbox import FEED

BEGINNING = "0"
AFTER = "{after}"
AGAIN_SECONDS = 5.0  # after a page that could not be read
LOOK_SECONDS = 60.0  # a server that tells of news too rarely is asked
UNTRUSTED: frozenset[Label] = frozenset({"untrusted-content"})
logger = logging.getLogger(__name__)
Mark = Callable[[str, frozenset[Label]], Awaitable[None]]


class Happening(BaseModel):
    """An event as a server writes it down; `run` and `correlation` count only from our own servers."""

    kind: str
    subject: str = ""
    data: dict[str, Any] = Field(default_factory=dict[str, Any])
    correlation: str = ""
    run: str = ""


class Page(BaseModel):
    """Events after a place, oldest first, each a `Happening`, and the next place."""

    events: Annotated[list[Any], Field(max_length=1_000)]
    cursor: Annotated[str, Field(min_length=1, max_length=200)]
    more: bool = False


@dataclass
class _Feed:
    """What is followed of one server.

    Attributes:
        id: What its place is kept under.
        news: The resource that changes.
        page: The template of a page's address.
        granted: The types that a server of somebody else may raise; None for ours.
    """

    id: str
    upstream: Upstream
    news: str
    page: str
    granted: Sequence[str] | None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    bell: anyio.Event = field(default_factory=anyio.Event)


class Feeds:
    """The feeds of all servers that may put events on the bus.

    Args:
        tasks: Runs one reader per feed.
        upstreams: The servers.
        bus: Where the events go.
        granted: Server of somebody else → patterns of the types that it may raise; others are not followed.
        mark: Notes that what a server of somebody else tells is untrusted content.
        worker: The id of this host: servers that it started are nobody else's.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        upstreams: Upstreams,
        bus: EventBus,
        granted: dict[str, list[str]],
        mark: Mark,
        worker: str,
    ) -> None:
        self._tasks = tasks
        self._upstreams = upstreams
        self._bus = bus
        self._granted = granted
        self._mark = mark
        self._worker = worker
        self._feeds: dict[str, _Feed] = {}
        upstreams.on_change.append(self.look)
        upstreams.on_update.append(self._updated)

    async def look(self) -> None:
        """Follow each feed that is there now, and no longer those of servers that were removed."""
        there = {upstream.name: upstream for upstream in self._upstreams.all()}
        for name, feed in list(self._feeds.items()):
            if there.get(name) is not feed.upstream:
                feed.scope.cancel()
                del self._feeds[name]
        for name, upstream in there.items():
            feed = self._feed(upstream) if name not in self._feeds else None
            if feed is not None:
                self._feeds[name] = feed
                self._tasks.start_soon(self._follow, feed)

    def close(self) -> None:
        """Take nothing more over: what comes now is taken over at the next start."""
        for feed in self._feeds.values():
            feed.scope.cancel()

    def _feed(self, upstream: Upstream) -> _Feed | None:
        config = upstream.config
        granted = None if config.bundled else self._granted.get(upstream.name)
        if not config.bundled and not granted:
            return None
        for template in upstream.templates:
            news = cast("dict[str, Any]", template.get("_meta") or {}).get(FEED)
            page = str(template.get("uriTemplate", ""))
            if isinstance(news, str) and AFTER in page:
                id = upstream.name if config.kind == "http" else f"{self._worker}/{upstream.name}"
                return _Feed(id, upstream, news, page, granted)
        return None

    async def _updated(self, server: str, uri: str) -> None:
        feed = self._feeds.get(server)
        if feed is not None and uri == feed.news:
            feed.bell.set()

    async def _follow(self, feed: _Feed) -> None:
        feed.upstream.hold(feed.news)
        try:
            with feed.scope:
                if feed.granted is not None:
                    await self._mark(of_server(feed.upstream.name), UNTRUSTED)
                while True:
                    await feed.upstream.acknowledged(feed.news)
                    feed.bell = anyio.Event()
                    pause = LOOK_SECONDS if await self._read(feed) else AGAIN_SECONDS
                    with anyio.move_on_after(pause):
                        await feed.bell.wait()
        finally:
            feed.upstream.release(feed.news)

    async def _read(self, feed: _Feed) -> bool:
        """Take over all that is new; False when that did not work."""
        try:
            place = await self._bus.place(feed.id)
            if not place and feed.granted is not None:  # what a server of somebody else did before it was allowed to
                page = await _page(feed.upstream, feed.news)
                await self._bus.take_over([], feed.id, "", page.cursor)
                place = page.cursor
            more = True
            while more:
                page = await _page(feed.upstream, feed.page.replace(AFTER, place or BEGINNING))
                told = [_told(written, feed) for written in page.events]
                if page.cursor != place:
                    await self._bus.take_over(told, feed.id, place, page.cursor)
                more, place = page.more and page.cursor != place, page.cursor
        except HomeportError as error:
            logger.warning("the events of %s could not be read: %s", feed.upstream.name, error)
            return False
        return True


def _told(written: Any, feed: _Feed) -> Told:
    ours = feed.granted is None
    try:
        happening = Happening.model_validate(written)
    except ValidationError:
        happening = Happening(kind="")  # it is refused like any event without a type, and does not hold up the next
    event = Event(happening.kind, happening.subject, happening.data, happening.correlation if ours else "")
    return Told(event, feed.upstream.name, happening.run if ours else "", feed.granted)


async def _page(upstream: Upstream, uri: str) -> Page:
    """Read one page.

    Raises:
        HomeportError: `invalid`, when it is none; or as `Upstream.request`.
    """
    result = await upstream.request("resources/read", {"uri": uri})
    try:
        return Page.model_validate_json(result["contents"][0]["text"])
    except (ValidationError, LookupError, TypeError) as error:
        raise HomeportError("invalid", f"{uri} of {upstream.name} is no page of events.", "Ask its maker.") from error
