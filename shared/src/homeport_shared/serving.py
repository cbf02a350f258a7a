"""Run one server as a program: over stdio for desktop clients, or over HTTP on loopback."""

from __future__ import annotations

import argparse
import hmac
import ipaddress
import os
import secrets
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import uvicorn
from pydantic import BaseModel
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from homeport_shared import __version__, logs
from homeport_shared.context import ServerContext, open_context
from homeport_shared.errors import HomeportError, foreseen_in
from homeport_shared.server import Server, listen_streams_closer

Build = Callable[[ServerContext], Server]
TOKEN_VARIABLE = "HOMEPORT_TOKEN"  # noqa: S105 - the name of the variable, not a token
GRACE_SECONDS = 1


def main(name: str, build: Build, settings: type[BaseModel], *, positional: str | None = None) -> None:
    """Parse the command line, serve until the client goes away or a signal comes, exit.

    Args:
        name: The server's key, such as `files`.
        build: Makes the server from its context.
        settings: The server's settings; each field becomes a flag.
        positional: The settings field that takes the arguments without a flag, such as `roots`.
    """
    arguments = _parser(name, settings, positional).parse_args()
    logs.configure(f"homeport-{name}", level=arguments.log_level)
    flags = {field: getattr(arguments, field) or None for field in settings.model_fields}
    try:
        anyio.run(_serve, name, build, flags, arguments)
    except (HomeportError, BaseExceptionGroup) as error:  # what a task group runs comes wrapped in a group
        foreseen = foreseen_in(error)
        if foreseen is None:
            raise
        print(f"homeport-{name}: {foreseen}", file=sys.stderr)  # noqa: T201 - the message of a program that ends
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _parser(name: str, settings: type[BaseModel], positional: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"homeport-{name}", description=settings.__doc__)
    parser.add_argument("--http", metavar="HOST:PORT", help="serve over HTTP instead of stdio")
    parser.add_argument("--no-token", action="store_true", help="with --http on loopback: ask clients for no token")
    parser.add_argument("--home", type=Path, help="the data root (default: HOMEPORT_HOME or the platform's folder)")
    parser.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.add_argument("--version", action="version", version=__version__)
    for field, info in settings.model_fields.items():
        many = "list" in str(info.annotation)
        if field == positional:
            parser.add_argument(field, nargs="*" if many else "?", help=info.description)
        else:
            parser.add_argument(f"--{field.replace('_', '-')}", nargs="*" if many else None, help=info.description)
    return parser


async def _serve(name: str, build: Build, flags: dict[str, Any], arguments: argparse.Namespace) -> None:
    async with open_context(name, home=arguments.home, flags=flags, followed=bool(arguments.http)) as context:
        server = build(context)
        if arguments.http is None:
            await server.run_stdio_async()
            return
        host, port = address(arguments.http)
        token = None if arguments.no_token and is_loopback(host) else os.environ.get(TOKEN_VARIABLE)
        if token is None and not (arguments.no_token and is_loopback(host)):
            if not is_loopback(host):
                raise HomeportError(
                    "denied",
                    f"{host} is not this machine alone.",
                    f"Set {TOKEN_VARIABLE} to a secret that clients send.",
                )
            token = secrets.token_urlsafe(24)
            print(f"token: {token}", file=sys.stderr, flush=True)  # noqa: T201 - how the user gets it
        if context.audit is not None:
            await context.audit.head()  # opens it now: otherwise the first caller waits for that
        app: ASGIApp = server.streamable_http_app(host=host)
        if token:
            app = BearerGuard(app, {token: name})
        await serve_http(app, host, port, closing=listen_streams_closer(server))


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `:PORT` or `PORT`.

    Raises:
        HomeportError: `invalid`, when there is no port between 0 and 65535.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise HomeportError("invalid", f"{text!r} is not HOST:PORT.", "Write it like 127.0.0.1:8642.")
    return host.strip("[]") or "127.0.0.1", int(port)


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class BearerGuard:
    """Let only requests with a known bearer token through; the rest get 401.

    Args:
        app: What is guarded.
        tokens: Token → who holds it; the holder is put into `scope["state"]["holder"]`.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str]) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        holder = self.holder(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
        if holder is None:
            refusal = JSONResponse(
                {"error": "This address needs a token: send it as 'Authorization: Bearer …'."},
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["holder"] = holder
        await self._app(scope, receive, send)

    def holder(self, header: str) -> str | None:
        """Return who holds the token in an `Authorization` header; None when nobody does."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = [who for known, who in self._tokens.items() if hmac.compare_digest(known.encode(), token.encode())]
        return found[0] if found else None


class HttpServer(uvicorn.Server):
    """uvicorn that stops at once: open `subscriptions/listen` streams are ended before it waits for connections."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing
        self.on_started: Callable[[int], Awaitable[None]] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take Ctrl+C and SIGTERM as the order to stop, and no more.

        uvicorn raises them again when it has stopped, which ends the process before what is around it could close.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: Any = None) -> None:
        """Start listening, then tell the port."""
        await super().startup(sockets)
        if self.on_started is not None and self.servers:
            await self.on_started(self.servers[0].sockets[0].getsockname()[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop serving at a signal, and drop open requests at the second Ctrl+C.

        Unlike uvicorn's own, it does not raise the signal again afterwards: the stores are still to be closed.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def main_loop(self) -> None:
        """Serve until a signal; when the task is cancelled instead, connections are closed just as well."""
        try:
            await super().main_loop()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self.shutdown()
            raise

    async def shutdown(self, sockets: Any = None) -> None:
        """End the streams that would keep connections open, then shut down."""
        self._closing()
        await super().shutdown(sockets)
        self._captured_signals.clear()  # uvicorn would raise them again: the process would end with its stores open


async def serve_http(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    closing: Callable[[], None] = lambda: None,
    on_started: Callable[[int], Awaitable[None]] | None = None,
) -> None:
    """Serve `app` until a signal or cancellation.

    Args:
        app: The ASGI application.
        host: The address to bind.
        port: The port; 0 = any free one.
        closing: Called once when shutting down, before connections are waited for.
        on_started: Awaited with the port once connections are accepted.

    Raises:
        HomeportError: `conflict`, when the port is in use.
    """
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = HttpServer(config, closing)
    server.on_started = on_started
    try:
        await server.serve()
    except SystemExit as error:  # how uvicorn says that it could not bind
        raise HomeportError(
            "conflict", f"Port {port} on {host} is in use.", "Stop what listens there, or choose another port."
        ) from error
