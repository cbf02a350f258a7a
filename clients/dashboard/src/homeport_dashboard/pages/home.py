"""Dashboard: status, quick actions, running work, last errors."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Pages, attempt, attempt_all


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""
    set_up = False  # for good once it is: looking again would ask every provider for its models, at every visit

    async def home(request: Request) -> Response:
        nonlocal set_up
        part = request.query_params.get("part")
        if part is None and not set_up:
            setup = await attempt(connection.read("homeport://setup"))
            if setup.value and not setup.value["done"]:
                return RedirectResponse("/setup", 303)
            set_up = setup.value is not None
        found: Json = {"knowledge": None} | await attempt_all(
            status=connection.read("homeport://status"),
            runs=connection.call("homeport__list_runs", {"limit": 6}),
            chats=connection.call("homeport__list_chats", {"limit": 5}),
            servers=connection.call("homeport__list_servers"),
        )
        if found["status"].value and found["status"].value["documents"]:  # else it would wait for the server to start
            found["knowledge"] = await attempt(connection.read("rag://stats"))
        if part is not None:
            return pages.fragment("parts/home.html", **found)
        return await pages.page(request, "home.html", current="home", crumbs=[("Dashboard", "/")], **found)

    return [Route("/", home, name="home")]
