"""The MCP surface of the files server."""

from __future__ import annotations

from homeport_files.settings import FilesSettings
from homeport_shared import serving
from homeport_shared.context import ServerContext
from homeport_shared.server import Server


def build_server(context: ServerContext) -> Server:
    """Make the files server."""
    server = Server(context, title="Files", instructions="Browse, read, search and change files below the roots.")

    @server.tool(title="Echo")
    async def echo(text: str) -> str:
        """Return text."""
        return text

    return server


def main() -> None:
    """Run `homeport-files`."""
    serving.main("files", build_server, FilesSettings, positional="roots")
