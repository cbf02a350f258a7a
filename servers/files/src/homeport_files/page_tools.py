"""The tools that only the file page calls: windows of rows, previews, downloads, new folders, its layout."""

from __future__ import annotations

import base64
from typing import Annotated

from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from homeport_files.browsing import Sort, Wanted, Window
from homeport_files.filters import Filters
from homeport_files.layouts import Layout
from homeport_files.packing import Packed
from homeport_files.parts import Parts
from homeport_files.previews import Preview
from homeport_files.results import Entry
from homeport_files.tables import View
from homeport_shared.server import Server
from homeport_shared.tools import APP, APP_WRITE, CREATE, READ

SET = ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=False)


class Thumbnail(BaseModel):
    """A small picture as a `data:` address."""

    path: str
    image: str


class LayoutNow(Layout):
    """How the page shows files; `alone` when no other server is there, so nothing is offered that needs one."""

    alone: bool


def register(server: Server, parts: Parts) -> None:
    """Add the tools of the page to `server`."""
    _looking(server, parts)
    _showing(server, parts)
    _changing(server, parts)


def _looking(server: Server, parts: Parts) -> None:
    @server.tool(title="Browse a folder", annotations=READ, meta=APP)
    async def browse(  # pyright: ignore[reportUnusedFunction]
        path: str,
        sort: Sort = "name",
        descending: bool = False,
        name: str = "",
        type: str = "",
        tag: str = "",
        smallest: int = 0,
        largest: int = 0,
        since: str = "",
        until: str = "",
        offset: int = 0,
        limit: int = 200,
        fresh: bool = False,
    ) -> Window:
        """Give a window of the sorted and filtered rows of a folder."""
        wanted = Wanted(
            sort,
            descending,
            Filters(type=type, tag=tag, name=name, smallest=smallest, largest=largest, since=since, until=until),
        )
        return await parts.browser.window(path, wanted, offset=offset, limit=limit, fresh=fresh)

    @server.tool(title="Download", annotations=READ, meta=APP)
    async def download(paths: list[str], cursor: str = "") -> Packed:  # pyright: ignore[reportUnusedFunction]
        """Give a part of a file, or of a ZIP of several files or folders, as base64."""
        return await parts.packer.part(paths, cursor)


def _showing(server: Server, parts: Parts) -> None:
    @server.tool(title="Preview a file", annotations=READ, meta=APP)
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
        return await parts.previewer.preview(path, page=page, edge=edge, view=view, cursor=cursor)

    @server.tool(title="Thumbnail", annotations=READ, meta=APP)
    async def thumbnail(path: str) -> Thumbnail:  # pyright: ignore[reportUnusedFunction]
        """Show a picture, or the first page of a PDF, made small."""
        data = await parts.previewer.thumbnail(path)
        return Thumbnail(path=path, image=f"data:;base64,{base64.b64encode(data).decode()}")


def _changing(server: Server, parts: Parts) -> None:
    @server.tool(title="New folder", annotations=CREATE, meta=APP_WRITE)
    async def make_folder(path: str) -> Entry:  # pyright: ignore[reportUnusedFunction]
        """Make an empty folder."""
        return await parts.changes.make_folder(path)

    @server.tool(title="Layout of the page", annotations=SET, meta=APP_WRITE)
    async def layout(chosen: Layout | None = None) -> LayoutNow:  # pyright: ignore[reportUnusedFunction]
        """Tell how the page shows files; with `chosen`, remember that."""
        kept = await parts.layouts.keep(chosen)
        return LayoutNow(**kept.model_dump(), alone=not parts.workspace.context.neighbours.there)
