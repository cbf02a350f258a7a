"""Every member of the workspace has the same shape, so that the tenth server looks like the first."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = sorted(
    path.parent
    for pattern in ("shared", "servers/*", "host", "clients/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
SERVERS = sorted(path.parent for path in ROOT.glob("servers/*/pyproject.toml"))
SOURCES = sorted(path for member in MEMBERS for path in member.glob("src/**/*.py"))
MOST_MODULE_LINES, MOST_FUNCTION_LINES = 600, 60
PURE_BUT = ("server.py", "_tools.py", "store.py", "settings.py")


def project(member: Path) -> dict:
    return tomllib.loads((member / "pyproject.toml").read_text("utf-8"))["project"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("server", SERVERS, ids=named)
def test_a_servers_names_follow_from_its_folder(server: Path) -> None:
    name, package = f"homeport-{server.name}", f"homeport_{server.name}"
    data = project(server)
    assert data["name"] == name
    assert data["scripts"] == {name: f"{package}.server:main"}
    assert data["entry-points"]["homeport.servers"] == {server.name: f"{package}.server:build_server"}
    for file in ("__init__.py", "server.py", "settings.py", "py.typed"):
        assert (server / "src" / package / file).is_file(), file
    readme = (server / "README.md").read_text("utf-8")
    assert f"uvx {name}" in readme
    assert f"mcp-name: io.github.homeport/{name}" in readme
    assert (ROOT / "tests" / "servers" / server.name).is_dir()


def test_all_members_have_one_version_and_pin_each_other() -> None:
    versions = {project(member)["version"] for member in MEMBERS}
    assert len(versions) == 1
    version = versions.pop()
    for member in MEMBERS:
        data = project(member)
        extras = [d for group in data.get("optional-dependencies", {}).values() for d in group]
        ours = [d for d in [*data["dependencies"], *extras] if d.startswith("homeport")]
        assert all(d.endswith(f"=={version}") for d in ours), ours
    shared = (ROOT / "shared/src/homeport_shared/__init__.py").read_text("utf-8")
    assert f'__version__ = "{version}"' in shared


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_modules_and_functions_fit_in_a_head(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= MOST_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= MOST_FUNCTION_LINES, f"{node.name}: {lines} lines"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if "servers" in p.relative_to(ROOT).parts and not p.name.endswith(PURE_BUT)], ids=named
)
def test_the_domain_of_a_server_knows_no_protocol_and_no_database(path: Path) -> None:
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not imported & {"mcp", "mcp_types", "starlette"}


def test_nothing_is_called_utils() -> None:
    assert [
        named(p) for p in SOURCES if p.stem in {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    ] == []


def test_lock_files_name_only_the_public_index() -> None:
    hosts = set(re.findall(r"https?://([^/\"'\s]+)", (ROOT / "uv.lock").read_text("utf-8")))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}
    for lock in ROOT.glob("**/package-lock.json"):
        if "node_modules" not in lock.parts:
            assert '"resolved": "http' not in lock.read_text("utf-8"), lock


def test_the_default_lock_has_no_torch_and_no_cuda() -> None:
    names = set(re.findall(r'^name = "([^"]+)"', (ROOT / "uv.lock").read_text("utf-8"), re.MULTILINE))
    assert not {name for name in names if name == "torch" or name.startswith(("nvidia", "triton", "cuda"))}


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    wanted = set()
    for member in MEMBERS:
        data = project(member)
        for requirement in [
            *data["dependencies"],
            *(d for g in data.get("optional-dependencies", {}).values() for d in g),
        ]:
            wanted.add(re.split(r"[\[<>=!~ ]", requirement)[0].lower())
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    wanted |= {re.split(r"[\[<>=!~ ]", requirement)[0].lower() for group in groups.values() for requirement in group}
    missing = {name for name in wanted if not name.startswith("homeport") and f"`{name}`" not in reasons}
    assert not missing


def test_the_coverage_of_every_package_is_measured() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage"]["run"]
    packages = {path.parent.name for member in MEMBERS for path in member.glob("src/*/__init__.py")}
    assert settings["branch"] is True
    assert set(settings["source_pkgs"]) == packages
