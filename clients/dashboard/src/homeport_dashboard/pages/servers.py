"""Any server and any tool as a page: forms from input schemas, tables and text from results."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from homeport_dashboard import forms, navigation
from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Pages
from homeport_shared.errors import HomeportError


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def tool_named(name: str) -> Json:
        listed = await connection.call("homeport__list_tools", {"query": ""})
        for tool in listed["tools"]:
            if tool["name"] == name:
                return tool
        raise HomeportError("not_found", f"There is no tool {name}.", "Press Ctrl+K and search for it.")

    async def servers(request: Request) -> Response:
        listed = await connection.call("homeport__list_servers")
        own_pages = {page.view[0]: page.path for page in navigation.PAGES if page.view[0]}
        values: Json = {"servers": listed["servers"], "own_pages": own_pages}
        return await pages.page(request, "servers.html", current="", crumbs=[("Servers", "/servers")], **values)

    async def server(request: Request) -> Response:
        name = request.path_params["server"]
        listed = await connection.call("homeport__list_servers")
        found = next((item for item in listed["servers"] if item["name"] == name), None)
        if found is None:
            raise HomeportError("not_found", f"There is no server {name}.", "Choose one of the list of servers.")
        tools = (await connection.call("homeport__list_tools", {"server": name}))["tools"]
        crumbs = [("Servers", "/servers"), (found["title"] or name, f"/servers/{name}")]
        return await pages.page(request, "server.html", current="", crumbs=crumbs, server=found, tools=tools)

    async def tool(request: Request) -> Response:
        found = await tool_named(request.path_params["tool"])
        given = {k: v for k, v in request.query_params.items() if k != "part"}
        values: Json = {"tool": found, "fields": forms.fields(found["input_schema"], given)}
        if "part" in request.query_params:
            return pages.fragment("parts/tool.html", **values)
        crumbs = [
            ("Servers", "/servers"),
            (found["server"], f"/servers/{found['server']}"),
            (found["title"] or found["name"], f"/tools/{found['name']}"),
        ]
        return await pages.page(request, "tool.html", current="", crumbs=crumbs, **values)

    async def arguments(request: Request) -> Response:
        """Read a filled form of a tool and return the arguments that it means."""
        found = await tool_named(request.path_params["tool"])
        filled = {str(k): str(v) for k, v in (await request.json()).items()}
        return JSONResponse(forms.arguments(found["input_schema"], filled))

    return [
        Route("/servers", servers),
        Route("/servers/{server}", server),
        Route("/tools/{tool}", tool),
        Route("/tools/{tool}/arguments", arguments, methods=["POST"]),
    ]
