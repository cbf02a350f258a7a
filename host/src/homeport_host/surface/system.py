"""The host as a whole: status, first run, folders, one-time addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from homeport_host.agents.runs import Wanted
from homeport_host.surface import setup
from homeport_host.surface.results import Item, Json, Named, Rows, Ticket, dumped
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import changing, reading
from homeport_host.tickets import SECONDS, Purpose
from homeport_shared import __version__
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError
from homeport_shared.server import Server

PATHS: dict[Purpose, str] = {
    "login": "/login?token=", "upload": "/upload?ticket=", "secret": "/secrets?ticket=",
}  # fmt: skip


def register(server: Server, host: HostServices) -> None:
    """Add what concerns the host as a whole."""
    _acting(server, host)
    _reading(server, host)


def _acting(server: Server, host: HostServices) -> None:
    changes = server.homeport.changes

    @changing(server, "Add folder", "person-only")
    async def add_folder(path: str, collection: str = "default", watch: bool = False) -> Item:
        """Make a folder usable for agents and its documents searchable, with watch also as they change; a job."""
        added = await host.add_folder(path, collection, watch)
        await changes.updated("homeport://setup", "homeport://status")
        return Item(**added)

    @changing(server, "Switch internet access", "person-only", idempotent=True)
    async def set_internet(allowed: bool) -> Named:
        """Allow agents and other programs the web tools, or refuse them all at once; it stays so."""
        await host.set_internet(allowed)
        await changes.updated("homeport://status")
        return Named(id="internet", state="on" if allowed else "off")

    @changing(server, "Create ticket", "person-only")
    async def create_ticket(purpose: Literal["login", "upload", "secret"], target: str = "") -> Ticket:
        """Make an address that works once: to sign in, to upload a file, or to enter a secret."""
        if not host.url():
            raise HomeportError("unavailable", "The host has no address.", "Start it with `homeport serve --http`.")
        token = host.tickets.create(purpose, target)
        expires = iso(server.homeport.clock.now() + timedelta(seconds=SECONDS))
        return Ticket(url=f"{host.url()}{PATHS[purpose]}{token}", expires=expires)

    @changing(server, "Finish setup", "person-only")
    async def finish_setup(skipped: bool = False) -> Named:
        """End the first run."""
        setup.finish(host)
        await changes.updated("homeport://setup")
        return Named(id="setup", state="skipped" if skipped else "done")


def _reading(server: Server, host: HostServices) -> None:
    @reading(server, "Status")
    async def status() -> Item:
        """Tell how the host is: version, mode, servers, runs, approvals, documents, last errors."""
        return Item(**await _status(host))

    @reading(server, "Setup", "person-only")
    async def get_setup() -> Item:
        """Tell how far the first run is and which model suits this machine."""
        return Item(**await setup.describe(host))

    @reading(server, "Keys", "person-only")
    async def list_keys() -> Rows:
        """List the names of the keys in the vault, as parameters of workflows refer to them; never a value."""
        return Rows(rows=[{"name": name} for name in await host.keys()])

    @server.resource("homeport://status", title="Status", mime_type="application/json")
    async def status_resource() -> str:
        """How the host is."""
        return dumped(await _status(host))

    @server.resource("homeport://setup", title="Setup", mime_type="application/json")
    async def setup_resource() -> str:
        """How far the first run is."""
        return dumped(await setup.describe(host))


async def _status(host: HostServices) -> Json:
    servers = host.registry.servers()
    runs = await host.run_store.count()
    failed = await host.run_store.latest(Wanted(states=("failed",)), limit=5)
    return {
        "version": __version__,
        "home": str(host.home),
        "mode": host.models.mode,
        "default_model": host.models.default,
        "internet": host.internet(),
        "servers": {state: sum(one.state == state for one in servers) for state in ("ready", "down")},
        "server_list": [one.model_dump(include={"name", "state", "tools", "reason"}) for one in servers],
        "runs": {state: runs.get(state, 0) for state in ("running", "waiting")},
        "approvals": len(await host.approvals.list("pending")),
        "documents": await host.documents(),
        "last_errors": [
            {"at": run.finished, "run": run.id, "message": (run.error or {}).get("message", "")} for run in failed
        ],
        "uptime_seconds": round(host.uptime(), 1),
        "url": host.url(),
    }
