"""The dashboard as a Starlette application: the host is reached through MCP and nothing else."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from homeport_dashboard import actions, streams
from homeport_dashboard.connection import Connect, Connection
from homeport_dashboard.live import Live
from homeport_dashboard.pages import approvals, chat, events, home, servers, setup, tasks, views, workflows
from homeport_dashboard.rendering import Pages
from homeport_dashboard.security import Guard, Sessions, login_route
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
STATUS = {"not_found": 404, "denied": 403, "invalid": 400, "unavailable": 503, "timeout": 504}


class Files(StaticFiles):
    """Static files that browsers keep for ever when their address carries a version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file."""
        response = await super().get_response(path, scope)
        versioned = b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return response


def create_dashboard(
    connect: Connect,
    *,
    version: str,
    redeem_login: Callable[[str], bool],
    base_url: str,
    session_key: bytes | None = None,
) -> Starlette:
    """Make the dashboard.

    Its lifespan holds the connection; a launcher that mounts it enters `app.router.lifespan_context(app)` itself.
    `app.state.close()` ends the open streams, for a quick shutdown.

    Args:
        connect: Opens an MCP client to the host's gateway that acts as the person.
        version: Shown in the footer.
        redeem_login: Says whether a one-time token is good, and uses it up.
        base_url: The address people open, such as `http://127.0.0.1:8642`.
        session_key: Signs the session cookies; None = sessions end with this process.
    """
    connection = Connection(connect)
    pages = Pages(connection, version)
    sessions = Sessions(session_key or secrets.token_bytes(32), base_url)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            live = app.state.live = Live(connection, tasks)
            app.state.close = live.close
            tasks.start_soon(connection.run)
            yield
            live.close()
            tasks.cancel_scope.cancel()

    app = Starlette(
        routes=[
            Route("/login", login_route(sessions, redeem_login), name="login"),
            Mount("/static", Files(directory=STATIC), name="static"),
            *home.routes(connection, pages),
            *chat.routes(connection, pages),
            *approvals.routes(connection, pages),
            *setup.routes(connection, pages),
            *tasks.routes(connection, pages),
            *workflows.routes(connection, pages),
            *events.routes(connection, pages),
            *views.routes(connection, pages),
            *servers.routes(connection, pages),
            *actions.routes(connection, pages),
            *streams.routes(connection),
        ],
        middleware=[
            Middleware(Guard, sessions=sessions, base_url=base_url),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
        exception_handlers=_failures(pages),
        lifespan=lifespan,
    )
    app.state.sessions = sessions
    return app


def _failures(pages: Pages) -> dict[Any, Any]:
    """Return what is shown instead of a page: the error in the uniform form."""

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HomeportError)
        status = STATUS.get(error.code, 500)
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"error": error.as_dict()}, status)
        return await pages.page(
            request, "failed.html", current="", crumbs=[("Problem", "")], error=error, status_code=status
        )

    async def missing(request: Request, _error: Exception) -> Response:
        what = HomeportError("not_found", f"There is no page {request.url.path}.", "Choose one in the menu.")
        return await failed(request, what)

    async def unforeseen(request: Request, error: Exception) -> Response:
        said = f"This page failed in a way nobody foresaw: {type(error).__name__}."  # the server logs the rest
        return await failed(request, HomeportError("internal", said, "Try again; the log of the host says more."))

    return {HomeportError: failed, 404: missing, Exception: unforeseen}
