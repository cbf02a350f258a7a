"""The tools that keep the files in order: tags, totals, what changed lately."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from mcp.types import ToolAnnotations

from homeport_files import totals
from homeport_files.outside import Recent
from homeport_files.results import TagCounts, Tagged
from homeport_files.workspace import Workspace
from homeport_shared.identity import LABELS
from homeport_shared.server import Server

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=False)
PAGE_WRITES: dict[str, Any] = {LABELS: ["can-be-taken-back"], "ui": {"visibility": ["app"]}}
NONE: list[str] = []  # the SDK copies defaults; a shared list is never changed
PAGE_READS: dict[str, Any] = {LABELS: ["reads-private", "untrusted-content"], "ui": {"visibility": ["app"]}}


def register(server: Server, workspace: Workspace) -> None:
    """Add the tools and resources to `server`."""
    _tags(server, workspace)
    _totals(server, workspace)
    _recent(server, workspace)


def _tags(server: Server, workspace: Workspace) -> None:
    @server.tool(title="Tag files", annotations=WRITES, meta=PAGE_WRITES)
    async def tag(  # pyright: ignore[reportUnusedFunction]
        paths: list[str], add: list[str] = NONE, remove: list[str] = NONE
    ) -> Tagged:
        """Add and remove tags of files or folders; return those that they have then."""
        return await workspace.tag(paths, add, remove)

    @server.tool(title="List tags", annotations=READS, meta=PAGE_READS)
    async def tags(tag: str = "") -> TagCounts:  # pyright: ignore[reportUnusedFunction]
        """Count what has each tag; with `tag`, list the paths that have it."""
        return TagCounts(tags=await workspace.tags.counts(), paths=await workspace.tags.tagged(tag) if tag else [])

    @server.tool(title="Rename a tag", annotations=WRITES, meta=PAGE_WRITES)
    async def rename_tag(tag: str, new: str = "") -> TagCounts:  # pyright: ignore[reportUnusedFunction]
        """Rename a tag everywhere; without `new` remove it."""
        await workspace.tags.rename(tag, new)
        await server.homeport.changes.updated("files://tags")
        return TagCounts(tags=await workspace.tags.counts(), paths=[])

    @server.resource("files://tags", title="Tags", mime_type="application/json")
    async def tag_counts() -> str:  # pyright: ignore[reportUnusedFunction]
        """How many files and folders have each tag."""
        return TagCounts(tags=await workspace.tags.counts(), paths=[]).model_dump_json()


def _totals(server: Server, workspace: Workspace) -> None:
    @server.tool(title="Folder tree", annotations=READS, meta=PAGE_READS)
    async def folders(path: str, depth: int = 1) -> totals.Tree:  # pyright: ignore[reportUnusedFunction]
        """List a folder and those below it with number of files, size and newest change."""
        return await anyio.to_thread.run_sync(lambda: totals.tree(workspace.roots, path, depth=max(depth, 0)))

    @server.tool(title="Statistics", annotations=READS, meta=PAGE_READS)
    async def stats() -> totals.Stats:  # pyright: ignore[reportUnusedFunction]
        """Count files and bytes by type, and the space of the disks."""
        return await anyio.to_thread.run_sync(totals.stats, workspace.roots)

    @server.resource("files://stats", title="Statistics", mime_type="application/json")
    async def statistics() -> str:  # pyright: ignore[reportUnusedFunction]
        """Files and bytes by type, and the space of the disks."""
        return (await anyio.to_thread.run_sync(totals.stats, workspace.roots)).model_dump_json()


def _recent(server: Server, workspace: Workspace) -> None:
    @server.tool(title="Recent changes", annotations=READS, meta=PAGE_READS)
    async def recent(after: int = 0) -> Recent:  # pyright: ignore[reportUnusedFunction]
        """List what changed lately, also by other programs; `after` is the number of the last one known."""
        return workspace.outside.recent(after=after)

    @server.resource("files://recent", title="Recent changes", mime_type="application/json")
    async def recent_changes() -> str:  # pyright: ignore[reportUnusedFunction]
        """What changed lately, also by other programs: an event source."""
        return workspace.outside.recent(after=0).model_dump_json()
