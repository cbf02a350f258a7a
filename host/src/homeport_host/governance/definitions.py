"""Watch what third-party servers say of their tools: what changed waits for a person like any other held call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Hold
from homeport_host.governance.pins import Pins

CALLER = "definition"
Offers = Callable[[], Iterable[tuple[str, Sequence[Mapping[str, Any]]]]]


class DefinitionWatch:
    """Compares after each change of the lists, holds what changed, and pins what a person accepts.

    Args:
        offers: Server and its tools as they are now, for each third-party server that is connected.
    """

    def __init__(self, pins: Pins, approvals: Approvals, offers: Offers) -> None:
        self._pins = pins
        self._approvals = approvals
        self._offers = offers
        self._seen: dict[str, Sequence[Mapping[str, Any]]] = {}
        approvals.on_decided.append(self.decided)

    async def look(self) -> None:
        """Compare what the servers offer with what was accepted."""
        for server, tools in self._offers():
            if self._seen.get(server) == tools:
                continue
            self._seen[server] = [dict(tool) for tool in tools]
            for tool, diff in (await self._pins.compare(server, tools)).items():
                arguments = {"server": server, "tool": tool, "change": diff}
                await self._approvals.hold(
                    f"{server}__{tool}", arguments, caller=CALLER, run="", reason="The tool's definition changed."
                )

    async def decided(self, hold: Hold) -> None:
        """Pin the definition that a person accepted, if it is still the same."""
        if hold.caller != CALLER or hold.state != "approved":
            return
        server, tool = str(hold.arguments["server"]), str(hold.arguments["tool"])
        for name, tools in self._offers():
            changed = (await self._pins.compare(name, tools)).get(tool) if name == server else None
            if changed is not None and changed == hold.arguments["change"]:
                await self._pins.accept(server, next(entry for entry in tools if entry["name"] == tool))
