"""The tools that only the file page calls: windows of rows, previews, uploads, new folders."""

from __future__ import annotations

from typing import Annotated

from mcp.types import ToolAnnotations
from pydantic import Field

from homeport_files.browsing import Browser, Group, Sort, Wanted, Window
from homeport_files.previews import Preview, Previewer
from homeport_files.results import Entry
from homeport_files.tables import View
from homeport_files.uploads import Uploaded, Uploads
from homeport_files.workspace import Workspace
from homeport_shared.identity import LABELS
from homeport_shared.server import Server

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(destructive_hint=False, open_world_hint=False)
PAGE_READS = {LABELS: ["reads-private", "untrusted-content"], "ui": {"visibility": ["app"]}}
PAGE_WRITES = {LABELS: ["can-be-taken-back"], "ui": {"visibility": ["app"]}}


def register(server: Server, workspace: Workspace) -> None:
    """Add the tools of the page to `server`."""
    _looking(server, workspace)
    _changing(server, workspace)


def _looking(server: Server, workspace: Workspace) -> None:
    previewer = Previewer(server.homeport, workspace)
    browser = Browser(workspace, server.homeport.clock)

    @server.tool(title="Browse a folder", annotations=READS, meta=PAGE_READS)
    async def browse(  # pyright: ignore[reportUnusedFunction]
        path: str,
        sort: Sort = "name",
        descending: bool = False,
        name: str = "",
        group: Group = "",
        smallest: int = 0,
        largest: int = 0,
        since: str = "",
        until: str = "",
        offset: int = 0,
        limit: int = 200,
        fresh: bool = False,
    ) -> Window:
        """Give a window of the sorted and filtered rows of a folder."""
        wanted = Wanted(sort, descending, name, group, smallest, largest, since, until)
        return await browser.window(path, wanted, offset=offset, limit=limit, fresh=fresh)

    @server.tool(title="Preview a file", annotations=READS, meta=PAGE_READS)
    async def preview(  # pyright: ignore[reportUnusedFunction]
        path: str,
        page: int = 1,
        edge: int = 1200,
        sheet: str = "",
        filters: dict[int, str] | None = None,
        sort: int | None = None,
        descending: bool = False,
        offset: int = 0,
        limit: Annotated[int, Field(ge=1, le=500)] = 100,
        cursor: str = "",
    ) -> Preview:
        """Show a file: text, rows of a table, a picture, a page of a PDF, or its first bytes."""
        view = View(sheet, filters or {}, sort, descending, max(offset, 0), limit)
        return await previewer.preview(path, page=page, edge=edge, view=view, cursor=cursor)


def _changing(server: Server, workspace: Workspace) -> None:
    uploads = Uploads(server.homeport, workspace)

    @server.tool(title="Upload a file", annotations=WRITES, meta=PAGE_WRITES)
    async def upload(  # pyright: ignore[reportUnusedFunction]
        path: str,
        total: Annotated[int, Field(ge=0)],
        content: str,
        offset: Annotated[int, Field(ge=0)] = 0,
        upload: str = "",
        overwrite: bool = False,
        duplicate: bool = False,
    ) -> Uploaded:
        """Take a part of a file as base64; the last part writes it."""
        return await uploads.take(
            path,
            total=total,
            offset=offset,
            content=content,
            upload=upload,
            overwrite=overwrite,
            duplicate=duplicate,
        )

    @server.tool(title="New folder", annotations=WRITES, meta=PAGE_WRITES)
    async def make_folder(path: str) -> Entry:  # pyright: ignore[reportUnusedFunction]
        """Make an empty folder."""
        return await workspace.make_folder(path)
