"""The way from one server to the tools of another: through the host, which governs it; a server alone has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from homeport_shared.errors import HomeportError


class Neighbours(Protocol):
    """Calls tools of other servers."""

    @property
    def there(self) -> bool:
        """Whether there is a host at all."""
        ...

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool by its public name, such as `rag__add`, and return its structured content.

        Raises:
            HomeportError: What the tool or the host's policy says; `unavailable`, when there is no such server.
        """
        ...


class NoNeighbours:
    """The neighbours of a server that runs alone: none."""

    there = False

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse: there is no other server."""
        raise HomeportError(
            "unavailable",
            f"{tool} belongs to another server, and this one runs alone.",
            "Start Homeport, which connects its servers.",
        )
