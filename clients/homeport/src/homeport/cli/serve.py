"""Run the host in the foreground, or attach a desktop client's stdio to it."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import anyio
import click

from homeport.cli.output import console
from homeport_host import process
from homeport_shared import __version__, garbage, logs, serving, settings
from homeport_shared.errors import HomeportError


def run(*, open_browser: bool) -> None:
    """Run everything in the foreground until Ctrl+C; when a host runs already, only open its dashboard."""
    home = settings.home_folder()
    if (record := process.running(home)) is not None:
        url = anyio.run(_login_url, home)
        console.print(f"Homeport runs already (process {record.pid}): {url}")
        if open_browser:
            webbrowser.open(url)
        return
    anyio.run(_foreground, home, None, 0.0, open_browser)


@click.command()
@click.option("--stdio", is_flag=True, help="Attach to the host over this program's stdin and stdout.")
@click.option("--http", metavar="HOST:PORT", help="Run the host at this address.")
@click.option("--expose", metavar="MODE", help="What a client is shown: all, search or profile:NAME.")
@click.option("--client", default="stdio", metavar="NAME", help="With --stdio: which client this is for.")
@click.option("--idle-exit", type=float, default=0.0, metavar="SECONDS", help="Leave after so long without a client.")
def serve(stdio: bool, http: str | None, expose: str | None, client: str, idle_exit: float) -> None:
    """Serve MCP: --stdio for a desktop client, --http to run the host."""
    home = settings.home_folder()
    if stdio == bool(http):
        raise HomeportError("invalid", "Choose --stdio or --http.", "A desktop client wants: homeport serve --stdio")
    if stdio:
        from homeport.shim import attach

        garbage.begin()
        anyio.run(attach, home, f"client:{client}", expose)
    else:
        anyio.run(_foreground, home, http, idle_exit, False)


async def _foreground(home: Path, where: str | None, idle_exit: float, open_browser: bool) -> None:
    from homeport.launch import launch

    host, port = serving.address(where) if where else ("127.0.0.1", process.DEFAULT_PORT)
    if not serving.is_loopback(host):
        raise HomeportError(
            "denied", f"{host} is not this machine alone.", "Put a reverse proxy with TLS in front of 127.0.0.1."
        )
    logs.configure("homeport", folder=home / "logs", level="INFO", stderr=idle_exit > 0)

    async def ready(url: str) -> None:
        garbage.begin()
        if where is None and not url.startswith(f"http://{host}:{port}/"):
            console.print(f"Port {port} is in use by another program, so this is another one.", highlight=False)
        console.print(f"Homeport {__version__}: [bold]{url}[/]\nCtrl+C stops it.", highlight=False)
        if open_browser:
            await anyio.to_thread.run_sync(webbrowser.open, url)

    await launch(home, host, port, any_port=where is None, idle_exit=idle_exit, ready=ready)


async def _login_url(home: Path) -> str:
    from homeport.connection import call, connect

    async with connect(home, start=False) as client:
        return (await call(client, "homeport__create_ticket", purpose="login"))["url"]
