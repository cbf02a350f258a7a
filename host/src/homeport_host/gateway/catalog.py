"""What all servers offer together, under names and URIs that are unique."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import anyio

from homeport_host.gateway import uris
from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Label, Tool
from homeport_host.governance.labels import labels_of, own_labels
from homeport_shared.errors import HomeportError

LONGEST_NAME = 64
Definition = Mapping[str, Any]
OnDefinition = Callable[[str, str, Definition | None, Definition | None], Awaitable[None]]


class Catalog:
    """The tools, resources and prompts of all servers.

    Args:
        upstreams: The servers, in the order in which they were configured; the first of a scheme keeps it.
        overrides: Public tool name → the user's labels for it.

    Attributes:
        on_definition: Awaited with server, the tool's own name, old and new definition (None = it is not there),
            before a tool that is new, changed or gone is shown so.
        on_change: Awaited after the catalog changed.
    """

    def __init__(self, upstreams: Upstreams, overrides: Mapping[str, Iterable[str]] | None = None) -> None:
        self._upstreams = upstreams
        self._overrides = overrides or {}
        self._tools: dict[str, Tool] = {}
        self._seen: dict[str, dict[str, dict[str, Any]]] = {}
        self._owners: dict[str, str] = {}
        self._prompts: dict[str, tuple[Upstream, str]] = {}
        self.on_definition: list[OnDefinition] = []
        self.on_change: list[Callable[[], Awaitable[None]]] = []
        self._turn = anyio.Lock()
        upstreams.on_change.append(self.refresh)

    async def refresh(self) -> None:
        """Take over what the servers offer now."""
        async with self._turn:
            await self._refresh()

    async def _refresh(self) -> None:
        seen = {upstream.name: _by_name(upstream.tools) for upstream in self._upstreams.all()}
        before, self._seen = self._seen, seen
        await self._tell(before, seen)
        self._owners = self._schemes()
        self._tools = {tool.name: tool for upstream in self._upstreams.all() for tool in self._tools_of(upstream)}
        self._prompts = {
            name: (upstream, own)
            for upstream in self._upstreams.all()
            for own, name in public_names(upstream.name, _by_name(upstream.prompts)).items()
        }
        for listener in list(self.on_change):
            await listener()

    def tools(self) -> list[Tool]:
        """Return every tool under its public name; those of a server that is down stay in the list."""
        return list(self._tools.values())

    def tool(self, name: str) -> Tool | None:
        """Return the tool of that public name."""
        return self._tools.get(name)

    def resources(self) -> list[dict[str, Any]]:
        """Return the raw entries of `resources/list` under public URIs."""
        return [self._entry(upstream, entry) for upstream in self._upstreams.all() for entry in upstream.resources]

    def templates(self) -> list[dict[str, Any]]:
        """Return the raw entries of `resources/templates/list` under public URIs."""
        return [self._entry(upstream, entry) for upstream in self._upstreams.all() for entry in upstream.templates]

    def prompts(self) -> list[dict[str, Any]]:
        """Return the raw entries of `prompts/list` under public names."""
        return [{**_by_name(upstream.prompts)[own], "name": name} for name, (upstream, own) in self._prompts.items()]

    def definition(self, tool: Tool) -> dict[str, Any]:
        """Return the entry of `tools/list` that clients see."""
        return {**uris.in_entry(tool.definition, lambda uri: self.public(tool.server, uri)), "name": tool.name}

    def locate(self, uri: str) -> tuple[Upstream, str]:
        """Return the server of a public URI or URI template, and the URI that the server knows.

        Raises:
            HomeportError: `not_found`.
        """
        found = uris.own_uri(uri, self._owners, {upstream.name: upstream for upstream in self._upstreams.all()})
        if found is None:
            raise HomeportError(
                "not_found", f"There is no resource {uri!r}.", "List the resources and read one of them."
            )
        return self._upstreams.get(found[0]), found[1]

    def labels_at(self, uri: str) -> frozenset[Label]:
        """Return the labels of the resource or template at a public URI.

        They are those of the entry that lists it, else of each template that fits, else of everything in its scheme:
        a spelling that no entry has does not lose the labels.

        Raises:
            HomeportError: `not_found`.
        """
        upstream, own = self.locate(uri)
        entries = [*upstream.resources, *upstream.templates]
        listed = [entry for entry in entries if own in (entry.get("uri"), entry.get("uriTemplate"))]
        fitting = listed or [entry for entry in upstream.templates if uris.fits(own, str(entry.get("uriTemplate")))]
        return frozenset(label for entry in fitting or _of_scheme(entries, own) for label in own_labels(entry))

    def briefings(self) -> list[tuple[str, str]]:
        """Return title and public URI of each resource of our own servers that agents are told at the start."""
        return [
            (str(entry.get("title") or entry["name"]), self.public(upstream.name, str(entry["uri"])))
            for upstream in self._upstreams.all()
            if upstream.config.bundled
            for entry in upstream.resources
            if "instructs-agents" in own_labels(entry)
        ]

    def prompt(self, name: str) -> tuple[Upstream, str]:
        """Return the server of a public prompt name, and the name that the server knows.

        Raises:
            HomeportError: `not_found`.
        """
        if name not in self._prompts:
            raise HomeportError("not_found", f"There is no prompt {name!r}.", "List the prompts and use one of them.")
        return self._prompts[name]

    def public(self, server: str, uri: str) -> str:
        """Return the public form of a server's own URI."""
        return uris.public_uri(server, uri, self._owners)

    def publish(self, server: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Return a server's result with public URIs."""
        return uris.in_result(result, lambda uri: self.public(server, uri))

    def _entry(self, upstream: Upstream, entry: Mapping[str, Any]) -> dict[str, Any]:
        return uris.in_entry(entry, lambda uri: self.public(upstream.name, uri))

    def _schemes(self) -> dict[str, str]:
        owners: dict[str, str] = {}
        for upstream in self._upstreams.all():
            for entry in (*upstream.resources, *upstream.templates):
                scheme = _scheme(entry)
                if scheme and scheme != "ui":
                    owners.setdefault(scheme, upstream.name)
        return owners

    def _tools_of(self, upstream: Upstream) -> list[Tool]:
        definitions = self._seen[upstream.name]
        return [
            Tool(name, upstream.name, own, definitions[own], self._labels(name, upstream, definitions[own]))
            for own, name in public_names(upstream.name, definitions).items()
        ]

    def _labels(self, name: str, upstream: Upstream, definition: Mapping[str, Any]) -> frozenset[Label]:
        return labels_of(definition, bundled=upstream.config.bundled, override=self._overrides.get(name))

    async def _tell(self, before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> None:
        for server in before.keys() | now.keys():
            old, new = before.get(server, {}), now.get(server, {})
            for own in old.keys() | new.keys():
                if old.get(own) != new.get(own):
                    for listener in list(self.on_definition):
                        await listener(server, own, old.get(own), new.get(own))


def public_names(server: str, own_names: Iterable[str]) -> dict[str, str]:
    """Return own name → public name, `server__name`, of at most 64 characters `[a-zA-Z0-9_-]`.

    A name that fits keeps its form; one that had to be changed gets a hash when another has its form already.
    """
    given = list(own_names)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for own in sorted(given, key=lambda name: (_clean(server, name) != f"{server}__{name}", name)):
        name = _clean(server, own)
        if name in taken:
            name = _hashed(name, own)
        taken.add(name)
        names[own] = name
    return {own: names[own] for own in given}


def _clean(server: str, own: str) -> str:
    name = f"{server}__{re.sub(r'[^a-zA-Z0-9_-]', '_', own)}"
    return name if len(name) <= LONGEST_NAME else _hashed(name, own)


def _hashed(name: str, own: str) -> str:
    mark = hashlib.sha256(own.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}_{mark}"


def _by_name(entries: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if isinstance(entry.get("name"), str):
            named.setdefault(entry["name"], entry)
    return named


def _scheme(entry: Mapping[str, Any]) -> str:
    return uris.scheme_of(str(entry.get("uri") or entry.get("uriTemplate") or ""))


def _of_scheme(entries: Iterable[dict[str, Any]], uri: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if _scheme(entry) == uris.scheme_of(uri)]
