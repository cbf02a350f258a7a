"""The host's own MCP server: everything that a page, the command line or another client asks of the host itself."""

from __future__ import annotations

from homeport_host.surface import chat, events, governing, models, runs, servers, system, tasks, workflows
from homeport_host.surface.services import HostServices
from homeport_shared.context import ServerContext
from homeport_shared.server import Server

KEY = "homeport"
INSTRUCTIONS = (
    "The Homeport host: talk to its agents (`chat_send`), let them do something (`run_start`, then `run_events`), and"
    " see what runs, what waits for approval and what is connected (`status`)."
)


def build_server(context: ServerContext, host: HostServices) -> Server:
    """Make the host's own server.

    Args:
        context: Its place among the servers of the host; its name is `homeport`.
        host: The services that its tools use.
    """
    server = Server(context, title="Homeport", instructions=INSTRUCTIONS)
    for part in (chat, runs, tasks, workflows, events, models, system):
        part.register(server, host)
    servers.register(server, host.registry)
    governing.register(server, host.approvals, host.events, host.audit)
    return server
