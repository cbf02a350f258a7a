"""Files and web against the reference servers of MCP: the same calls on the same files and pages.

`@modelcontextprotocol/server-filesystem` and `mcp-server-fetch` run by stdio, as ours do. Left out: Desktop Commander,
which reports its use to the outside, and servers for knowledge bases, whose models come from hubs.
"""

from __future__ import annotations

import http.server
import os
import statistics
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult
from tests.benchmarks import peer_environment
from tests.benchmarks.homes import BIN
from tests.benchmarks.rows import Row, compared, milliseconds
from tests.node import SCRIPTS

ENTRIES, FOLDERS, CALLS = 10_000, 20, 20
BIG_LINES = 300_000  # of 100 bytes: 30 MB
PATIENCE = 5.0  # seconds after which a call counts as hanging
FILESYSTEM = "@modelcontextprotocol/server-filesystem"
PARAGRAPH = "<p>The harbour master wrote down each ship that came in, and the hour of the tide it came with.</p>\n"


async def measure() -> list[Row]:
    """Compare the files, then the pages."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "docs"
        make(root)
        program = peer_environment.make_node(FILESYSTEM) / "dist" / "index.js"
        ours = StdioServerParameters(
            command=str(BIN / "homeport-files"), args=[str(root)], env=home(Path(folder) / "home")
        )
        theirs = StdioServerParameters(command=str(SCRIPTS / "node"), args=[str(program), str(root)])
        async with Client(ours) as us, Client(theirs) as them:
            return await files(us, them, root) + await pages(Path(folder))


def make(root: Path) -> None:
    """Write the files: many small ones, a large one, one of another encoding, and a pipe that nobody writes to."""
    for number in range(ENTRIES):
        path = root / f"folder {number % FOLDERS:02}" / f"note {number:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"note {number}\n", "utf-8")
    (root / "big.log").write_text((f"{'x' * 99}\n") * BIG_LINES, "utf-8")
    os.mkfifo(root / "pipe")


async def files(us: Client, them: Client, root: Path) -> list[Row]:
    """Return what both servers do with the same files."""
    return [
        await costs("bytes of `tools/list`", us, them),
        await edited(us, them, root),
        await answer("bytes of the answer to reading a file of 30 MB", us, them, "big.log", root),
        await hangs(us, them, root),
        await timed(
            "list a folder of 500 files, p50",
            partial(used, us, "list", path="docs/folder 07", limit=500),
            partial(used, them, "list_directory_with_sizes", path=str(root / "folder 07")),
        ),
        await timed(
            "find one of 10,000 files by its name, p50",
            partial(used, us, "search", query="note 07777"),
            partial(used, them, "search_files", path=str(root), pattern="**/note 07777*"),
        ),
        await timed(
            "read a small file, p50",
            partial(used, us, "read", path="docs/folder 07/note 00007.txt"),
            partial(used, them, "read_text_file", path=str(root / "folder 07" / "note 00007.txt")),
        ),
    ]


async def costs(name: str, us: Client, them: Client) -> Row:
    sizes: list[int] = []
    for client in (us, them):
        listed = (await client.list_tools()).tools
        sizes.append(sum(len(tool.model_dump_json(by_alias=True, exclude_none=True).encode()) for tool in listed))
    return compared(name, sizes[0], sizes[1], "bytes", peer="reference")


async def edited(us: Client, them: Client, root: Path) -> Row:
    """Change one word of a file in Latin-1 with Windows' line ends: what else of it is still the same?"""
    before = "caf\xe9\r\ntea\r\n".encode("latin-1")
    for name in ("ours.txt", "theirs.txt"):
        (root / name).write_bytes(before)
    await used(us, "edit", path="docs/ours.txt", edits=[{"old_text": "tea", "new_text": "milk"}])
    change = {"oldText": "tea", "newText": "milk"}
    await used(them, "edit_file", path=str(root / "theirs.txt"), edits=[change])
    kept = [(root / name).read_bytes() == before.replace(b"tea", b"milk") for name in ("ours.txt", "theirs.txt")]
    told = ["only the word changed" if each else "letters and line ends were damaged" for each in kept]
    return Row("edit one word of a Latin-1 file with CRLF", told[0], f"{told[1]} (reference)")


async def answer(name: str, us: Client, them: Client, file: str, root: Path) -> Row:
    mine = await used(us, "read", path=f"docs/{file}")
    other = await used(them, "read_text_file", path=str(root / file))
    return compared(
        name, *(len(result.model_dump_json().encode()) for result in (mine, other)), "bytes", peer="reference"
    )


async def hangs(us: Client, them: Client, root: Path) -> Row:
    told = [await ends(us, "read", path="docs/pipe"), await ends(them, "read_text_file", path=str(root / "pipe"))]
    return Row("read a pipe that nobody writes to", told[0], f"{told[1]} (reference)")


async def ends(client: Client, tool: str, **arguments: Any) -> str:
    with anyio.move_on_after(PATIENCE):
        result = await client.call_tool(tool, arguments)
        return "refused" if result.is_error else "answered"
    return f"no answer in {PATIENCE:.0f} s"


async def timed(name: str, mine: Any, other: Any, *, peer: str = "reference") -> Row:
    """Return the medians of both calls, made in turns after one that warms up."""
    await mine()
    await other()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(CALLS):
        taken[0].extend(await milliseconds(lambda _: mine(), 1))
        taken[1].extend(await milliseconds(lambda _: other(), 1))
    return compared(name, statistics.median(taken[0]), statistics.median(taken[1]), "ms", peer=peer)


async def used(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(f"{tool}: {result.content}")
    return result


async def pages(folder: Path) -> list[Row]:
    """Return what both servers do with a page of this machine, which only ours has to be allowed to read."""
    fetch = str(peer_environment.make("mcp-server-fetch") / "mcp-server-fetch")
    with site(folder / "site") as address:
        page, host = f"{address}/page.html", address.removeprefix("http://")
        program, allow = str(BIN / "homeport-web"), ["--private-hosts", host, "--cache-minutes", "0"]
        async with (
            Client(StdioServerParameters(command=program, args=allow, env=home(folder / "open"))) as us,
            Client(StdioServerParameters(command=program, env=home(folder / "closed"))) as us_closed,
            Client(StdioServerParameters(command=fetch, args=["--allow-private-ips"])) as them,
            Client(StdioServerParameters(command=fetch)) as them_closed,
        ):
            told = [await visited(us_closed, "visit", page), await visited(them_closed, "fetch", page)]
            return [
                Row("a page of this machine that nobody allowed", told[0], f"{told[1]} (mcp-server-fetch)"),
                await timed(
                    "visit a page of 100 KB, robots.txt asked, p50",
                    partial(used, us, "visit", url=page),
                    partial(used, them, "fetch", url=page),
                    peer="mcp-server-fetch",
                ),
            ]


def home(folder: Path) -> dict[str, str]:
    return {"HOMEPORT_HOME": str(folder)}


async def visited(client: Client, tool: str, url: str) -> str:
    try:
        result = await client.call_tool(tool, {"url": url})
    except MCPError:
        return "refused"
    return "refused" if result.is_error else "read"


@contextmanager
def site(folder: Path) -> Generator[str]:
    """Serve one page of 100 KB on loopback."""
    folder.mkdir()
    (folder / "page.html").write_text(
        f"<title>Harbour</title><article><h1>Log</h1>{PARAGRAPH * 1000}</article>", "utf-8"
    )
    (folder / "robots.txt").write_text("User-agent: *\nAllow: /\n", "utf-8")
    handler = partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
