"""A third-party MCP server whose tools write down what they did: `python ledger.py FILE`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
file = Path(sys.argv[1])
server = MCPServer("ledger", log_level="CRITICAL")  # a failure that is wanted needs no coloured traceback


def write(word: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{word}\n".encode())
    os.close(handle)


@server.tool(annotations=CHANGES)
def note(word: str) -> dict[str, str]:
    """Write a word down."""
    write(word)
    return {"word": word}


@server.tool(annotations=CHANGES)
def flaky(word: str, fails: int) -> dict[str, str]:
    """Write a word down and fail the first times."""
    write(word)
    if file.read_text("utf-8").split().count(word) <= fails:
        raise ValueError(f"{word} does not work yet")
    return {"word": word}


@server.tool(annotations=CHANGES)
async def wait(word: str) -> str:
    """Write a word down and wait until cancelled."""
    write(word)
    try:
        await anyio.sleep_forever()
    finally:
        write(f"{word}-stopped")
    return word


@server.tool(annotations=CHANGES)
async def meet(word: str, other: str) -> dict[str, str]:
    """Write a word down and wait until another one is there."""
    write(word)
    while other not in file.read_text("utf-8").split():
        await anyio.sleep(0.01)
    return {"word": word}


@server.tool(annotations=READS)
def look(words: list[str]) -> dict[str, list[str]]:
    """Give back some words."""
    return {"words": words}


@server.tool()
def wipe(day: str) -> str:
    """Do what cannot be taken back."""
    write(day)
    return f"{day} is gone."


server.run("stdio")
