"""Visiting pages: permission, fetching, reading and the copies, without MCP."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from homeport_shared import paging
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker
from homeport_web import elements, reading
from homeport_web.addresses import parse, place_of
from homeport_web.fetching import PROGRAM, Fetched, Fetcher
from homeport_web.results import Kept, KeptPages, Parts, Visit
from homeport_web.robots import Rule, allowed, rules_for
from homeport_web.settings import WebSettings
from homeport_web.store import Copy, Store

if TYPE_CHECKING:  # imported on first use: it costs 60 ms
    from httpx2 import URL

ROBOTS_SECONDS = 3600.0
MOST_ROBOTS = 1000
MOST_PARTS_CHARACTERS = 40_000  # of the parts that one call of `extract` returns


class Pages:
    """Pages of the web, and the copies of those that were visited.

    Args:
        context: The server's context.
        settings: The server's settings.
        fetcher: Gets addresses.
    """

    def __init__(self, context: ServerContext, settings: WebSettings, fetcher: Fetcher) -> None:
        self._context = context
        self._settings = settings
        self._fetcher = fetcher
        self._store = Store(context.folder / "web.db", settings.cache_mb << 20)
        self._reader = Worker("page reader", memory_mb=settings.memory_mb)
        self._robots: dict[str, tuple[float, list[Rule]]] = {}
        context.closing(self._store.aclose)
        context.closing(self._reader.aclose)

    async def visit(self, address: str, *, start: int, most: int, max_age_minutes: int | None) -> Visit:
        """Return a part of the page at `address`.

        Args:
            address: An http or https address.
            start: The first character; beyond 0 the copy that the earlier parts came from is read, whatever its age.
            most: The most characters.
            max_age_minutes: How old a copy may be; None = what the settings say.

        Raises:
            HomeportError: As `Fetcher.get`; `not_found`, `denied`, `limit` or `unavailable`, as the server answers;
                `invalid`, when `start` lies behind the end.
        """
        copy = await self._copy(address, float("inf") if start else max_age_minutes)
        return self._part(copy, start, most)

    async def extract(
        self, address: str, kind: elements.Kind, *, selector: str, start: int, max_age_minutes: int | None
    ) -> Parts:
        """Return links, tables or elements of the page at `address`, from the one numbered `start` on.

        Raises:
            HomeportError: As `visit`; `unsupported`, when it is no HTML page; `invalid`, for a wrong selector.
        """
        if kind == "elements" and not selector.strip():
            raise HomeportError("invalid", "No selector says which elements.", "Give one, like `h2 > a`.")
        copy = await self._copy(address, float("inf") if start else max_age_minutes)
        if not copy.page.html:
            raise HomeportError(
                "unsupported", f"{copy.url} is {copy.page.media_type}, not an HTML page.", "Use visit for its text."
            )
        function: Any = getattr(elements, kind)
        given = (copy.page.html, copy.url, selector) if kind == "elements" else (copy.page.html, copy.url)
        found: list[Any] = await self._reader.call(function, *given, timeout=self._settings.seconds)
        chosen, left = 0, MOST_PARTS_CHARACTERS
        for part in found[start:]:
            left -= len(str(part))
            if left < 0 and chosen:
                break
            chosen += 1
        end = start + chosen
        shown = {kind: found[start:end]}
        return Parts(
            url=copy.url, title=copy.page.title, total=len(found), next=end if end < len(found) else None, **shown
        )

    async def kept(self, limit: int, cursor: str) -> KeptPages:
        """Return the pages that were visited, newest first."""
        position = paging.decode(cursor)
        rows = await self._store.list(limit + 1, (str(position.get("at", "")), str(position.get("id", ""))))
        last = rows[limit - 1] if len(rows) > limit else None
        return KeptPages(
            pages=[
                Kept(uri=uri_of(r.id), url=r.url, title=r.title, fetched=r.fetched, size=r.size) for r in rows[:limit]
            ],
            next=paging.encode({"at": last.fetched, "id": last.id}) if last else "",
        )

    async def text(self, identifier: str) -> str:
        """Return a copy as Markdown below its title, address and date.

        Raises:
            HomeportError: `not_found`.
        """
        copy = await self._store.get(identifier)
        if copy is None:
            raise HomeportError("not_found", f"There is no copy {identifier!r} any more.", "Visit the page again.")
        return f"# {copy.page.title}\n\n<{copy.url}>, visited {copy.fetched}\n\n{copy.page.text}"

    async def _copy(self, address: str, max_age_minutes: float | None) -> Copy:
        """Return a copy that is fresh enough, or else visit the page and keep one."""
        asked = str(parse(address))
        identifier = hashlib.sha256(asked.encode()).hexdigest()[:16]
        most = self._settings.cache_minutes if max_age_minutes is None else max_age_minutes
        copy = await self._store.get(identifier) if most else None
        if copy is None or self._age(copy) > timedelta(minutes=min(most, 1e7)):
            copy = await self._visited(asked, identifier)
        return copy

    async def _visited(self, asked: str, identifier: str) -> Copy:
        fetched = await self._fetcher.get(asked, permit=self._permitted if self._settings.robots else None)
        if fetched.status >= 400:
            raise refusal(fetched)
        page = await self._reader.call(
            reading.read, fetched.data, fetched.url, fetched.media_type, fetched.charset, timeout=self._settings.seconds
        )
        now = self._context.clock.now()
        copy = Copy(identifier, asked, fetched.url, iso(now), page, fetched.redirects)
        await self._store.put(copy, forget_before=iso(now - timedelta(days=self._settings.cache_days)))
        await self._context.changes.updated("web://cache", uri_of(identifier))
        return copy

    def _part(self, copy: Copy, start: int, most: int) -> Visit:
        text = copy.page.text
        if start and start >= len(text):
            raise HomeportError(
                "invalid", f"{copy.url} has {len(text)} characters; none are left from {start} on.", "Start at 0."
            )
        end = end_of_part(text, start, most)
        about = {name: value for name, value in asdict(copy.page).items() if name not in {"text", "html"}}
        return Visit(
            url=copy.url,
            uri=uri_of(copy.id),
            text=text[start:end],
            start=start,
            next=end if end < len(text) else None,
            characters=len(text),
            fetched=copy.fetched,
            age_minutes=int(self._age(copy).total_seconds() // 60),
            redirects=copy.redirects,
            **about,
        )

    def _age(self, copy: Copy) -> timedelta:
        return self._context.clock.now() - datetime.fromisoformat(copy.fetched)

    async def _permitted(self, url: URL) -> None:
        """Refuse what the site's robots.txt asks programs not to read."""
        host, _ = place_of(url)
        path = url.raw_path.decode("ascii")
        if not allowed(await self._rules(str(url.copy_with(raw_path=b"/robots.txt"))), path):
            raise HomeportError(
                "denied",
                f"The robots.txt of {host} asks programs not to read {path[:200]}.",
                "Use another source, or let a person open the page.",
            )

    async def _rules(self, address: str) -> list[Rule]:
        """Return what a robots.txt says; RFC 9309: one that is refused allows all, one that is out of order nothing."""
        now = self._context.clock.monotonic()
        until, rules = self._robots.get(address, (0.0, []))
        if until > now:
            return rules
        try:
            answer = await self._fetcher.get(address)
        except HomeportError as error:
            if error.code in {"too_large", "unsupported", "damaged"}:
                return []
            raise
        if answer.status >= 500:
            return [Rule("/", allow=False)]
        rules = rules_for(answer.data.decode("utf-8", "replace"), PROGRAM) if answer.status < 300 else []
        if len(self._robots) >= MOST_ROBOTS:
            self._robots.clear()
        self._robots[address] = (now + ROBOTS_SECONDS, rules)
        return rules


def uri_of(identifier: str) -> str:
    """Return the URI of a copy."""
    return f"web://pages/{identifier}"


def end_of_part(text: str, start: int, most: int) -> int:
    """Return where a part of at most `most` characters ends: at a paragraph's or line's end where one is near."""
    end = start + most
    if end >= len(text):
        return len(text)
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, start + most // 2, end)
        if found > start:
            return found + len(mark)
    return end


def refusal(fetched: Fetched) -> HomeportError:
    """Turn the status of an answer into a sentence."""
    status, url = fetched.status, fetched.url
    if status in {404, 410}:
        return HomeportError(
            "not_found", f"There is no page at {url} (status {status}).", "Search for its new address."
        )
    if status in {401, 402, 403, 451}:
        return HomeportError("denied", f"{url} is not open to this program (status {status}).", "Use another source.")
    if status == 429:
        when = (
            f"It asks to wait {fetched.retry_after[:40]} seconds." if fetched.retry_after.isdigit() else "Wait a while."
        )
        return HomeportError("limit", f"{url} was asked too often (status 429).", when)
    return HomeportError("unavailable", f"{url} answers with status {status}.", "Try again later, or another source.")
