"""Starting: the host until its page answers, and one server until its first result.

`mcp-server-git` is the peer: the official Python server on the same SDK. Both are installed in environments of their
own, as `uvx` does it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.benchmarks import peer_environment
from tests.benchmarks.homes import host
from tests.benchmarks.rows import Row, compared, middle

ROUNDS = 9


async def measure() -> list[Row]:
    """Start the host twice, and both servers in turns."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        times: list[float] = []
        for _ in range(2):
            async with host(home) as (_, _, seconds):
                times.append(seconds)
    rows = [compared("`homeport` until the page answers, new data root", times[0], 120, "s")]
    rows.append(compared("… second time", times[1], 4, "s"))
    return rows + await _servers()


async def _servers() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        git = peer_environment.make("mcp-server-git") / "mcp-server-git"
        files = peer_environment.make_ours("shared", "servers/files")
        peer_environment.repository(root)
        home = {"HOMEPORT_HOME": str(Path(folder) / "home")}
        ours = StdioServerParameters(command=str(files / "homeport-files"), args=[str(root)], env=home)
        theirs = StdioServerParameters(command=str(git), args=["--repository", str(root)])
        taken: tuple[list[float], list[float]] = ([], [])
        for turn in range(ROUNDS + 1):
            pair = (
                await first_result(ours, "list", {"path": root.name}),
                await first_result(theirs, "git_status", {"repo_path": str(root)}),
            )
            if turn:  # the first ones warm the disk's cache
                taken[0].append(pair[0])
                taken[1].append(pair[1])
    name = f"`homeport-files`, start to first result ({middle(taken[0])} s)"
    return [compared(name, statistics.median(taken[0]), statistics.median(taken[1]), "s", peer="mcp-server-git; ≤ 1.1")]


async def first_result(server: StdioServerParameters, tool: str, arguments: dict[str, str]) -> float:
    """Return the seconds from the start of a server to its first result, good or bad."""
    began = time.perf_counter()
    async with Client(stdio_client(server)) as client:
        result = await client.call_tool(tool, arguments)
        if result.is_error:
            raise RuntimeError(f"{server.command} {tool}: {result.content}")
        return time.perf_counter() - began
