"""Events of servers in processes of their own, on the bus of a real host."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.outbox import SCHEME

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]
SHOP = Path(__file__).parent / "fixtures" / "shop.py"
NAS_MAY = ["file.created", "run.*"]


@asynccontextmanager
async def opened(home: Path, *servers: str) -> AsyncGenerator[Host]:
    async with open_host(home) as host:
        with anyio.fail_after(PATIENCE):
            while not {*servers} <= {each.name for each in host.upstreams.all() if each.state == "ready"}:
                await anyio.sleep(0.05)
        yield host


async def happened(host: Host, kinds: str, number: int) -> list[dict[str, Any]]:
    """Return the events of these kinds, oldest first, once there are that many."""
    with anyio.fail_after(PATIENCE):
        while len(found := (await host.call("homeport__find_events", {"kinds": kinds}))["rows"]) < number:
            await anyio.sleep(0.05)
    return found[::-1]


def paths(found: list[dict[str, Any]], source: str) -> list[str]:
    return [each["data"]["path"] for each in found if each["source"] == source]


async def write(host: Host, server: str, name: str, *, caller: Caller | None = None) -> None:
    arguments = {"path": f"workspace/{name}", "content": name}
    approved = Caller("person", "host", approved=(f"{server}__write",))
    await host.call(f"{server}__write", arguments, caller or approved)


async def test_a_bundled_server_in_its_own_process_starts_what_waits_for_its_events(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text('[host]\nisolated = ["files"]\n', encoding="utf-8")
    async with opened(tmp_path, "files", "scheduler") as host:
        job = {"name": "Look", "action": {"tool": "files__info", "arguments": {"path": "{{event.data.path}}"}}}
        await host.call("scheduler__add_job", {"definition": job})
        waits = {"name": "New ones", "kind": "file.created", "where": {"source": "files"}, "start": {"job": "Look"}}
        await host.call("homeport__save_subscription", {"definition": waits})
        await write(host, "files", "one.md")
        [first] = await happened(host, "file.created", 1)
        assert (first["source"], first["data"]["path"]) == ("files", "workspace/one.md")
        assert [each["data"]["name"] for each in await happened(host, "job.completed", 1)] == ["Look"]
        below = psutil.process_iter(["ppid", "cmdline"])
        [child] = [
            each for each in below if each.info["ppid"] == os.getpid() and "homeport_files" in str(each.info["cmdline"])
        ]
        child.kill()
        with anyio.fail_after(PATIENCE):
            while host.upstreams.get("files").state == "ready":
                await anyio.sleep(0.01)
            while host.upstreams.get("files").state != "ready":
                await anyio.sleep(0.05)
        await write(host, "files", "two.md")
        found = await happened(host, "file.created", 2)
        assert paths(found, "files") == ["workspace/one.md", "workspace/two.md"]
        assert len(await happened(host, "job.completed", 2)) == 2


@asynccontextmanager
async def serving(home: Path, port: int) -> AsyncGenerator[str]:
    """Run the server of files as a program of its own over HTTP."""
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "import homeport_files.server as s; s.main()", "--home", str(home)]
    options = ["--http", f"127.0.0.1:{port}", "--no-token"]
    async with await anyio.open_process([*command, *options], stderr=None) as process:
        try:
            with anyio.fail_after(PATIENCE):
                while True:
                    try:
                        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                        break
                    except OSError:
                        await anyio.sleep(0.05)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            await process.wait()


async def test_what_happens_while_the_host_or_the_server_is_away_is_taken_over_once(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home, nas = tmp_path / "home", tmp_path / "nas"
    home.mkdir()
    (home / "homeport.toml").write_text(f"[host.event_sources]\nnas = {json.dumps(NAS_MAY)}\n", encoding="utf-8")
    servers = {"nas": {"url": f"http://127.0.0.1:{port}/mcp"}}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")

    async def put(address: str, name: str) -> None:
        async with Client(address) as client:
            await client.call_tool("write", {"path": f"workspace/{name}", "content": name})

    async with serving(nas, port) as address:
        await put(address, "before.md")
        async with opened(home, "nas") as host:
            with anyio.fail_after(PATIENCE):
                while not await host.events.place("nas"):
                    await anyio.sleep(0.05)
            await put(address, "one.md")
            assert paths(await happened(host, "file.created", 1), "nas") == ["workspace/one.md"], "from now on"
        await put(address, "two.md")
    async with opened(home) as host:
        async with serving(nas, port) as address, Client(address) as client:
            host.upstreams.get("nas").retry()
            await happened(host, "file.created", 2)
            await put(address, "three.md")
            await client.call_tool("delete", {"paths": ["workspace/three.md"]})
            found = await happened(host, "file.created", 3)
            [refused] = await happened(host, "event.refused", 1)
        assert paths(found, "nas") == [f"workspace/{name}.md" for name in ("one", "two", "three")]
        assert refused["data"]["kind"] == "file.deleted" and "nas may not raise" in refused["data"]["reason"]


async def test_a_server_of_somebody_else_raises_what_it_was_allowed_and_speaks_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text('[host.event_sources]\nshop = ["*"]\n', encoding="utf-8")
    entry = {"command": sys.executable, "args": [str(SHOP)]}
    servers = {"mcpServers": {"shop": entry, "rival": entry}}
    (tmp_path / "mcp.json").write_text(json.dumps(servers), encoding="utf-8")
    async with opened(tmp_path, "shop", "rival") as host:

        async def happen(server: str, **event: Any) -> None:
            tool = f"{server}__happen"
            await host.call(tool, {"event": event}, Caller("person", "host", approved=(tool,)))

        with anyio.fail_after(PATIENCE):
            while not [place for place in [await host.events.place("local/shop")] if place]:
                await anyio.sleep(0.05)
        await happen("rival", kind="shop.robbed")
        await happen("shop", kind="run.completed", data={"kind": "ask"})
        await happen("shop", kind="file.created", data={"way": 1})
        await happen("shop", kind="shop.sold", subject="shop://1", data={"what": "tea"}, run="r1", correlation="c1")
        [sold] = await happened(host, "shop.*", 1)
        refused = await happened(host, "event.refused", 2)
        assert (sold["kind"], sold["source"], sold["data"]) == ("shop.sold", "shop", {"what": "tea"})
        assert (sold["cause"], sold["correlation"]) == ("", f"event-{sold['seq']}"), (
            "its word on runs counts for nothing"
        )
        assert [each["data"]["kind"] for each in refused] == ["run.completed", "file.created"]
        marks = host.dispatcher._taints  # what an event of it starts has read untrusted content
        assert await marks.is_untrusted("server:shop") and not await marks.is_untrusted("server:files")
        await happen("shop", kind=7)
        await happen("shop", kind="shop.closed")
        assert [each["kind"] for each in await happened(host, "shop.*", 2)] == ["shop.sold", "shop.closed"]
        assert len(await happened(host, "event.refused", 3)) == 3
        assert SCHEME not in str(host.catalog.resources())
