"""The web as the settings make it: one way to search, one to visit."""

from __future__ import annotations

from urllib.parse import urlsplit

from homeport_shared.context import ServerContext
from homeport_shared.workers import Worker
from homeport_web.addresses import Rules
from homeport_web.backends import Brave, Ddgs, Searxng
from homeport_web.fetching import Fetcher, Proxies
from homeport_web.pages import Pages
from homeport_web.search import Backend, Search
from homeport_web.settings import WebSettings


class Web:
    """Searching and visiting.

    Args:
        context: The server's context.
        settings: The server's settings.

    Attributes:
        search: The search engines.
        pages: The pages.
    """

    def __init__(self, context: ServerContext, settings: WebSettings) -> None:
        self._context = context
        self._settings = settings
        self._proxies = Proxies(settings.proxy, tuple(settings.no_proxy))
        rules = Rules(
            frozenset(host.lower() for host in settings.private_hosts),
            tuple(settings.only_hosts),
            frozenset(settings.ports),
        )
        self.pages = Pages(context, settings, self._fetcher(rules, settings.seconds))
        self.search = Search(self._backends(), settings.search_seconds, context.clock)

    def _fetcher(self, rules: Rules, seconds: int) -> Fetcher:
        return Fetcher(
            rules,
            most_bytes=self._settings.page_mb << 20,
            seconds=seconds,
            proxies=self._proxies,
            certificates=self._settings.certificates,
        )

    def _backends(self) -> list[Backend]:
        worker = Worker("search engine client", memory_mb=self._settings.memory_mb)
        self._context.closing(worker.aclose)
        return [self._backend(name, worker) for name in self._settings.backends]

    def _backend(self, name: str, worker: Worker) -> Backend:
        settings = self._settings
        if name == "searxng":
            return Searxng(self._chosen(settings.searxng_address), settings.searxng_address)
        if name == "brave":
            return Brave(self._chosen(settings.brave_address), settings.brave_address, self._context.vault)
        return Ddgs(name, worker, self._proxies, settings.certificates, settings.search_seconds)

    def _chosen(self, address: str) -> Fetcher:
        """Return what reaches the one place that a person put into the settings, be it in the own network."""
        parts = urlsplit(address)
        rules = Rules(frozenset({parts.netloc.lower(), parts.hostname or ""}), ports=frozenset({80, 443}))
        return self._fetcher(rules, self._settings.search_seconds)
