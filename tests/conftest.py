"""What every test may use: among it a whole Homeport, in a process of its own, on a data root of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

import anyio
import coverage
import psutil
import pytest
from hypothesis import settings
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver.tools import Tool
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import CallToolResult
from tests.patience import PATIENCE
from tests.postgres import Postgres
from tests.run import LONG, LONG_MARKERS

from homeport.connection import call
from homeport_host import process
from homeport_host.governance.dispatch import APPROVAL
from homeport_rag import inference, weights
from homeport_shared.testing.model import ModelDouble

MODEL = "ollama/qwen3:8b"
CLOUD_MODEL = "openrouter/qwen/qwen3-8b"
CANARY = "sk-or-canary-7e1f09c2"
READY = "Ctrl+C stops it."
FINAL = {"completed", "failed", "cancelled"}
COVERAGE = "COVERAGE_PROCESS_CONFIG"  # the variable by which coverage starts in a process
STRANGE = Path(__file__).with_name("strange.py")
settings.register_profile("patient", deadline=None)  # nor is how long one example takes
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Keep coverage to oneself: tests start many processes, which take half as long again with it."""
    remember_tools()
    if hasattr(config, "workerinput"):
        os.environ.pop(COVERAGE, None)
    else:
        build_model_for_all(Path(sys.prefix) / "embedding-model")


def remember_tools() -> None:
    """Make the schemas of a tool once: tests build the same servers a thousand times, at 4 ms for each tool."""
    made: dict[tuple[object, ...], Tool] = {}
    build = Tool.from_function

    def from_function(fn: Callable[..., Any], *given: Any, **options: Any) -> Tool:
        if not isinstance(fn, FunctionType):
            return build(fn, *given, **options)
        types = tuple(map(id, fn.__annotations__.values()))
        key = (id(fn.__code__), types, repr((fn.__doc__, fn.__defaults__, fn.__kwdefaults__, given, options)))
        if key not in made:
            made[key] = build(fn, *given, **options)
        return made[key].model_copy(update={"fn": fn})

    Tool.from_function = from_function


def build_model_for_all(folder: Path) -> None:
    """Build the embedding model once: each of a hundred data roots would do so else, for five seconds."""
    if inference.manifest_of(folder) is None:
        program = "import sys; from homeport_rag import inference; inference.build(*sys.argv[1:])"
        subprocess.run([sys.executable, "-c", program, str(weights.installed_folder()), str(folder)], check=True)
    os.environ.setdefault("HOMEPORT_MODEL_DIR", str(folder))


def is_long(item: pytest.Item) -> bool:
    """Say whether a test is one of those that only CI and `make soak` run."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder in LONG or any(map(item.get_closest_marker, LONG_MARKERS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Do not measure the long tests: what they run is also tried by quick ones, and tracing is slow."""
    measuring = coverage.Coverage.current() if is_long(item) else None
    if measuring is None:
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop that Homeport supports."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL server of these tests."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@dataclass
class Machine:
    """A data root, and the host process that runs on it from time to time."""

    home: Path
    model: ModelDouble
    variables: dict[str, str] = field(default_factory=dict[str, str])
    host: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "HOMEPORT_HOME": str(self.home),
            "OLLAMA_HOST": self.model.ollama_url,
            "OPENROUTER_BASE_URL": self.model.openrouter_url,
            "OPENROUTER_API_KEY": CANARY,
        }
        return os.environ | own | self.variables

    @property
    def url(self) -> str:
        record = process.running(self.home)
        assert record is not None
        return record.address

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "homeport", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            **options,
        )

    def start(self, where: str = "127.0.0.1:0", **options: Any) -> None:
        """Start the host and return when it can be used."""
        self.host = self.popen("serve", "--http", where, **options)
        assert self.host.stdout is not None
        said: list[str] = []
        for line in self.host.stdout:
            said.append(line)
            if READY in line:
                return
        self.host.wait()
        raise AssertionError(f"The host did not start: {''.join(said)}")

    def refuse(self, where: str = "127.0.0.1:0") -> str:
        """Start a host that must not come up, and return what it says."""
        with self.popen("serve", "--http", where) as host:
            try:
                said, _ = host.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                host.kill()
                raise AssertionError("The host started, or hangs.") from None
            assert host.returncode != 0
        assert "Traceback" not in said
        return " ".join(said.split())

    def kill(self) -> None:
        """End the host as a power cut would."""
        if self.host is not None:
            self.host.kill()
            self._ended()

    def stop(self) -> int:
        """Ask the host to end, and return its exit status."""
        assert self.host is not None
        self.host.terminate()
        return self._ended()

    def _ended(self) -> int:
        host, self.host = self.host, None
        assert host is not None and host.stdout is not None
        host.stdout.close()
        return host.wait(PATIENCE)

    python = sys.executable
    strange = STRANGE

    def children(self) -> list[psutil.Process]:
        """Return the processes that the host started."""
        assert self.host is not None
        return psutil.Process(self.host.pid).children(recursive=True)

    def token(self, holder: str = "person") -> str:
        return process.credential(self.home, holder)

    @asynccontextmanager
    async def client(
        self, holder: str = "person", era: Literal["auto", "legacy"] = "auto", headers: Any = None, **options: Any
    ) -> AsyncGenerator[Client]:
        """Connect as somebody; errors in the block come out as they are."""
        sent = {"Authorization": f"Bearer {self.token(holder)}", **(headers or {})}
        raised: Exception | None = None
        async with (
            create_mcp_http_client(headers=sent) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=era, **options) as client,
        ):
            try:
                yield client
            except Exception as error:  # a task group would wrap it
                raised = error
        if raised is not None:
            raise raised

    async def add_strange(self, client: Client, name: str, *words: str) -> None:
        """Add the strange server as a third party's, and wait until it was tried."""
        config = {"command": sys.executable, "args": [str(STRANGE), *words]}
        await call(client, "homeport__add_server", name=name, config=config)
        await eventually(lambda: self._tried(client, name))

    async def _tried(self, client: Client, name: str) -> bool:
        servers = (await call(client, "homeport__list_servers"))["servers"]
        return next(one["state"] for one in servers if one["name"] == name) in {"ready", "down"}

    async def confirmed(self, client: Client, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool as a person who says yes when asked."""
        result = await client.call_tool(tool, arguments)
        if held := (result.meta or {}).get(APPROVAL):
            await call(client, "homeport__decide_approval", approval_id=held, approve=True)
            result = await client.call_tool(tool, arguments)
        return result

    async def run(self, client: Client, prompt: str, *, state: str = "", **options: Any) -> dict[str, Any]:
        """Let an agent do something and return the run when it has ended, or is in `state`."""
        options = {"model": MODEL, "kind": "chat", **options}
        started = await call(client, "homeport__run_start", prompt=prompt, **options)
        return await ended(client, started["run_id"], state=state)

    async def add_folder(self, client: Client, folder: Path) -> dict[str, Any]:
        """Add a folder and wait until its documents are in."""
        added = await call(client, "homeport__add_folder", path=str(folder))
        return await job_done(client, added["job_id"])

    async def ended(self, client: Client, run: str, *, state: str = "") -> dict[str, Any]:
        """Return a run when it has ended, or is in `state`."""
        return await ended(client, run, state=state)

    async def all_ended(self, client: Client) -> list[dict[str, Any]]:
        """Return all runs when the last of them has ended."""
        found: list[dict[str, Any]] = []

        async def looked() -> bool:
            found[:] = (await call(client, "homeport__list_runs", limit=200))["runs"]
            return all(run["state"] in FINAL for run in found)

        await eventually(looked)
        return found

    async def eventually(self, true: Callable[[], Any]) -> None:
        """Return as soon as `true` says so."""
        await eventually(true)


async def ended(client: Client, run: str, *, state: str = "") -> dict[str, Any]:
    """Return a run when it has ended, or is in `state`."""
    found: dict[str, Any] = {}

    async def looked() -> bool:
        found.update(await call(client, "homeport__run_get", run_id=run))
        return found["state"] in FINAL or found["state"] == state

    await eventually(looked)
    return found


async def job_done(client: Client, job: str) -> dict[str, Any]:
    """Return an indexing job when it has ended."""
    found: dict[str, Any] = {}

    async def looked() -> bool:
        found.update((await call(client, "rag__jobs", job_id=job))["jobs"][0])
        return found["state"] in {"done", "completed", "failed", "cancelled"}

    await eventually(looked)
    return found


async def eventually(true: Callable[[], Any]) -> None:
    """Return as soon as `true` says so; another process cannot be waited for in another way."""
    with anyio.fail_after(PATIENCE):
        while not await true():
            await anyio.sleep(0.05)


@contextmanager
def _machine(home: Path) -> Generator[Machine]:
    with ModelDouble().running() as model:
        machine = Machine(home, model)
        try:
            yield machine
        finally:
            machine.kill()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A data root of this test, with a model server beside it; the host is not started."""
    with _machine(tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def shared_machine(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A running host that the tests of one module share, with the variables that the module's `ENVIRONMENT` names."""
    with _machine(tmp_path_factory.mktemp("shared") / "home") as made:
        made.variables.update(getattr(request.module, "ENVIRONMENT", {}))
        made.start()
        yield made
