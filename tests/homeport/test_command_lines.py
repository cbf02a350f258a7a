"""What commands print and how they fail, in ways that need no host, or only the one that is up."""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import click
import pytest
from click.testing import Result
from rich.console import Console
from tests.patience import PATIENCE

from homeport import desktop, testing
from homeport.api import RunEvent, Usage
from homeport.cli import COMMANDS, homeport, output
from homeport.connection import connect
from homeport_host import process
from homeport_shared import __version__, settings
from homeport_shared.errors import HomeportError
from homeport_shared.testing.model import ModelDouble, Reply, Script, call, on

pytestmark = [pytest.mark.subprocess]
Cli = Callable[..., Result]
Json = Callable[..., Any]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let the command `internet` fail in a way that nobody foresaw."""

    def fail(error: BaseException) -> None:
        def body(**_: Any) -> None:
            raise error

        monkeypatch.setattr(COMMANDS_OF["internet"], "callback", body)

    return fail


COMMANDS_OF: dict[str, click.Command] = {
    name: found for name in COMMANDS if (found := homeport.get_command(click.Context(homeport), name)) is not None
}


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (HomeportError("timeout", "It took too long.", "Try again."), 4, "It took too long. Try again."),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x cannot be used: Permission denied. Correct that."),
        (ZeroDivisionError("by zero"), 1, "Something unforeseen: ZeroDivisionError: by zero."),
        (ExceptionGroup("several", [ValueError("a")]), 1, "Something unforeseen: ValueError: a."),
        (ExceptionGroup("several", [HomeportError("denied", "No.")]), 3, "No."),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_failure_is_one_sentence_and_an_exit_code(
    alone: Cli, failing: Callable[[BaseException], None], error: BaseException, code: int, told: str
) -> None:
    failing(error)
    result = alone("internet", "on")
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1 if told else 0)
    assert told in result.stderr


def test_debug_shows_where_an_error_comes_from(alone: Cli, failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError("by zero"))
    assert isinstance(alone("--debug", "internet", "on").exception, ZeroDivisionError)


def test_an_unknown_command_is_named(alone: Cli) -> None:
    result = alone("nonsense")
    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.stderr


def test_python_m_homeport_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["homeport", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("homeport", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"homeport, version {__version__}\n"


def test_home_names_the_data_root(alone: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPORT_HOME", "elsewhere")
    result = alone("--home", str(tmp_path / "other"), "status")
    assert result.exit_code == 4
    assert f"No host runs on {tmp_path / 'other'}." in result.stderr


def test_stop_says_when_no_host_was_running(alone: Cli) -> None:
    assert alone("stop").stdout == "No host was running.\n"
    assert json.loads(alone("stop", "--json").stdout) == {"stopped": False}


def test_doctor_names_what_is_wrong_before_it_starts_a_host(alone: Cli, box: Any) -> None:
    (box.home / "homeport.toml").write_text("[models\n", "utf-8")
    result = alone("doctor", "--json")
    found = {finding["check"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert not found["settings"]["ok"]
    assert "homeport.toml does not parse" in found["settings"]["told"]
    assert "host" not in found
    assert process.running(box.home) is None


def test_doctor_names_a_data_root_that_cannot_be_written(alone: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    result = alone("--home", str(tmp_path / "file" / "home"), "doctor")
    assert result.exit_code == 1
    assert "cannot be written: correct its permissions or set HOMEPORT_HOME" in result.stdout


def test_doctor_names_a_host_that_does_not_start(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_home: Path) -> Any:
        raise HomeportError("unavailable", "The host did not start.", "See its log.")

    monkeypatch.setattr(process, "ensure_running", refused)
    result = alone("doctor")
    assert result.exit_code == 1
    assert "✗ host: The host did not start." in result.stdout


def test_doctor_names_a_server_that_is_down(cli: Cli) -> None:
    cli("servers", "add", "lame", "--", "no-such-program")
    result = cli("doctor")
    cli("servers", "remove", "lame")
    assert result.exit_code == 1
    assert "✗ server lame: down:" in result.stdout


def test_internet_is_switched_for_all_agents(cli: Cli) -> None:
    assert json.loads(cli("internet", "off", "--json").stdout) == {"internet": False}
    for state in ("off", "on"):
        assert cli("internet", state).stdout == f"Internet access for agents is {state}.\n"
    assert cli("internet", "maybe").exit_code == 2


def test_a_person_at_the_terminal_is_asked_and_the_answer_counts(
    cli: Cli, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answering(word: bool) -> Callable[[str], Any]:
        async def answer(question: str) -> bool:
            asked.append(question)
            return word

        return answer

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    monkeypatch.setattr("homeport.cli.talk.confirm", answering(False))
    refused = cli("call", "notebook__burn", '{"name": "asked"}')
    assert (refused.exit_code, asked) == (3, ["Do it?"])
    assert 'notebook__burn {"name": "asked"}' in refused.stdout
    monkeypatch.setattr("homeport.cli.talk.confirm", answering(True))
    assert cli("call", "notebook__burn", '{"name": "asked"}').stdout.endswith("burned asked\n")
    assert asked == ["Do it?"] * 2, "a no is no yes for the next time"


def test_an_answer_on_the_terminal_is_yes_only_when_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for said, meant in (("y\n", True), ("YES\n", True), ("\n", False), ("nope\n", False), ("", False)):
        ours, theirs = os.pipe()
        with os.fdopen(ours, encoding="utf-8") as given:
            os.write(theirs, said.encode())
            os.close(theirs)
            monkeypatch.setattr(sys, "stdin", given)
            assert anyio.run(output.confirm, "Do it?") is meant, said
    assert capsys.readouterr().out.startswith("Do it? [y/N]: ")


def test_a_table_on_a_terminal_and_in_a_file_and_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.show_table(("name",), [], "Nothing here.")
    output.show_table(("name", "what"), [("[a]", "b " * 90)], "")
    told = capsys.readouterr().out
    assert told.startswith("Nothing here.\n")
    assert "[a]" in told
    assert max(map(len, told.splitlines())) > 120, "a program that reads it gets whole rows"


def test_an_answer_that_begins_anew_says_so_and_asks_where_it_must(
    cli: Cli, model: ModelDouble, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def yes(_question: str) -> bool:
        return True

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    monkeypatch.setattr(Console, "is_terminal", False)
    monkeypatch.setattr("homeport.cli.ask.confirm", yes)
    model.script = Script.of([on("by hand", call("notebook__burn", name="d"), "I was told: {result}")])
    told = cli("ask", "burn it by hand").stdout
    assert 'notebook__burn {"name": "d"}' in told
    assert "I was told: burned d" in told


def test_add_tells_what_it_left_out_and_need_not_wait(cli: Cli, as_json: Json, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "one.md").write_text("The ferry to Langesund leaves at six.")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    told = cli("add", str(folder)).stdout
    assert "left out" in told
    assert "broken.pdf" in told
    later = as_json("add", str(folder), "--no-wait")
    assert "job" not in later


def test_a_model_list_that_fits_nothing_says_how_to_get_one(cli: Cli) -> None:
    assert "No model can be used. Start Ollama and pull one" in cli("models", "--query", "no such model").stdout


def test_approve_prints_what_was_decided_and_can_remember_it(cli: Cli, as_json: Json, notebook: str) -> None:
    assert cli("call", "notebook__burn", '{"name": "never"}').exit_code == 3
    [waiting] = [hold for hold in as_json("approve") if hold["arguments"] == {"name": "never"}]
    told = cli("approve", waiting["id"], "--deny").stdout
    assert waiting["id"][:8] in told
    assert "denied" in told


def test_servers_test_tells_what_a_server_offers(cli: Cli, notebook: str) -> None:
    assert cli("servers", "test", notebook).stdout.startswith("notebook works: 4 tools, ")
    assert cli("servers", "add", "far", "--url", "http://127.0.0.1:9/mcp").stdout.startswith("Added far: ")
    assert cli("servers", "test", "far", "--json").exit_code == 4
    assert cli("servers", "remove", "far").stdout == "Removed far.\n"
    added = json.loads(cli("servers", "add", "far", "--url", "http://127.0.0.1:9/mcp", "--json").stdout)
    assert (added["name"], added["state"]) == ("far", "down")
    assert json.loads(cli("servers", "remove", "far", "--json").stdout) == {"removed": "far"}


def test_read_prints_text_as_it_is(cli: Cli, notebook: str) -> None:
    assert cli("read", "note://a").stdout.strip() in {"first", "third"}


@pytest.mark.parametrize(
    ("client", "platform", "environment", "expected"),
    [
        ("cursor", "linux", {"HOME": "/u"}, "/u/.cursor/mcp.json"),
        ("claude-code", "linux", {"HOME": "/u"}, "/u/.claude.json"),
        ("claude-desktop", "linux", {"HOME": "/u"}, "/u/.config/Claude/claude_desktop_config.json"),
        (
            "claude-desktop",
            "darwin",
            {"HOME": "/u"},
            "/u/Library/Application Support/Claude/claude_desktop_config.json",
        ),
        ("claude-desktop", "win32", {"APPDATA": "/a"}, "/a/Claude/claude_desktop_config.json"),
    ],
)
def test_each_desktop_client_keeps_its_file_where_it_says(
    client: Any, platform: str, environment: dict[str, str], expected: str
) -> None:
    assert desktop.config_path(client, environment, platform) == Path(expected)


def test_an_installed_package_is_started_by_its_own_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop, "__file__", "/nowhere/site-packages/homeport/desktop.py")
    made = desktop.entry("homeport", ["serve", "--stdio"], {"HOMEPORT_HOME": "/data"})
    assert Path(made["command"]) == Path(sys.executable).with_name("homeport")
    assert made["args"] == ["serve", "--stdio"]
    assert made["env"] == {"HOMEPORT_HOME": "/data"}


def test_a_clone_without_uv_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HomeportError, match="uv is not to be found"):
        desktop._uv(tmp_path)


@pytest.mark.anyio
async def test_without_a_host_a_connection_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(HomeportError, match="Start it with `homeport`"):
        async with connect(tmp_path, start=False):
            pass


@pytest.mark.anyio
async def test_a_host_that_is_just_going_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = process.HostRecord(os.getpid(), 0.0, "http://127.0.0.1:9", __version__)
    monkeypatch.setattr(process, "running", lambda _home: gone)
    with anyio.fail_after(PATIENCE), pytest.raises(HomeportError, match="does not answer") as told:
        async with connect(tmp_path, start=False):
            pass
    assert told.value.code == "unavailable"


def test_usage_and_events_have_words_for_what_is_asked_most() -> None:
    assert Usage(3, 4).tokens == 7
    event = RunEvent(1, "2026-11-21T10:00:00Z", "approval", {"approval_id": "a1", "tool": "files__write"})
    assert (event.id, event.tool) == ("a1", "files__write")
    assert (RunEvent(2, "", "text", {}).id, RunEvent(2, "", "text", {}).tool) == ("", "")


def test_tests_of_servers_have_all_they_need_in_one_place() -> None:
    assert {name: getattr(testing, name) for name in testing.__all__}["Reply"] is Reply
    assert settings.home_folder({"HOMEPORT_HOME": "/data"}) == Path("/data")
