"""The front over HTTP: who may come, and what is left behind by clients of 2025 that go."""

from __future__ import annotations

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from homeport_host.gateway.front import Front
from homeport_host.gateway.listening import Listening
from homeport_shared.serving import BearerGuard

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def mcp_app(front: Front, *, port: int, path: str = "/mcp") -> Starlette:
    """Return the app that serves `front` to this machine; its lifespan must be entered.

    Args:
        front: What is served.
        port: Our own port: a Host or Origin with any other is refused, as a rebound name or a foreign page would be.
        path: Where it is served.
    """
    names = [f"{name}:{port}" for name in LOOPBACK_NAMES]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=names,
        allowed_origins=[f"http://{name}" for name in names],
    )
    app = front.server.streamable_http_app(streamable_http_path=path, transport_security=security)
    app.add_middleware(SessionEnds, listening=front.listening)
    return app


def guarded(app: ASGIApp, tokens: dict[str, str]) -> ASGIApp:
    """Let only holders of a credential through.

    Args:
        app: What `mcp_app` returned.
        tokens: Token → who holds it; `front.holder_of` returns the holder.
    """
    return BearerGuard(app, tokens)


class SessionEnds:
    """Forget a 2025 client when it ends its session; nothing else tells that it went."""

    def __init__(self, app: ASGIApp, listening: Listening) -> None:
        self._app = app
        self._listening = listening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        await self._app(scope, receive, send)
        if scope["type"] == "http" and scope["method"] == "DELETE":
            session = dict(scope["headers"]).get(b"mcp-session-id", b"").decode("latin-1")
            if session:
                self._listening.end_session(session)
