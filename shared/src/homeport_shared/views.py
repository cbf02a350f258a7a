"""A server's `ui://` view: one self-contained HTML file that MCP clients show in a sandboxed frame (MCP Apps)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
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
    if ctx.method != "tools/list" or client_supports_apps(ctx):
        return await call_next(ctx)
    with _without_pages():
        result = await call_next(ctx)
    if not isinstance(result, dict):
        return result
    return {**result, "tools": [tool for tool in result["tools"] if not only_for_pages(tool.get("_meta"))]}


def only_for_pages(meta: Mapping[str, Any] | None) -> bool:
    """Say whether a tool with this `_meta` is for pages alone."""
    ui = cast("Mapping[str, list[str]]", (meta or {}).get("ui", {}))
    return "model" not in ui.get("visibility", ["model"])


_shown: ContextVar[bool] = ContextVar("_shown", default=True)


def pages_are_shown() -> bool:
    """Say whether who asks now is told of the tools for pages."""
    return _shown.get()


@contextmanager
def _without_pages() -> Generator[None]:
    token = _shown.set(False)
    try:
        yield
    finally:
        _shown.reset(token)
