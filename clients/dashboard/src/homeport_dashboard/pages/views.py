"""The `ui://` views of servers, sandboxed: their document, and the calls that they make through the page."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from homeport_dashboard import navigation
from homeport_dashboard.actions import approval_for
from homeport_dashboard.connection import Connection, Json, error_of
from homeport_dashboard.rendering import Pages, attempt
from homeport_shared.errors import HomeportError


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def view_page(request: Request) -> Response:
        """Show a view as a whole page; its query arguments go to the launch tool, so every state has a link."""
        entry = next(page for page in navigation.PAGES if page.path == request.url.path)
        server, tool = entry.view
        launch = await attempt(_launched(connection, tool, dict(request.query_params)))
        return await pages.page(
            request,
            "view.html",
            current=entry.key,
            crumbs=[(entry.title, entry.path)],
            title=entry.title,
            server=server,
            launch=launch,
        )

    async def server_view(request: Request) -> Response:
        """Show the view of any server, as a page of that server."""
        server = request.path_params["server"]
        launch = await attempt(_first_view(connection, server, dict(request.query_params)))
        crumbs = [("Servers", "/servers"), (server, f"/servers/{server}"), ("View", f"/servers/{server}/view")]
        values: Json = {"title": server, "server": server, "launch": launch}
        return await pages.page(request, "view.html", current="", crumbs=crumbs, **values)

    async def frame(request: Request) -> Response:
        uri = f"ui://{request.path_params['path']}"
        html, media_type = await connection.read_text(uri)
        if not media_type.startswith("text/html"):
            raise HomeportError("unsupported", f"{uri} is not a page.")
        return HTMLResponse(html)

    async def call(request: Request) -> Response:
        """Call a tool for a view: only tools of its own server that are meant for views."""
        wanted = await request.json()
        server, name = request.path_params["server"], str(wanted["name"])
        public = name if name.startswith(f"{server}__") else f"{server}__{name}"
        return JSONResponse(await _called(connection, public, cast("Json", wanted.get("arguments") or {})))

    async def read(request: Request) -> Response:
        """Read a resource for a view: only of its own server."""
        server, uri = request.path_params["server"], request.query_params["uri"]
        if not uri.startswith((f"{server}://", f"{server}+", f"ui://{server}/")):
            raise HomeportError("denied", f"This view may not read {uri}.")
        text, media_type = await connection.read_text(uri)
        return JSONResponse({"contents": [{"uri": uri, "mimeType": media_type, "text": text}]})

    return [
        *(Route(page.path, view_page) for page in navigation.PAGES if page.view[0]),
        Route("/servers/{server}/view", server_view),
        Route("/views/frame/{path:path}", frame),
        Route("/views/{server}/call", call, methods=["POST"]),
        Route("/views/{server}/read", read),
    ]


async def _called(connection: Connection, tool: str, arguments: Json) -> Json:
    """Return the result of a call for a view, with the `approval` that it waits for, if it does."""
    found = (await connection.tools()).get(tool)
    ui = cast("Json", (found.meta or {}).get("ui") or {}) if found else {}
    if found is None or "app" not in ui.get("visibility", ["model", "app"]):
        own = tool.partition("__")[2]
        raise HomeportError("denied", f"This view may not call {own}.", "Use the tool from Chat instead.")
    result = await connection.result(tool, arguments)
    answer = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    if result.is_error and error_of(result).code == "approval_required":
        answer["approval"] = await approval_for(connection, tool, arguments)
    return answer


async def _first_view(connection: Connection, server: str, arguments: dict[str, str]) -> Json:
    """Open the first view that a server offers and that needs no input; an empty `uri` when it has none."""
    for tool in (await connection.tools()).values():
        ui = cast("Json", (tool.meta or {}).get("ui") or {})
        if ui.get("resourceUri") and tool.name.startswith(f"{server}__") and not tool.input_schema.get("required"):
            return await _launched(connection, tool.name, arguments)
    return {"uri": ""}


async def _launched(connection: Connection, tool: str, arguments: dict[str, str]) -> Json:
    """Call the tool that opens a view, and return what the page hands to the view."""
    found = (await connection.tools()).get(tool)
    if found is None:
        raise HomeportError(
            "not_found", f"The server of {tool} is not running.", "See the list of servers for the reason."
        )
    accepted = found.input_schema.get("properties", {})
    given = {k: v for k, v in arguments.items() if k in accepted}
    result = await connection.result(tool, given)
    if result.is_error:
        raise error_of(result)
    ui = cast("Json", (found.meta or {}).get("ui") or {})
    return {
        "uri": ui.get("resourceUri", ""),
        "tool": tool,
        "arguments": arguments,
        "result": result.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
