"""The host's one HTTP address: /mcp, health, metrics, uploads and secret entry, and the pages mounted beside them."""

from __future__ import annotations

import html
import json
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import anyio
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homeport_host.tickets import Tickets
from homeport_shared.errors import HomeportError
from homeport_shared.serving import BearerGuard, is_loopback

logger = logging.getLogger(__name__)
MAX_UPLOAD = 200 * 1024 * 1024
STATUS: dict[str, int] = {"not_found": 404, "denied": 403, "too_large": 413, "unavailable": 503, "internal": 500}


class Doors(Protocol):
    """What the routes need of the host."""

    tickets: Tickets

    async def health(self) -> dict[str, Any]:
        """Whether the host works, without anything private."""
        ...

    async def metrics(self) -> str:
        """The counters in Prometheus' text format."""
        ...

    async def receive_upload(self, target: str, file: Path, name: str) -> dict[str, Any]:
        """Take over an uploaded file for a ticket's target."""
        ...

    async def store_secret(self, name: str, value: str) -> None:
        """Put a secret that a person entered into the vault."""
        ...


def create_app(
    doors: Doors, mcp: ASGIApp, tokens: Mapping[str, str], *, hosts: set[str], pages: ASGIApp | None = None
) -> RequestLog:
    """Return the host's ASGI application.

    Args:
        doors: The host.
        mcp: Serves `/mcp` to those with a token; the holder is in `scope["state"]["holder"]`.
        tokens: Token → holder.
        hosts: The values of `Host` that are accepted besides those of this machine.
        pages: The dashboard, mounted at `/`.
    """

    async def health(_: Request) -> Response:
        return JSONResponse(await doors.health())

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(await doors.metrics(), media_type="text/plain; version=0.0.4")

    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/metrics", BearerGuard(_as_app(metrics), {t: h for t, h in tokens.items() if h == "person"})),
        Route("/upload", _upload(doors), methods=["POST"]),
        Route("/secrets", _secrets(doors), methods=["GET", "POST"]),
        Route("/mcp", BearerGuard(mcp, tokens)),
    ]
    if pages is not None:
        routes.append(Mount("/", pages))
    return RequestLog(HostGuard(Starlette(routes=routes), hosts))


def _as_app(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return app


def _upload(doors: Doors) -> Callable[[Request], Awaitable[Response]]:
    async def upload(request: Request) -> Response:
        target = doors.tickets.redeem(request.query_params.get("ticket", ""), "upload")
        if target is None:
            return refused(HomeportError("denied", "This upload ticket is used, expired or unknown.", "Start again."))
        if int(request.headers.get("content-length", 0)) > MAX_UPLOAD:
            return refused(HomeportError("too_large", f"The file is larger than {MAX_UPLOAD >> 20} MB.", "Split it."))
        try:
            async with request.form(max_files=1, max_fields=4) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise HomeportError("invalid", "The upload has no field `file`.", "Send it as multipart/form-data.")
                return JSONResponse(await _hand_over(doors, target, file))
        except HomeportError as error:
            return refused(error)

    return upload


async def _hand_over(doors: Doors, target: str, file: UploadFile) -> dict[str, Any]:
    name = Path((file.filename or "upload").replace("\\", "/")).name or "upload"
    with tempfile.TemporaryDirectory(prefix="homeport-upload-") as folder:
        path = Path(folder) / "content"
        async with await anyio.open_file(path, "wb") as output:
            while block := await file.read(1 << 20):
                await output.write(block)
        return await doors.receive_upload(target, path, name)


ENTRY_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Enter a secret</title>
<style>body{{font:16px system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}}
input,button{{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin:.5rem 0}}</style>
<h1>{title}</h1><p>{text}</p>{form}</html>"""
ENTRY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def _secrets(doors: Doors) -> Callable[[Request], Awaitable[Response]]:
    async def enter(request: Request) -> Response:
        ticket = request.query_params.get("ticket", "")
        name = doors.tickets.peek(ticket, "secret")
        if name is None:
            return _secret_page("This link is used up", "Ask for a new one on the page you came from.", status=403)
        if request.method == "GET":
            form = (
                '<form method="post"><label>Value <input type="password" name="value" required autofocus '
                'autocomplete="off"></label><button>Save</button></form>'
            )
            return _secret_page(f"Enter {html.escape(name)}", "It goes into this machine's vault only.", form)
        value = str((await request.form()).get("value", "")).strip()
        if not value:
            return _secret_page(f"Enter {html.escape(name)}", "The field was empty.", status=400)
        doors.tickets.redeem(ticket, "secret")
        await doors.store_secret(name, value)
        return _secret_page("Saved", "You can close this tab and go back.")

    return enter


def _secret_page(title: str, text: str, form: str = "", status: int = 200) -> Response:
    page = ENTRY_PAGE.format(title=title, text=text, form=form)
    return HTMLResponse(page, status_code=status, headers=ENTRY_HEADERS)


def refused(error: HomeportError) -> JSONResponse:
    """Return `error` in the uniform form with a fitting HTTP status."""
    return JSONResponse({"error": error.as_dict()}, status_code=STATUS.get(error.code, 400))


class HostGuard:
    """Refuse requests that name another host: a foreign page that resolves to loopback gets nothing (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            named = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            host = named.rsplit(":", 1)[0] if not named.endswith("]") else named
            if host not in self._hosts and not is_loopback(host.strip("[]")):
                response = PlainTextResponse("This host is not served here.", status_code=421)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class RequestLog:
    """Log each request with its status and time, and remember when the last one was."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.open = 0
        self.last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        self.open += 1

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self.open -= 1
            self.last = time.monotonic()
            holder = scope.get("state", {}).get("holder", "")
            record = {"method": scope["method"], "path": scope["path"], "status": status, "holder": holder}
            logger.info("request %s", json.dumps({**record, "ms": round((time.perf_counter() - started) * 1000, 1)}))

    def idle_seconds(self) -> float:
        """Return for how long nobody has had a request open."""
        return 0.0 if self.open else time.monotonic() - self.last
