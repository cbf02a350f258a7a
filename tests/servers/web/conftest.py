"""A web server that may visit one loopback site, and a client that is connected to it. Nothing leaves the machine."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextResourceContents

from homeport_shared.testing.clients import connected
from homeport_web.server import build_server

from .site import Site, site


@pytest.fixture(autouse=True)
def nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look up no name but this machine's, and use no proxy of the environment."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name not in {"localhost", "0x7f000001"} and ":" not in name and any(letter.isalpha() for letter in name):
            raise socket.gaierror(f"a test looked up {name}")
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("BRAVE_API_KEY", raising=False)


@dataclass
class AheadClock:
    """A clock that runs, and that a test puts ahead."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()


@dataclass
class Web:
    """The tools, the site that may be visited, and the clock."""

    client: Client
    site: Site
    clock: AheadClock

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that works."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> tuple[str, str]:
        """Call a tool that fails; return the code and what it says."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.content
        error = (result.meta or {})["io.homeport/error"]
        return error["code"], f"{error['message']} {error['hint']}"

    async def resource(self, uri: str) -> str:
        [content] = (await self.client.read_resource(uri)).contents
        assert isinstance(content, TextResourceContents)
        return content.text


@pytest.fixture
def flags() -> dict[str, Any]:
    """Settings of the test."""
    return {}


@pytest.fixture
async def loopback() -> AsyncGenerator[Site]:
    async with site() as made:
        yield made


@pytest.fixture
async def web(tmp_path: Path, flags: dict[str, Any], loopback: Site) -> AsyncGenerator[Web]:
    clock = AheadClock()
    given = {"private_hosts": [loopback.place], **flags}
    async with connected(build_server, "web", tmp_path / "home", flags=given, clock=clock) as client:
        yield Web(client, loopback, clock)
