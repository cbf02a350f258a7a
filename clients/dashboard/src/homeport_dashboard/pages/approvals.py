"""Approvals: actions that wait for a decision."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Pages, attempt

STATES = ("pending", "approved", "denied", "expired")


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def approvals(request: Request) -> Response:
        state = request.query_params.get("state", "pending")
        state = state if state in STATES else "pending"
        found = await attempt(connection.call("homeport__list_approvals", {"state": state}))
        selected = request.path_params.get("approval", "")
        values: Json = {"found": found, "state": state, "states": STATES, "selected": selected}
        if "part" in request.query_params:
            return pages.fragment("parts/approvals.html", **values)
        crumbs = [("Approvals", "/approvals")]
        return await pages.page(request, "approvals.html", current="approvals", crumbs=crumbs, **values)

    return [Route("/approvals", approvals), Route("/approvals/{approval}", approvals)]
