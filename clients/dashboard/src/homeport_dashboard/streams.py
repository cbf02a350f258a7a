"""What browsers listen to: the one stream of changes, and the events of a run."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from homeport_dashboard.connection import Connection
from homeport_dashboard.live import Live
from homeport_shared.errors import HomeportError


def routes(connection: Connection) -> list[Route]:
    """Return the routes of this module."""

    async def open_stream(request: Request) -> Response:
        live = cast("Live", request.app.state.live)
        return StreamingResponse(
            live.stream(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def watch(request: Request) -> Response:
        live = cast("Live", request.app.state.live)
        wanted = await request.json()
        if not isinstance(wanted, list):
            raise HomeportError("invalid", "A stream watches a list of addresses.")
        known = live.watch(request.path_params["key"], [str(uri) for uri in cast("list[object]", wanted)])
        return Response(status_code=204 if known else 410)

    async def run_events(request: Request) -> Response:
        found = await connection.call(
            "homeport__run_events",
            {"run_id": request.path_params["run"], "after": int(request.query_params.get("after", "0"))},
        )
        return JSONResponse(found)

    return [
        Route("/live", open_stream),
        Route("/live/{key}", watch, methods=["POST"]),
        Route("/runs/{run}/events", run_events),
    ]
