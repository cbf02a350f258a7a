"""The real host as a process: what a foreign client may read of it, and that it stops at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared._httpx_utils import create_mcp_http_client
from tests.patience import PATIENCE

from homeport_host import process

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


class RunningHost:
    """A host in a process of its own."""

    def __init__(self, home: Path, child: subprocess.Popen[bytes]) -> None:
        self.home, self.child = home, child

    @asynccontextmanager
    async def connect(self, holder: str, mode: str = "auto") -> AsyncGenerator[Client]:
        with anyio.fail_after(PATIENCE):
            while (record := process.running(self.home)) is None:
                assert self.child.poll() is None
                await anyio.sleep(0.05)
        headers = {"Authorization": f"Bearer {process.credential(self.home, holder)}"}
        async with (
            create_mcp_http_client(headers=headers) as http,
            Client(streamable_http_client(record.mcp_url, http_client=http), mode=mode) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningHost]:
    home = tmp_path_factory.mktemp("home")
    process.credential(home, "client:cursor")
    command = [sys.executable, "-m", "homeport", "serve", "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, env={**os.environ, "HOMEPORT_HOME": str(home)}) as child:
        yield RunningHost(home, child)
        child.kill()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_approvals_and_the_audit_log_are_for_a_person_only(host: RunningHost, mode: str) -> None:
    private = ("approval://pending", "audit://recent", "approval://0123", "homeport+audit://recent")
    async with host.connect("person", mode) as client:
        assert (await client.read_resource("approval://pending")).contents
        assert "approval://pending" in {str(r.uri) for r in (await client.list_resources()).resources}
    for holder in ("client:cursor", "client", "job"):
        async with host.connect(holder, mode) as client:
            listed = [str(r.uri) for r in (await client.list_resources()).resources]
            assert "homeport://status" in listed
            assert not [uri for uri in listed if uri.startswith(("approval", "audit"))]
            for uri in private:
                with pytest.raises(MCPError, match="There is no resource"):
                    await client.read_resource(uri)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
async def test_a_host_with_an_open_listen_stream_stops_when_told(host: RunningHost) -> None:
    async with host.connect("person") as client, client.listen(tools_list_changed=True) as changes:
        host.child.send_signal(signal.SIGTERM)
        with anyio.fail_after(PATIENCE):
            try:
                assert [event async for event in changes] == []
            except SubscriptionLost:
                pytest.fail("the stream was cut, not ended")
            while host.child.poll() is None:
                await anyio.sleep(0.02)
    assert host.child.returncode == 0
    assert not (host.home / "host" / "host.json").exists()  # it got to its end, where stores are closed
