"""Send governed calls, reads and prompts to the server they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Caller, Progress, Tool
from homeport_host.governance.stages import Pending
from homeport_shared.identity import LABELS

OWN_SERVER = "homeport"


class Routing:
    """What the dispatcher calls when a call may go on: implements `governance.dispatch.Upstreams`.

    Args:
        catalog: Which name and URI is whose.
        upstreams: The servers.
    """

    def __init__(self, catalog: Catalog, upstreams: Upstreams) -> None:
        self._catalog = catalog
        self._upstreams = upstreams

    def tools(self) -> list[Tool]:
        """Return every tool there is."""
        return self._catalog.tools()

    def tool(self, name: str) -> Tool | None:
        """Return the tool of that public name."""
        return self._catalog.tool(name)

    def person_only(self, uri: str) -> bool:
        """Say whether only a person may read a resource: a label on one resource of the host counts for its scheme."""
        upstream, own = self._catalog.locate(uri)
        if not upstream.config.bundled:
            return False
        start = f"{own.partition('://')[0]}://"
        entries = [entry for entry in (*upstream.resources, *upstream.templates) if _uri(entry).startswith(start)]
        metas = [cast("dict[str, Any]", entry.get("_meta") or {}) for entry in entries]
        return any("person-only" in meta.get(LABELS, ()) for meta in metas)

    def reads_own_things(self, uri: str) -> bool:
        """Say whether a resource belongs to the host itself."""
        return self._catalog.locate(uri)[0].name == OWN_SERVER

    async def call_tool(self, call: Pending) -> dict[str, Any]:
        """Send a call to its server and return the raw result, URIs already public.

        Raises:
            HomeportError: As `Upstream.request`.
        """
        params = {"name": call.tool.own, "arguments": call.arguments, "_meta": call.meta, **_retry(call.extra)}
        upstream = self._upstreams.get(call.tool.server)
        return await self._send(upstream, "tools/call", params, call.caller, call.progress)

    async def read_resource(self, uri: str, caller: Caller, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Read a resource by its public URI.

        Raises:
            HomeportError: `not_found`, or as `Upstream.request`.
        """
        upstream, own = self._catalog.locate(uri)
        return await self._send(upstream, "resources/read", {"uri": own, "_meta": meta}, caller)

    async def get_prompt(
        self, name: str, arguments: Mapping[str, str], caller: Caller, meta: Mapping[str, Any], extra: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Render a prompt by its public name.

        Raises:
            HomeportError: `not_found`, or as `Upstream.request`.
        """
        upstream, own = self._catalog.prompt(name)
        params = {"name": own, "arguments": dict(arguments), "_meta": meta, **_retry(extra)}
        return await self._send(upstream, "prompts/get", params, caller)

    async def _send(
        self, upstream: Upstream, method: str, params: dict[str, Any], caller: Caller, progress: Progress | None = None
    ) -> dict[str, Any]:
        result = await upstream.request(method, params, identity=caller.speaks_as, progress=progress)
        return self._catalog.publish(upstream.name, result)


def _uri(entry: Mapping[str, Any]) -> str:
    return str(entry.get("uri") or entry.get("uriTemplate"))


def _retry(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: extra[name] for name in ("inputResponses", "requestState") if extra.get(name) is not None}
