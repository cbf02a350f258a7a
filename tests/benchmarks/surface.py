"""What a server costs a model: the bytes of its `tools/list`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from tests.benchmarks.homes import BIN
from tests.benchmarks.rows import Row, compared

TARGET = 8 * 1024


async def measure() -> list[Row]:
    """List the tools of every bundled server."""
    return [await _one(name) for name in ("files", "rag", "scheduler", "web")]


async def _one(name: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        roots = [folder] if name == "files" else []
        command = str(BIN / f"homeport-{name}")
        server = StdioServerParameters(command=command, args=roots, env={"HOMEPORT_HOME": str(Path(folder) / "home")})
        async with Client(stdio_client(server)) as client:
            tools = (await client.list_tools()).tools
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    size = len(json.dumps({"tools": listed}, ensure_ascii=False, separators=(",", ":")).encode())
    whole = sum(bool(t.title and t.description and t.annotations and t.output_schema) for t in tools)
    row = compared(f"`tools/list` of `homeport-{name}`", size, TARGET, "bytes")
    return Row(f"{row.measure}, {whole} of {len(tools)} tools complete", row.ours, row.against, row.ratio)
