"""The tools that keep the files in order: what changed lately."""

from __future__ import annotations

from typing import Any

from mcp.types import ToolAnnotations

from homeport_files.outside import Recent
from homeport_files.workspace import Workspace
from homeport_shared.identity import LABELS
from homeport_shared.server import Server

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
PAGE_READS: dict[str, Any] = {LABELS: ["reads-private", "untrusted-content"], "ui": {"visibility": ["app"]}}


def register(server: Server, workspace: Workspace) -> None:
    """Add the tools and resources to `server`."""

    @server.tool(title="Recent changes", annotations=READS, meta=PAGE_READS)
    async def recent(after: int = 0) -> Recent:  # pyright: ignore[reportUnusedFunction]
        """List what changed lately, also by other programs; `after` is the number of the last one known."""
        return workspace.outside.recent(after=after)

    @server.resource("files://recent", title="Recent changes", mime_type="application/json")
    async def recent_changes() -> str:  # pyright: ignore[reportUnusedFunction]
        """What changed lately, also by other programs: an event source."""
        return workspace.outside.recent(after=0).model_dump_json()
