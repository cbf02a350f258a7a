"""A server's `ui://` view: one self-contained HTML file that MCP clients show in a sandboxed frame (MCP Apps)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, cast

from mcp.client import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, Apps, client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.resources import FunctionResource
from mcp.types import ToolAnnotations

from homeport_shared.errors import HomeportError

SHOWS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
SHOWS_VIEWS = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})  # what a client with views says of itself


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


async def hide_page_tools(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Leave the tools that only pages use out of the list for a client that shows no pages, as server middleware.

    They would cost its model most of the room that the list takes.
    """
    result = await call_next(ctx)
    if ctx.method != "tools/list" or not isinstance(result, dict) or client_supports_apps(ctx):
        return result
    return {**result, "tools": [tool for tool in result["tools"] if not _only_for_pages(tool)]}


def _only_for_pages(tool: dict[str, Any]) -> bool:
    meta = cast("dict[str, dict[str, list[str]]]", tool.get("_meta") or {})
    return "model" not in meta.get("ui", {}).get("visibility", ["model"])
