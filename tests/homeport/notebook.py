"""A third-party server as anybody would write one with the SDK; nothing in it knows Homeport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated
from mcp.types import ToolAnnotations

bus = InMemorySubscriptionBus()
server: MCPServer[Any] = MCPServer("notebook", subscriptions=bus)
notes = {"a": "first"}
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(destructive_hint=False, open_world_hint=False)


@server.tool(annotations=READS)
async def count(steps: int, ctx: Context[Any]) -> str:
    """Report progress."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
    return "done"


@server.tool(annotations=READS)
async def wait(marker: str, ctx: Context[Any]) -> str:
    """Report that it waits, and write the marker file when it is cancelled."""
    try:
        await ctx.report_progress(1, 2)
        await anyio.sleep(300)
    except anyio.get_cancelled_exc_class():
        Path(marker).write_text("cancelled")
        raise
    return "waited"


@server.tool(annotations=WRITES)
async def write(name: str, text: str) -> str:
    """Change a note."""
    notes[name] = text
    await bus.publish(ResourceUpdated(uri=f"note://{name}"))
    return "written"


@server.tool(annotations=ToolAnnotations(destructive_hint=True, open_world_hint=False))
async def burn(name: str) -> str:
    """Delete a note for good."""
    return f"burned {name}"


@server.resource("note://{name}", mime_type="text/plain")
async def note(name: str) -> str:
    """A note."""
    return notes[name]


if __name__ == "__main__":
    server.run(transport="stdio")
