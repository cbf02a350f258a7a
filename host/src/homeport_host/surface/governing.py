"""Approvals, events and the audit log as tools and resources."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from homeport_host.surface.results import PERSON, READ, WRITE, Approvals, Item, Json, Rows, dumped, hold_json
from homeport_host.surface.services import HostServices
from homeport_shared import identity
from homeport_shared.server import Server


def register(server: Server, host: HostServices) -> None:
    """Add what concerns approvals, events and audit."""
    _approvals(server, host)
    _records(server, host)
    _resources(server, host)


def _approvals(server: Server, host: HostServices) -> None:
    @server.tool(title="Approvals", annotations=READ)
    async def list_approvals(state: str = "pending") -> Approvals:
        """List calls that wait for a person, newest first; state "" = also those that were decided."""
        return Approvals(approvals=await _held(host, state))

    @server.tool(title="Decide", annotations=WRITE, meta=PERSON)
    async def decide_approval(
        approval_id: str,
        approve: bool,
        remember: Annotated[
            Literal["once", "always", "never"], Field(description="settles later calls of this tool, too")
        ] = "once",
        note: str = "",
    ) -> Item:
        """Approve or deny a call that waits."""
        by = identity.current().actor or "person"
        hold = await host.approvals.decide(approval_id, approve, by=by, remember=remember, note=note)
        return Item(**hold_json(hold, _titles(host)))


def _records(server: Server, host: HostServices) -> None:
    @server.tool(title="Events", annotations=READ)
    async def list_events(
        kind: Annotated[str, Field(description="pattern such as file.*")] = "",
        after: int = 0,
        limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    ) -> Rows:
        """List what happened after event number `after`, oldest first; 0 = the newest, newest first."""
        found = await (
            host.events.after(after, kinds=kind or "*", limit=limit) if after or kind else _latest(host, limit)
        )
        return Rows(rows=[asdict(event) for event in found])

    @server.tool(title="Audit", annotations=READ, meta=PERSON)
    async def list_audit(run: str = "", limit: Annotated[int, Field(ge=1, le=1000)] = 100, before: int = 0) -> Rows:
        """List every call that was made, tried or refused, newest first."""
        return Rows(rows=await host.audit.latest(limit, before=before or None, run=run))


def _resources(server: Server, host: HostServices) -> None:
    @server.resource("approval://pending", title="Approvals", mime_type="application/json")
    async def pending() -> str:
        """Calls that wait for a person."""
        return dumped({"approvals": await _held(host, "pending")})

    @server.resource("approval://{approval_id}", title="Approval", mime_type="application/json")
    async def approval(approval_id: str) -> str:
        """One call that waits or waited for a person."""
        return dumped(hold_json(await host.approvals.get(approval_id), _titles(host)))

    @server.resource("event://recent", title="Events", mime_type="application/json")
    async def events() -> str:
        """The newest events."""
        return dumped({"rows": [asdict(event) for event in await _latest(host, 100)]})

    @server.resource("audit://recent", title="Audit", mime_type="application/json")
    async def audit() -> str:
        """The newest calls."""
        return dumped({"rows": await host.audit.latest(100)})


async def _held(host: HostServices, state: str) -> list[Json]:
    titles = _titles(host)
    return [hold_json(hold, titles) for hold in await host.approvals.list(state)]


async def _latest(host: HostServices, limit: int) -> list[Any]:
    return await host.events.latest(limit)


def _titles(host: HostServices) -> dict[str, str]:
    return {tool.name: str(tool.definition.get("title") or "") for tool in host.tools.tools()}
