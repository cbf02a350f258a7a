"""Who may use the pages: this machine's user, from a page of this address, once a one-time link was opened."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homeport_shared.serving import is_loopback

SESSION_SECONDS = 30 * 24 * 3600
SAFE_METHODS = {"GET", "HEAD"}
OPEN_PATHS = ("/login", "/static/")
VIEW_PATHS = "/views/frame/"
PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self'; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
VIEW_POLICY = (
    "sandbox allow-scripts allow-forms allow-downloads; default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


class Sessions:
    """Cookies that say: this browser opened a one-time link. Signed, so that nothing needs to be stored.

    Args:
        key: Signs the cookies; whoever keeps it keeps sessions valid over restarts.
        base_url: The address people open, such as `http://127.0.0.1:8642`.
    """

    def __init__(self, key: bytes, base_url: str) -> None:
        self._key = key
        # Cookies do not keep ports apart, so two homeports on one machine need two names.
        self.cookie = f"homeport_{urlsplit(base_url).port or 80}"

    def make(self) -> str:
        """Return a new cookie's value."""
        body = f"{int(time.time()) + SESSION_SECONDS}.{secrets.token_hex(8)}"
        return f"{body}.{self._sign(body)}"

    def holds(self, connection: HTTPConnection) -> bool:
        """Say whether the request carries a valid cookie."""
        body, _, signature = connection.cookies.get(self.cookie, "").rpartition(".")
        expires = body.partition(".")[0]
        genuine = hmac.compare_digest(signature.encode(), self._sign(body).encode())
        return genuine and expires.isdigit() and int(expires) > time.time()

    def _sign(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Guard:
    """Refuses what does not come from this address and this user, and gives every answer its security headers.

    Args:
        app: The pages.
        sessions: The cookies.
        base_url: The address people open; only its host, `localhost` and its port are answered.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, base_url: str) -> None:
        self._app = app
        self._sessions = sessions
        address = urlsplit(base_url)
        name = address.hostname or ""
        hosts = [name, "localhost", "127.0.0.1"] if is_loopback(name) else [name]
        port = f":{address.port}" if address.port else ""
        self._hosts = {f"{host}{port}" for host in hosts}
        self._origins = {f"{address.scheme}://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        policy = VIEW_POLICY if path.startswith(VIEW_PATHS) else PAGE_POLICY.format(nonce=nonce)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(MutableHeaders(scope=message), policy)
            await send(message)

        refusal = self._refusal(scope, path)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, path: str) -> Response | None:
        headers = Headers(scope=scope)
        if scope["type"] != "http":
            return PlainTextResponse("This address speaks only HTTP.", 403)
        if headers.get("host", "") not in self._hosts:
            return PlainTextResponse("This is not the address of this Homeport.", 400)
        if scope["method"] not in SAFE_METHODS and headers.get("origin", "") not in self._origins:
            return PlainTextResponse("Only pages of this Homeport may do this.", 403)
        if path.startswith(OPEN_PATHS) or self._sessions.holds(HTTPConnection(scope)):
            return None
        return PlainTextResponse(
            "Signed out. Run the command 'homeport' on this machine: it opens a link that signs this browser in.", 401
        )


def _harden(headers: MutableHeaders, policy: str) -> None:
    headers["Content-Security-Policy"] = policy
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=()"
    headers.setdefault("Cache-Control", "no-store")


def login_route(sessions: Sessions, redeem: Callable[[str], bool]) -> Callable[[Request], Response]:
    """Return the handler of `/login?token=…`: a fresh token becomes a cookie, on loopback only."""

    def login(request: Request) -> Response:
        client = request.client.host if request.client else ""
        if not is_loopback(client):
            return PlainTextResponse("One-time links work only on the machine that runs Homeport.", 403)
        if not redeem(request.query_params.get("token", "")):
            return PlainTextResponse(
                "This link was used or has expired. Run the command 'homeport' for a new one.", 403
            )
        response = RedirectResponse(request.url_for("home").path, 303)
        response.set_cookie(
            sessions.cookie, sessions.make(), max_age=SESSION_SECONDS, httponly=True, samesite="strict", path="/"
        )
        return response

    return login
