"""First run: a model, a folder, a first question. Each step can be skipped, and all of it repeated."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Outcome, Pages, attempt

STEPS = ("model", "folder", "question")


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def setup(request: Request) -> Response:
        found = await attempt(connection.call("homeport__get_setup"))
        step = request.query_params.get("step", found.value["step"] if found.value else "model")
        step = step if step in STEPS else "model"
        models = await attempt(connection.call("homeport__list_models")) if step == "model" else Outcome()
        status = await attempt(connection.read("homeport://status")) if step == "question" else Outcome()
        values: Json = {"setup": found, "models": models, "status": status, "step": step, "steps": STEPS}
        if "part" in request.query_params:
            return pages.fragment("parts/setup.html", **values)
        return await pages.page(request, "setup.html", current="", crumbs=[("Set-up", "/setup")], **values)

    return [Route("/setup", setup)]
