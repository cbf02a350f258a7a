"""`homeport new-server`: a server that runs, passes its tests and the checks at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from homeport.cli.scaffold import write
from homeport_host.gateway.config import GROUP

pytestmark = [pytest.mark.subprocess]
ROOT = Path(__file__).parents[2]
Cli = Callable[..., Result]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with what the checks need, and nothing else."""
    into = tmp_path / "clone"
    (into / "servers").mkdir(parents=True)
    (into / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", into)
    for name in ("conftest.py", "patience.py", "postgres.py", "run.py"):
        shutil.copy(ROOT / "tests" / name, into / "tests")
    monkeypatch.chdir(into)
    return into


def run(workspace: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(workspace / "servers" / "weather" / "src")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=workspace,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )


def test_a_new_server_passes_its_tests_and_the_checks(workspace: Path, alone: Cli) -> None:
    result = alone("new-server", "weather")
    assert result.exit_code == 0, result.output
    assert "servers/weather/src/homeport_weather/server.py" in result.stdout.replace("\\", "/")
    assert f'[project.entry-points."{GROUP}"]' in (workspace / "servers/weather/pyproject.toml").read_text()
    tests = run(workspace, "pytest", "tests/servers/weather", "-q")
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert " passed" in tests.stdout
    for check in (("ruff", "check", "."), ("ruff", "format", "--check", ".")):
        done = run(workspace, *check)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [("Weather", 2, "cannot be a server's name"), ("class", 2, "cannot be"), ("../up", 2, "cannot be")],
)
def test_a_wrong_name_is_refused(workspace: Path, alone: Cli, name: str, code: int, told: str) -> None:
    result = alone("new-server", name)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output
    assert list((workspace / "servers").iterdir()) == []


def test_nothing_is_overwritten_and_nothing_written_elsewhere(
    workspace: Path, alone: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("weather", workspace)
    result = alone("new-server", "weather")
    assert result.exit_code == 1
    assert "is there already" in result.stderr
    monkeypatch.chdir(tmp_path)
    assert "is no Homeport workspace" in alone("new-server", "other").stderr
