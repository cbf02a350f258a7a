"""What is published: every package as a wheel, used without the sources beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).resolve().parents[2]
SERVERS = sorted(folder.name for folder in (ROOT / "servers").iterdir() if (folder / "pyproject.toml").exists())
pytestmark = [pytest.mark.subprocess, pytest.mark.anyio]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every wheel of the workspace installed; what they need comes from the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheels")
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv is not None, "uv is missing: run the tests by `make test`"
    build = [uv, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True)
    site = folder / "site"
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", sys.executable]
    subprocess.run([*install, "--target", str(site), *map(str, folder.glob("*.whl"))], cwd=folder, check=True)
    yield site


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_works_from_its_wheel_with_its_page(name: str, installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOMEPORT_HOME": str(tmp_path)}
    script = installed / "bin" / f"homeport-{name}"
    parameters = StdioServerParameters(command=str(script), args=[], env=environment, cwd=tmp_path)
    async with Client(stdio_client(parameters)) as client:
        assert (await client.list_tools()).tools
        pages = [each.uri for each in (await client.list_resources()).resources if str(each.uri).startswith("ui://")]
        for page in pages:
            [content] = (await client.read_resource(page)).contents
            assert "<!doctype html>" in content.text[:100].lower()


def test_the_dashboard_carries_its_built_pages(installed: Path) -> None:
    built = {path.name for path in (installed / "homeport_dashboard" / "static" / "dist").iterdir()}
    assert {"chat.js", "chat.css", "bridge.js"} <= built


@pytest.mark.slow
def test_the_product_starts_from_its_wheels(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOMEPORT_HOME": str(tmp_path)}
    code = "import homeport, homeport_host; print(homeport.__file__, homeport_host.__file__)"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
    assert found.decode().split()[0].startswith(str(installed))
    command = [sys.executable, "-m", "homeport", "call", "files__roots", "--json"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        assert '"workspace"' in done.stdout
    finally:
        subprocess.run([sys.executable, "-m", "homeport", "stop"], env=environment, check=True, capture_output=True)
