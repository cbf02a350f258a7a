"""The search engines that can be asked: SearXNG, Brave's API, and the engines of ddgs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import anyio.to_thread

from homeport_shared.documents.model import clean
from homeport_shared.errors import HomeportError
from homeport_shared.vault import Vault
from homeport_shared.workers import Worker
from homeport_web import ddgs_engine
from homeport_web.fetching import Fetcher, Proxies
from homeport_web.results import Hit
from homeport_web.search import Answer, Query

BRAVE_KEY = "BRAVE_API_KEY"
_BRAVE_SINCE = {"day": "pd", "week": "pw", "month": "pm", "year": "py"}
_MOST_OF_BRAVE = 20
_TAGS = re.compile(r"</?[a-z]+>")


@dataclass(frozen=True, slots=True)
class Searxng:
    """A SearXNG with the format `json` switched on. Source: docs.searxng.org/dev/search_api.html."""

    fetcher: Fetcher
    address: str
    name: str = "searxng"

    async def missing(self) -> str:
        """See `Backend`."""
        return "" if self.address else "The setting `web.searxng_address` is empty."

    async def search(self, query: Query) -> Answer:
        """See `Backend`."""
        country, language = query.region.split("-")
        asked = {"q": query.text, "format": "json", "language": f"{language}-{country.upper()}"}
        if query.since:
            asked["time_range"] = query.since
        found = await _json(self.fetcher, f"{self.address.rstrip('/')}/search", asked, self.name)
        silent = [": ".join(map(str, _list(each))) for each in _list(found.get("unresponsive_engines"))]
        note = f"Engines that did not answer: {', '.join(silent)}." if silent else ""
        return Answer(_hits(found.get("results"), "content"), clean(note)[:500])


@dataclass(frozen=True, slots=True)
class Brave:
    """Brave's search API. Source: api-dashboard.search.brave.com, Web Search API."""

    fetcher: Fetcher
    address: str
    vault: Vault
    name: str = "brave"

    async def missing(self) -> str:
        """See `Backend`."""
        return "" if await self._key() else f"The secret {BRAVE_KEY} is not there."

    async def search(self, query: Query) -> Answer:
        """See `Backend`."""
        country, language = query.region.split("-")
        asked = {
            "q": query.text,
            "count": str(min(query.limit, _MOST_OF_BRAVE)),
            "country": country.upper(),
            "search_lang": language,
        }
        if query.since:
            asked["freshness"] = _BRAVE_SINCE[query.since]
        headers = {"X-Subscription-Token": await self._key() or ""}
        found = await _json(self.fetcher, self.address, asked, self.name, headers)
        return Answer(_hits(_object(found.get("web")).get("results"), "description"))

    async def _key(self) -> str | None:
        return await anyio.to_thread.run_sync(self.vault.get, BRAVE_KEY)


@dataclass(frozen=True, slots=True)
class Ddgs:
    """One engine of the package ddgs, asked in a worker, because its calls cannot be stopped otherwise.

    Attributes:
        name: In settings and results; `brave-page` is the page of Brave, without a key.
    """

    name: str
    worker: Worker
    proxies: Proxies
    certificates: str
    seconds: int

    async def missing(self) -> str:
        """See `Backend`."""
        return ""

    async def search(self, query: Query) -> Answer:
        """See `Backend`."""
        engine = self.name.removesuffix("-page")
        proxy = self.proxies.of("https", ddgs_engine.HOSTS.get(engine, ""))
        rows = await self.worker.call(
            ddgs_engine.ask, engine, query.text, query.region, query.since, proxy, self.certificates, self.seconds
        )
        return Answer([Hit(title=clean(title), url=url, snippet=clean(snippet)) for title, url, snippet in rows])


async def _json(
    fetcher: Fetcher, address: str, asked: Mapping[str, str], name: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Ask a search API; no redirect is followed, as the key would go along.

    Raises:
        HomeportError: `unavailable`, `denied` or `limit`.
    """
    host = urlsplit(address).netloc
    answer = await fetcher.get(
        f"{address}?{urlencode(asked)}", headers={"Accept": "application/json", **(headers or {})}, follow=False
    )
    if answer.status in {401, 403, 422}:
        hint = "Does its settings.yml list the format json?" if name == "searxng" else "Is the key right?"
        raise HomeportError("denied", f"{host} refuses (status {answer.status}).", hint)
    if answer.status == 429:
        raise HomeportError("limit", f"{host} was asked too often (status 429).", "Wait a while.")
    if answer.status != 200:
        raise HomeportError("unavailable", f"{host} answers with status {answer.status}.")
    try:
        found: Any = json.loads(answer.data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HomeportError("unavailable", f"{host} answers with something else than results.", "Is it a search API?")
    return _object(found)  # pyright: ignore[reportUnknownArgumentType]


def _hits(rows: Any, snippet: str) -> list[Hit]:
    """Return the usable entries of a list that came from outside."""
    return [
        Hit(title=_plain(entry.get("title")), url=str(entry["url"]), snippet=_plain(entry.get(snippet)))
        for entry in map(_object, _list(rows))
        if entry.get("url")
    ]


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _plain(text: Any) -> str:
    """Return a text of an answer without the marks around found words."""
    return clean(" ".join(_TAGS.sub("", str(text or "")).split()))
