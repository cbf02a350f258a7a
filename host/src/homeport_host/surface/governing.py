"""Tools and resources of approvals, events and the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel

from homeport_host.events.bus import EventBus
from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Hold
from homeport_host.surface.tools import FOR_PERSONS, changing, reading
from homeport_shared import identity
from homeport_shared.audit import AuditLog
from homeport_shared.server import Server


class Approval(BaseModel):
    """A call that waits for a person, or was decided."""

    id: str
    tool: str
    server: str
    arguments: dict[str, Any]
    digest: str
    caller: str
    run: str
    reason: str
    created: str
    expires: str
    state: str


class ApprovalList(BaseModel):
    """Approvals, newest first."""

    approvals: list[Approval]


class EventRecord(BaseModel):
    """Something that happened."""

    seq: int
    at: str
    kind: str
    subject: str
    data: dict[str, Any]


class EventList(BaseModel):
    """Events in the order in which they happened; go on after `next`."""

    events: list[EventRecord]
    next: int


class AuditRow(BaseModel):
    """One row of the audit log."""

    seq: int
    at: str
    action: str
    target: str
    actor: str
    agent: str
    run: str
    decision: str
    outcome: str
    milliseconds: float
    details: dict[str, Any]


class AuditRows(BaseModel):
    """Rows of the audit log, newest first, and whether the chain is whole."""

    rows: list[AuditRow]
    broken_at: int | None = None


def shown(hold: Hold) -> Approval:
    """Return a hold as it is shown."""
    return Approval(**asdict(hold), server=hold.tool.partition("__")[0])


def register(server: Server, approvals: Approvals, events: EventBus, audit: AuditLog) -> None:
    """Register the tools and resources."""
    _register_approvals(server, approvals)

    @reading(server, "List events")
    async def list_events(kind: str = "*", after: int = 0, limit: int = 200) -> EventList:
        """List what happened, oldest first. kind is a pattern such as file.*; go on with after = next."""
        found = await events.after(after, kinds=kind or "*", limit=min(limit, 1_000))
        records = [EventRecord(**asdict(event)) for event in found]
        return EventList(events=records, next=records[-1].seq if records else after)

    @reading(server, "Read the audit log", "person-only")
    async def list_audit(run: str = "", limit: int = 100, before: int = 0, verify: bool = False) -> AuditRows:
        """List what was called, by whom, what policy said and how it ended; newest first."""
        rows = await audit.latest(min(limit, 1_000), before=before or None, run=run)
        broken = await audit.broken_at() if verify else None
        return AuditRows(rows=[AuditRow.model_validate(row) for row in rows], broken_at=broken)

    @server.resource("audit://recent", title="Audit log", mime_type="application/json", meta=FOR_PERSONS)
    async def recent_audit() -> str:
        """The newest rows of the audit log; the tool list_audit pages."""
        rows = [AuditRow.model_validate(row) for row in await audit.latest(100)]
        return AuditRows(rows=rows).model_dump_json()


def _register_approvals(server: Server, approvals: Approvals) -> None:
    @reading(server, "List approvals", "person-only")
    async def list_approvals(state: str = "pending") -> ApprovalList:
        """List the calls that wait for a person (or those in another state; empty = all)."""
        return ApprovalList(approvals=[shown(hold) for hold in await approvals.list(state)])

    @changing(server, "Approve or deny", "person-only")
    async def decide_approval(
        approval_id: str, approve: bool, remember: Literal["once", "always", "never"] = "once", note: str = ""
    ) -> Approval:
        """Approve or deny a waiting call. Only a person can. remember settles later calls of this tool, too."""
        actor = identity.current().actor
        return shown(await approvals.decide(approval_id, approve, by=actor, remember=remember, note=note))

    @server.resource("approval://pending", title="Approvals", mime_type="application/json", meta=FOR_PERSONS)
    async def pending() -> str:
        """The calls that wait for a person; the same as the tool list_approvals."""
        return ApprovalList(approvals=[shown(hold) for hold in await approvals.list()]).model_dump_json()

    @server.resource("approval://{approval_id}", title="Approval", mime_type="application/json", meta=FOR_PERSONS)
    async def one(approval_id: str) -> str:
        """One call that waits for a person, or was decided."""
        return shown(await approvals.get(approval_id)).model_dump_json()
