"""A gateway over real servers: in this process, over stdio and over HTTP."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import platformdirs
import pytest
from anyio.abc import TaskGroup
from filelock import FileLock
from tests.patience import PATIENCE

from homeport_host.gateway.catalog import Catalog
from homeport_host.gateway.config import ServerConfig
from homeport_host.gateway.exposure import Exposures
from homeport_host.gateway.front import Front
from homeport_host.gateway.routing import Routing
from homeport_host.gateway.upstreams import Upstreams
from homeport_host.governance.calls import Caller, Tool
from homeport_host.governance.dispatch import refusal
from homeport_host.governance.stages import Pending
from homeport_host.governance.visibility import View, view_of, visible
from homeport_shared.errors import HomeportError

FIXTURES = Path(__file__).with_name("fixtures")
ROOT = Path(__file__).parents[3]


class PassThrough:
    """A dispatcher that lets everything through that the exposure shows."""

    def __init__(self, routing: Routing, exposures: Exposures) -> None:
        self._routing = routing
        self._exposures = exposures
        self.calls: list[Pending] = []

    def shown(self, caller: Caller) -> list[Tool]:
        return [tool for tool in self._routing.tools() if visible(caller, tool, self._exposures)]

    def view(self, caller: Caller) -> View:
        return view_of(caller, self._routing.tools(), self._routing, self._exposures)

    async def call_tool(self, caller, name, arguments, *, meta=None, progress=None, extra=None) -> dict[str, Any]:
        tool = self._routing.tool(name)
        if tool is None or not visible(caller, tool, self._exposures):
            return refusal(HomeportError("not_found", f"There is no tool {name!r}."))
        call = Pending(caller, tool, dict(arguments or {}), meta or {}, extra or {}, progress)
        self.calls.append(call)
        try:
            return await self._routing.call_tool(call)
        except HomeportError as error:
            return refusal(error)

    async def read_resource(self, caller, uri, *, meta=None) -> dict[str, Any]:
        self.view(caller).require_resource(uri)
        return await self._routing.read_resource(uri, caller, meta or {})

    async def complete(self, caller, params) -> dict[str, Any]:
        view, reference = self.view(caller), params["ref"]
        if reference["type"] == "ref/prompt":
            view.require_prompt(reference["name"])
        else:
            view.require_resource(reference["uri"])
        return await self._routing.complete(params, caller)

    async def get_prompt(self, caller, name, arguments, *, meta=None, extra=None) -> dict[str, Any]:
        self.view(caller).require_prompt(name)
        return await self._routing.get_prompt(name, arguments or {}, caller, meta or {}, extra or {})


class Containing:
    """An index that finds the tools whose name or description contains the query."""

    def __init__(self, tools: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        self._tools = list(tools)

    def search(self, query: str, limit: int = 5) -> list[str]:
        return [name for name, entry in self._tools if query in f"{name} {entry.get('description')}"][:limit]


@dataclass
class Gateway:
    """The parts of a running gateway."""

    home: Path
    tasks: TaskGroup
    upstreams: Upstreams
    catalog: Catalog
    dispatcher: PassThrough
    front: Front
    caller: Caller = field(default_factory=lambda: Caller("client", "tester"))

    async def ready(self) -> None:
        """Wait until every server has been tried."""
        await self.upstreams.wait_ready(20)


async def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until `condition` holds, and fail when it does not."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.01)


Open = Callable[..., AbstractAsyncContextManager[Gateway]]


def in_process(name: str = "here", entry: str = "everything:build_server") -> ServerConfig:
    return ServerConfig(name, "in-process", entry_point=entry)


def stdio(name: str = "child", script: str = "everything.py", *args: str) -> ServerConfig:
    return ServerConfig(name, "stdio", command=sys.executable, args=(str(FIXTURES / script), name, *args))


@pytest.fixture(scope="session")
def python_130() -> str:
    """A Python with mcp 1.30, whose servers and clients speak the protocol of 2025; made once for this user."""
    folder = platformdirs.user_cache_path("homeport-tests", ensure_exists=True) / "mcp-1.30"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with FileLock(folder.with_suffix(".lock")):  # tests run in several processes
        if not python.exists() or subprocess.run([python, "-c", "import mcp"], check=False).returncode:
            uv = os.environ.get("UV") or shutil.which("uv") or ROOT / ".uv" / "bin" / "uv"  # as the Makefile finds it
            subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
            subprocess.run([uv, "pip", "install", "-q", "--python", python, "mcp==1.30.*"], check=True)
    return str(python)


@asynccontextmanager
async def http_server(python: str, script: str, name: str) -> AsyncGenerator[ServerConfig]:
    """Run a fixture server over HTTP and yield how to reach it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with await anyio.open_process([python, str(FIXTURES / script), name, str(port)], stderr=None) as process:
        try:
            with anyio.fail_after(PATIENCE):
                while True:
                    try:
                        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                        break
                    except OSError:
                        await anyio.sleep(0.05)
            yield ServerConfig(name, "http", url=f"http://127.0.0.1:{port}/mcp")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a gateway over the given servers."""
    monkeypatch.syspath_prepend(str(FIXTURES))

    @asynccontextmanager
    async def open_gateway(*configs: ServerConfig, **options: Any) -> AsyncGenerator[Gateway]:
        async with anyio.create_task_group() as tasks:
            upstreams = Upstreams(tasks, home=tmp_path, connect_seconds=options.pop("connect_seconds", 15))
            catalog = Catalog(upstreams)
            exposures = Exposures(options.pop("profiles", None))
            dispatcher = PassThrough(Routing(catalog, upstreams), exposures)
            holder: list[Gateway] = []
            front = Front(
                catalog,
                dispatcher,
                upstreams,
                options.pop("caller_of", lambda context: holder[0].caller),
                tasks=tasks,
                index=Containing,
                **options,
            )
            holder.append(Gateway(tmp_path, tasks, upstreams, catalog, dispatcher, front))
            for config in configs:
                upstreams.add(config)
            await holder[0].ready()
            yield holder[0]
            for upstream in upstreams.all():
                await upstreams.remove(upstream.name)
            tasks.cancel_scope.cancel()

    return open_gateway
