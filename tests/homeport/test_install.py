"""`homeport install`: what is written into the clients' files, and that it really starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import Result
from mcp import Client, StdioServerParameters
from tests.patience import PATIENCE

from homeport.desktop import config_path

pytestmark = [pytest.mark.subprocess]
Cli = Callable[..., Result]
CLIENTS = ["claude-desktop", "claude-code", "cursor"]


def entries(printed: str) -> dict[str, Any]:
    return json.loads(printed)["mcpServers"]


@pytest.mark.parametrize("client", CLIENTS)
def test_install_keeps_the_rest_and_uninstall_takes_only_ours_out(alone: Cli, box: Any, client: str) -> None:
    path = config_path(client, box.environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = {"theme": "dark", "mcpServers": {"other": {"command": "other"}}}
    path.write_text(json.dumps(before))
    assert alone("install", client).exit_code == 0
    written = json.loads(path.read_text())
    assert written["theme"] == "dark"
    assert set(written["mcpServers"]) == {"other", "homeport"}
    assert written["mcpServers"]["homeport"]["env"] == {"HOMEPORT_HOME": str(box.home)}
    assert json.loads(path.with_name(path.name + ".homeport-backup").read_text()) == before
    assert alone("install", client, "--uninstall").exit_code == 0
    assert json.loads(path.read_text()) == before


def test_a_second_install_changes_nothing_and_no_backup_takes_the_place_of_another(alone: Cli, box: Any) -> None:
    path = config_path("cursor", box.environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"mcpServers": {"other": {"command": "other"}}}')
    first = path.with_name("mcp.json.homeport-backup")
    assert alone("install", "cursor").exit_code == 0
    assert "has it already" in alone("install", "cursor").stdout
    told = json.loads(alone("install", "cursor", "--json").stdout)
    assert told == {"file": str(path), "changed": [], "backup": ""}
    assert [each.name for each in path.parent.glob("*backup*")] == [first.name]
    assert alone("install", "cursor", "--server", "files").exit_code == 0
    assert set(entries(first.read_text())) == {"other"}
    assert set(entries(path.with_name("mcp.json.homeport-backup-2").read_text())) == {"other", "homeport"}


def test_uninstall_takes_out_everything_of_homeport_and_says_when_there_is_nothing(alone: Cli, box: Any) -> None:
    path = config_path("cursor", box.environment)
    alone("install", "cursor")
    alone("install", "cursor", "--server", "files", "--server", "rag")
    assert "homeport-rag" in alone("install", "cursor", "--uninstall", "--server", "rag").stdout
    assert set(entries(path.read_text())) == {"homeport", "homeport-files"}
    assert "Took homeport, homeport-files out of" in alone("install", "cursor", "--uninstall").stdout
    assert entries(path.read_text()) == {}
    assert "has nothing of that" in alone("install", "cursor", "--uninstall").stdout


def test_install_makes_the_file_where_there_is_none(alone: Cli, box: Any) -> None:
    path = config_path("cursor", box.environment)
    assert "backup" not in alone("install", "cursor").stdout
    assert set(entries(path.read_text())) == {"homeport"}


@pytest.mark.parametrize("content", ["{", "[1]", '{"mcpServers": []}'])
def test_a_damaged_file_is_left_as_it_is(alone: Cli, box: Any, content: str) -> None:
    path = config_path("cursor", box.environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    result = alone("install", "cursor")
    assert result.exit_code == 1
    assert str(path) in result.stderr
    assert path.read_text() == content


def test_print_changes_nothing_and_unknown_names_are_refused(alone: Cli, box: Any) -> None:
    printed = entries(alone("install", "cursor", "--server", "files", "--server", "rag", "--print").stdout)
    assert set(printed) == {"homeport-files", "homeport-rag"}
    assert Path(printed["homeport-files"]["command"]).is_absolute()
    assert not config_path("cursor", box.environment).exists()
    assert "There are files, rag" in alone("install", "cursor", "--server", "mail").stderr
    assert alone("install", "notepad").exit_code == 2


@pytest.mark.anyio
@pytest.mark.parametrize(("arguments", "tool"), [((), "rag__search"), (("--server", "files"), "list")])
async def test_what_is_written_starts_and_answers(shared_box: Any, arguments: tuple[str, ...], tool: str) -> None:
    printed = shared_box.run("install", "claude-desktop", *arguments, "--print").stdout
    [entry] = entries(printed).values()
    # a desktop client passes on little of its environment
    environment = {name: shared_box.environment[name] for name in ("HOME", "PATH")} | entry["env"]
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], env=environment)
    with anyio.fail_after(PATIENCE):
        async with Client(parameters) as client:
            assert tool in {each.name for each in (await client.list_tools()).tools}
