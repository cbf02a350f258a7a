"""What happens inside runs and with approvals, as events of the bus."""

from __future__ import annotations

from typing import Any

from homeport_host.events.bus import EventBus
from homeport_host.governance.calls import Hold
from homeport_shared.events import Event


class InRuns:
    """Raises events for what the host does.

    Args:
        bus: Where they go.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    async def in_run(self, run: str, kind: str, data: dict[str, Any]) -> None:
        """Tell that a run waits, or that a step of its workflow failed; to be registered with the recorder."""
        if kind == "state" and data.get("state") == "waiting":
            await self._bus.publish(
                Event("run.waiting", f"run://{run}", {"kind": "", "waits_for": data.get("waits_for", "person")}),
                cause=run,
            )
        elif kind == "step" and data.get("state") == "failed":
            told = {name: data.get(name) for name in ("node", "path", "error")}
            await self._bus.publish(Event("workflow.node_failed", f"run://{run}", told), cause=run)

    async def held(self, hold: Hold) -> None:
        """Tell that a call waits for a person; to be registered with the approvals."""
        await self._approval("requested", hold)

    async def decided(self, hold: Hold) -> None:
        """Tell that a person decided on a call; to be registered with the approvals."""
        await self._approval("decided", hold)

    async def _approval(self, what: str, hold: Hold) -> None:
        data = {"tool": hold.tool, "caller": hold.caller, "state": hold.state, "reason": hold.reason}
        await self._bus.publish(Event(f"approval.{what}", f"approval://{hold.id}", data), cause=hold.run)
