"""A server's `ui://` view: one self-contained HTML file that MCP clients show in a sandboxed frame (MCP Apps)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.server.mcpserver.resources import FunctionResource
from mcp.types import ToolAnnotations

from homeport_shared.errors import HomeportError

SHOWS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def view(
    show: Callable[..., Awaitable[Any]], *, package: str, page: str, uri: str, title: str, meta: dict[str, Any]
) -> Apps:
    """Return the extension that gives a server its view; hand it to `Server(extensions=[…])`.

    Args:
        show: The tool that opens the view. It works without arguments, and what it returns is useful by itself to a
            client that shows no views.
        package: The import package whose folder `views` holds the page.
        page: The file's name, such as `browser.html`; the front-end build writes it.
        uri: The view's address, such as `ui://files/browser.html`.
        title: What people call the page.
        meta: Further `_meta` of the tool, such as its labels.
    """
    apps = Apps()
    apps.tool(resource_uri=uri, title=f"Show {title}", annotations=SHOWS, meta=meta)(show)

    async def html() -> str:
        file = files(package) / "views" / page
        if not file.is_file():
            raise HomeportError("unavailable", f"The page {uri} was not built.", "Run: make run")
        return file.read_text("utf-8")

    resource = FunctionResource.from_function(html, uri=uri, name=page, title=title, mime_type=APP_MIME_TYPE)
    apps.add_resource(resource)
    return apps
