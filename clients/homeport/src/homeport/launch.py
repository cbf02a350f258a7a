"""Start everything in one process: the host, its servers and the dashboard, at one address."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from mcp import Client
from starlette.applications import Starlette

from homeport_dashboard.app import create_dashboard
from homeport_host import process
from homeport_host.host import Host, open_host
from homeport_host.http import RequestLog, create_app
from homeport_shared import __version__, serving
from homeport_shared.errors import HomeportError

IDLE_LOOK_SECONDS = 5.0


async def launch(
    home: Path,
    host: str,
    port: int,
    *,
    any_port: bool,
    idle_exit: float,
    ready: Callable[[str], Awaitable[None]],
) -> None:
    """Run the host of `home` until a signal comes or nobody has used it for `idle_exit` seconds.

    Args:
        home: The data root.
        host: A loopback address.
        port: The port; 0 = any.
        any_port: Take another port when this one is in use.
        idle_exit: Seconds without a request and without a run; 0 = never leave.
        ready: Told the address to open, with a one-time ticket in it.

    Raises:
        HomeportError: `conflict`, when another host runs on `home`, or the port is in use.
    """
    with process.sole_host(home):
        port = _free_port(host, port) if any_port or port == 0 else port
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        async with open_host(home, url=url) as running:
            mcp = running.mcp_app(port)
            dashboard = create_dashboard(
                lambda: Client(running.person_server()),
                version=__version__,
                redeem_login=lambda ticket: running.tickets.redeem(ticket, "login") is not None,
                base_url=url,
                session_key=process.credential(home, "person").encode(),
            )
            app = create_app(running, mcp, process.Credentials(home), hosts=set(), pages=dashboard)
            await _serve(running, app, (mcp, dashboard), host, port, idle_exit, ready)


async def _serve(
    running: Host,
    app: RequestLog,
    inner: tuple[Starlette, Starlette],
    host: str,
    port: int,
    idle_exit: float,
    ready: Callable[[str], Awaitable[None]],
) -> None:
    async with anyio.create_task_group() as tasks:

        async def started(bound: int) -> None:
            process.announce(running.home, running.url, __version__)
            await ready(f"{running.url}/login?token={running.tickets.create('login')}")

        def close() -> None:
            running.close_streams()
            inner[1].state.close()

        for part in inner:  # a mounted app's lifespan is entered by nobody else
            await tasks.start(_lifespan, part)
        if idle_exit:
            tasks.start_soon(_leave_when_idle, running, app, idle_exit, tasks.cancel_scope)
        await serving.serve_http(app, host, port, closing=close, on_started=started)
        tasks.cancel_scope.cancel()


async def _lifespan(app: Starlette, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    async with app.router.lifespan_context(app):
        task_status.started()
        await anyio.sleep_forever()


async def _leave_when_idle(running: Host, app: RequestLog, seconds: float, scope: anyio.CancelScope) -> None:
    while app.idle_seconds() < seconds or await running.busy():  # noqa: ASYNC110 - idleness has no event
        await anyio.sleep(min(IDLE_LOOK_SECONDS, seconds))
    scope.cancel()


def _free_port(host: str, wanted: int) -> int:
    """Return `wanted` if nothing listens there, else any free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (wanted, 0):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise HomeportError("unavailable", f"{host} has no free port.", "Check the network settings of this machine.")
