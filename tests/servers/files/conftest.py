"""A files server with one root, and a client that is connected to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from homeport_files.server import build_server
from homeport_shared.events import Event
from homeport_shared.testing.clients import connected


@dataclass
class Recorder:
    """An event sink that keeps what it is given."""

    events: list[Event] = field(default_factory=list)

    async def publish(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Files:
    """The root `docs` on disk, and the tools."""

    folder: Path
    home: Path
    client: Client
    events: list[Event]

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that works."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def fails(self, tool: str, **arguments: Any) -> tuple[str, str]:
        """Call a tool that does not; return the code and the sentence."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        text = result.content[0].text
        assert "Traceback" not in text
        return result.meta["io.homeport/error"]["code"], text

    def put(self, name: str, data: bytes | str) -> Path:
        """Write a file behind the server's back."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path


# For what depends on the protocol; what a tool does with files does not.
BOTH_ERAS = pytest.mark.parametrize("files", ["auto", "legacy"], indirect=True)


@pytest.fixture
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Files]:
    """The server with its root `docs`."""
    folder, sink = tmp_path / "docs", Recorder()
    folder.mkdir()
    flags = {"roots": [str(folder)]}
    async with connected(
        build_server, "files", tmp_path / "home", flags=flags, era=getattr(request, "param", "auto"), events=sink
    ) as client:
        yield Files(folder, tmp_path / "home", client, sink.events)
