"""Send governed calls, reads and prompts to the server they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.upstream import Upstream
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Caller, Label, Progress, Tool
from homeport_host.governance.stages import Pending

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

    def labels_at(self, uri: str) -> tuple[str, frozenset[Label]]:
        """Return the server and the labels of a resource.

        Raises:
            HomeportError: `not_found`.
        """
        return self._catalog.locate(uri)[0].name, self._catalog.labels_at(uri)

    def server_of_prompt(self, name: str) -> str:
        """Return the server of a prompt.

        Raises:
            HomeportError: `not_found`.
        """
        return self._catalog.prompt(name)[0].name

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

    async def complete(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Complete an argument of a prompt or template under its public name.

        Raises:
            HomeportError: `not_found`, or as `Upstream.request`.
        """
        reference: dict[str, Any] = dict(params["ref"])
        if reference.get("type") == "ref/prompt":
            upstream, reference["name"] = self._catalog.prompt(reference["name"])
        else:
            upstream, reference["uri"] = self._catalog.locate(reference["uri"])
        return await self._send(upstream, "completion/complete", {**params, "ref": reference}, caller)

    async def _send(
        self, upstream: Upstream, method: str, params: dict[str, Any], caller: Caller, progress: Progress | None = None
    ) -> dict[str, Any]:
        result = await upstream.request(method, params, identity=caller.speaks_as, progress=progress)
        return self._catalog.publish(upstream.name, result)


def _retry(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: extra[name] for name in ("inputResponses", "requestState") if extra.get(name) is not None}
