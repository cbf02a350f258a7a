"""A real host in a process of its own, a scripted model server, and the commands of `homeport`.

Most tests share one host. Commands run in this process, as starting Python for each would take most of the time;
what concerns processes, signals and terminals starts `python -m homeport`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from click.testing import CliRunner, Result
from tests.patience import PATIENCE

from homeport.cli import homeport
from homeport_host import process
from homeport_shared.testing.model import ModelDouble

NOTEBOOK = Path(__file__).with_name("notebook.py")
SETTINGS = """
[models]
default = "ollama/qwen3:8b"

[host.labels]
notebook__write = ["can-be-taken-back"]
"""
FACT = "The lighthouse of Brevik was first lit in 1878.\n"


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until `true()` is true and return it."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"{true} did not become true"
        time.sleep(0.02)
    return value


@dataclass
class Box:
    """A data root with the environment to use it."""

    home: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start `python -m homeport …` and return the process."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        child = subprocess.Popen([sys.executable, "-m", "homeport", *arguments], env=self.environment, **options)
        self.started.append(child)
        return child

    def run(self, *arguments: str) -> Result:
        """Run `homeport …` to its end, in this process."""
        absent = dict.fromkeys(os.environ.keys() - self.environment.keys())
        return invoke(*arguments, env=absent | self.environment)

    def serve(self, *arguments: str) -> process.HostRecord:
        """Start a host in the foreground on a free port and wait until it answers."""
        child = self.start("serve", "--http", "127.0.0.1:0", *arguments)
        until(lambda: process.running(self.home) or child.poll() is not None)
        record = process.running(self.home)
        assert record is not None, child.communicate()
        return record

    def close(self) -> None:
        """End what the test started, and the host in the background, if there is one."""
        record = process.running(self.home)
        pids = [child.pid for child in self.started if child.poll() is None] + ([record.pid] if record else [])
        for pid in pids:
            if psutil.pid_exists(pid):
                psutil.Process(pid).terminate()
        for child in self.started:
            child.communicate(timeout=PATIENCE)
        until(lambda: process.running(self.home) is None)


@pytest.fixture(scope="session")
def model() -> Generator[ModelDouble]:
    """A model server; the default model of every host is its `ollama/qwen3:8b`."""
    with ModelDouble(["Hello from the model."]).running() as double:
        yield double


@pytest.fixture(scope="session")
def make_box(model: ModelDouble) -> Callable[[Path], Box]:
    """Make a data root that knows the model server."""

    def make(home: Path) -> Box:
        home.mkdir(parents=True, exist_ok=True)
        (home / "homeport.toml").write_text(SETTINGS)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEPORT_", "OPENROUTER_"))}
        return Box(
            home,
            kept
            | {
                "HOMEPORT_HOME": str(home),
                "HOME": str(home / "user"),
                "OLLAMA_HOST": model.ollama_url,
                "OPENROUTER_BASE_URL": model.openrouter_url,
                "OPENROUTER_API_KEY": "sk-test",
                "NO_COLOR": "1",
            },
        )

    return make


@pytest.fixture
def box(make_box: Callable[[Path], Box], tmp_path: Path) -> Generator[Box]:
    """A data root of this test alone; no host runs yet."""
    made = make_box(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared_box(make_box: Callable[[Path], Box], tmp_path_factory: pytest.TempPathFactory) -> Generator[Box]:
    """A data root with a running host, for all tests that leave it as it was."""
    made = make_box(tmp_path_factory.mktemp("shared") / "home")
    made.serve()
    yield made
    made.close()


@pytest.fixture(scope="session")
def documents(shared_box: Box, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the shared host has indexed."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "brevik.md").write_text(FACT)
    added = shared_box.run("add", str(folder), "--json")
    assert added.exit_code == 0, added.output
    return folder


@pytest.fixture(scope="session")
def notebook(shared_box: Box) -> str:
    """The name of a third-party stdio server that is connected to the shared host."""
    added = shared_box.run("servers", "add", "notebook", "--", sys.executable, str(NOTEBOOK))
    assert added.exit_code == 0, added.output
    until(lambda: '"starting"' not in shared_box.run("servers", "list", "--json").stdout)
    return "notebook"


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Box], None]:
    """Give this process the environment of a data root."""

    def enter(box: Box) -> None:
        for name in ("OPENROUTER_API_KEY", "HOMEPORT_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in box.environment.items():
            monkeypatch.setenv(name, value)

    return enter


Cli = Callable[..., Result]


def invoke(*arguments: str, input: str | None = None, env: Mapping[str, str | None] | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(homeport, arguments, input=input, env=env, prog_name="homeport")


@pytest.fixture
def cli(shared_box: Box, use: Callable[[Box], None], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run commands against the shared host."""
    use(shared_box)
    if sys.gettrace() is not None and sys.version_info < (3, 12):
        monkeypatch.setattr(anyio, "run", partial(run_apart, anyio.run))
    return invoke


def run_apart(run: Callable[..., Any], *arguments: Any) -> Any:
    """Run an event loop in a thread of its own, while coverage is measured.

    Python 3.11 tells a tracer of the end of a coroutine into which an exception was thrown, but not of its beginning;
    then coverage takes those who wait for the loop, in its thread, for ended, and no longer sees what they do.
    """
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run, *arguments).result()


@pytest.fixture
def alone(box: Box, use: Callable[[Box], None]) -> Cli:
    """Run commands on the data root of this test alone."""
    use(box)
    return invoke


@pytest.fixture
def as_json(cli: Cli) -> Callable[..., Any]:
    """Run a command with `--json` that must succeed and return what it prints."""

    def ask(*arguments: str) -> Any:
        result = cli(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return ask


def descendants(pid: int) -> Sequence[psutil.Process]:
    """Return the processes below `pid`."""
    return psutil.Process(pid).children(recursive=True)
