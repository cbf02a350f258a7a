"""The commands, against a running host."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from homeport.cli import COMMANDS
from homeport_shared import __version__
from homeport_shared.testing.model import ModelDouble, Reply, Script, call, on

from .conftest import until

pytestmark = [pytest.mark.subprocess]
Cli = Callable[..., Result]
Json = Callable[..., Any]
SERVER = Path(__file__).with_name("notebook.py")


def test_help_names_every_command(cli: Cli) -> None:
    told = cli("--help").stdout
    assert all(f"  {name} " in told for name in COMMANDS)
    for name in COMMANDS:
        assert cli(name, "--help").exit_code == 0


def test_status_tells_what_runs(cli: Cli, as_json: Json) -> None:
    told = as_json("status")
    assert told["version"] == __version__
    assert told["url"].startswith("http://127.0.0.1:")
    assert {server["name"] for server in told["server_list"]} >= {"homeport", "files", "rag"}
    assert "model ollama/qwen3:8b" in cli("status").stdout


def test_doctor_finds_nothing_wrong(cli: Cli, as_json: Json, documents: Path) -> None:
    result = cli("doctor")
    assert result.exit_code == 0, result.output
    assert "✓ server files: ready" in result.stdout
    held = as_json("status")["documents"]["count"]
    assert held >= 1
    assert f"✓ knowledge: {held} documents, found by words" in result.stdout
    assert f"Documents: {held}," in cli("status").stdout


def test_models_are_listed_got_and_chosen(cli: Cli, as_json: Json) -> None:
    before = as_json("models")["default"]
    assert before in cli("models", "--query", "qwen3").stdout
    assert "mistral:7b can be used" in cli("models", "pull", "mistral:7b").stdout
    assert cli("models", "use", "ollama/mistral:7b").stdout == "ollama/mistral:7b answers from now on.\n"
    assert as_json("models")["default"] == "ollama/mistral:7b"
    assert cli("models", "use", before).exit_code == 0
    refused = cli("models", "pull", "no-such-model")
    assert refused.exit_code == 4
    assert "no-such-model was not downloaded" in refused.stderr


def test_tools_are_listed_by_server_and_by_what_they_are_for(cli: Cli, as_json: Json) -> None:
    assert {tool["server"] for tool in as_json("tools", "--server", "files")} == {"files"}
    assert as_json("tools", "find passages in my documents")[0]["name"] == "rag__search"
    assert "files__read" in cli("tools", "--server", "files").stdout
    assert cli("tools", "--server", "nowhere").stdout == "No tool fits that.\n"


def test_call_prints_what_the_tool_returns(cli: Cli, as_json: Json, documents: Path) -> None:
    arguments = json.dumps({"path": str(documents / "brevik.md")})
    assert "lit in 1878" in cli("call", "files__read", arguments).stdout
    assert as_json("call", "files__read", arguments)["content"][0]["type"] == "text"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("files__read", "{path"), 2, "The arguments are no JSON"),
        (("files__read", "[1]"), 2, "The arguments are no JSON object"),
        (("files__read", "{}"), 2, "path"),
        (("files__read", '{"path": "/etc/passwd"}'), 3, "/etc/passwd"),
        (("nowhere__tool",), 1, "nowhere__tool"),
    ],
)
def test_a_call_that_cannot_be_made_is_one_sentence(cli: Cli, arguments: tuple[str, ...], code: int, told: str) -> None:
    result = cli("call", *arguments)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert result.stderr.count("\n") == 1


def test_a_destructive_call_wants_a_yes(cli: Cli, notebook: str) -> None:
    refused = cli("call", "notebook__burn", '{"name": "a"}')
    assert refused.exit_code == 3
    assert "approve" in refused.stderr
    assert cli("call", "notebook__burn", '{"name": "a"}', "--yes", "notebook__burn").stdout == "burned a\n"


def test_read_prints_a_resource(cli: Cli, documents: Path) -> None:
    assert cli("read", (documents / "brevik.md").as_uri()).exit_code == 1  # no server serves file://
    assert json.loads(cli("read", "homeport://status").stdout)["version"] == __version__
    missing = cli("read", "run://nothing")
    assert missing.exit_code == 1
    assert "nothing" in missing.stderr
    raw = json.loads(cli("read", "homeport://status", "--json").stdout)
    assert raw["contents"][0]["uri"] == "homeport://status"


def test_what_a_server_says_of_a_resource_arrives_as_it_said_it(cli: Cli, documents: Path) -> None:
    (documents / "bytes.bin").write_bytes(bytes(range(256)))
    refused = cli("read", f"files://{documents.name}/bytes.bin")
    assert refused.exit_code == 1, "the host is there: what cannot be read is the file"
    assert "bytes.bin holds binary data" in refused.stderr


def test_add_indexes_a_folder_and_finds_news_the_second_time(as_json: Json, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "with [brackets]"
    folder.mkdir()
    (folder / "one.md").write_text("The ferry to Langesund leaves at six.")
    assert as_json("add", str(folder), "--no-watch")["job"]["state"] == "completed"
    (folder / "two.md").write_text("The ferry back leaves at nine.")
    again = cli("add", str(folder), "--no-watch")
    assert "with [brackets]" in again.stdout
    assert "1 new" in again.stdout
    assert cli("add", str(tmp_path / "nowhere")).exit_code == 1
    assert "one.md' is a file. Name the folder that holds it." in cli("add", str(folder / "one.md")).stderr


def test_a_folder_that_was_added_is_followed_from_then_on(as_json: Json, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "followed"
    folder.mkdir()
    (folder / "old.md").write_text("The pilot boat is moored at pier three.")
    assert as_json("add", str(folder))["job"]["counters"]["new"] == 1

    def found(query: str) -> list[str]:
        hits = json.loads(cli("call", "rag__search", json.dumps({"query": query})).stdout)["hits"]
        return [hit["source"] for hit in hits if hit["source"].startswith(folder.as_uri())]

    (folder / "new.md").write_text("The zeppelin hangar opens on Sundays.")
    until(lambda: any(source.endswith("new.md") for source in found("zeppelin hangar")))
    (folder / "old.md").unlink()
    until(lambda: not any(source.endswith("old.md") for source in found("pilot boat pier")))


def test_a_folder_is_followed_only_where_that_is_wanted(as_json: Json, tmp_path: Path) -> None:
    folder = tmp_path / "still"
    folder.mkdir()
    assert as_json("add", str(folder), "--no-watch")["root"]
    watched = next(
        each
        for each in as_json("call", "rag__show_settings")["structuredContent"]["settings"]
        if each["name"] == "watch"
    )
    assert str(folder) not in watched["value"]


def test_ask_streams_an_answer_with_its_sources(cli: Cli, as_json: Json, model: ModelDouble, documents: Path) -> None:
    model.script = Script.of([on("first lit", call("rag__search", query="lighthouse"), "It was lit in 1878 [1].")])
    told = cli("ask", "When was it first lit?").stdout
    assert "It was lit in 1878 [1]." in told
    assert "[1] brevik.md" in told
    found = as_json("ask", "When was it first lit?")
    assert found["answer"] == "It was lit in 1878 [1]."
    assert (found["status"], found["error"]) == ("completed", None)
    assert found["citations"][0]["title"] == "brevik.md"
    assert found["usage"]["prompt_tokens"] > 0
    assert found["steps"] >= 2


def test_ask_says_how_to_take_back_what_it_did_to_files(cli: Cli, model: ModelDouble, documents: Path) -> None:
    path = f"{documents.name}/keeper.md"
    model.script = Script.of(
        [
            on("who keeps it", call("files__write", path=path, content="Ada"), "It is written down."),
            on("name the files", call("files__list", path=documents.name), "There are some."),
        ]
    )
    told = cli("ask", "note who keeps it", "--yes", "files__write").stdout
    assert (documents / "keeper.md").read_text() == "Ada"
    [_, given] = told.split("1 file was changed. To take it back: homeport call files__undo ")
    assert cli("call", "files__undo", given.strip().strip("'")).exit_code == 0
    assert not (documents / "keeper.md").exists()
    assert "take it back" not in cli("ask", "name the files").stdout


def test_ask_takes_another_model_and_a_stored_agent(
    cli: Cli, as_json: Json, shared_box: Any, model: ModelDouble
) -> None:
    agents = shared_box.home / "agents"
    agents.mkdir(exist_ok=True)
    (agents / "pirate.md").write_text("---\nmodel: ollama/qwen3:8b\n---\nTalk like a pirate.\n")
    model.script = Script.of(["Arr."])
    assert as_json("ask", "hello", "--agent", "pirate", "--model", "openrouter/qwen/qwen3-8b")["answer"] == "Arr."
    assert model.chats[-1].model == "qwen/qwen3-8b"
    assert "pirate" in json.dumps(model.chats[-1].messages)
    unknown = cli("ask", "hello", "--agent", "nobody")
    assert unknown.exit_code == 1
    assert "There is no agent 'nobody'" in unknown.stderr


def test_ask_does_what_needs_a_yes_only_with_one(cli: Cli, as_json: Json, model: ModelDouble, notebook: str) -> None:
    model.script = Script.of([on("burn", call("notebook__burn", name="a"), "I was told: {result}")])
    assert "burned" not in as_json("ask", "burn it")["answer"]
    assert as_json("ask", "burn it now", "--yes", "notebook__burn")["answer"] == "I was told: burned a"
    mistyped = cli("ask", "burn it now", "--yes", "notebook__brun")
    assert (mistyped.exit_code, "no tool 'notebook__brun'" in mistyped.stderr) == (1, True)


@pytest.mark.parametrize(
    ("question", "arguments", "code", "told"),
    [
        ("hello", ("--model", "ollama/none"), 1, "none"),
        ("hello", ("--model", "qwen3"), 2, "names no provider"),
        ("   ", (), 2, "prompt"),
        ("empty answer", (), 4, "empty"),
    ],
)
def test_a_failed_ask_says_why(
    cli: Cli, model: ModelDouble, question: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    model.script = Script.of([Reply("")])
    result = cli("ask", question, *arguments)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_a_failed_ask_is_an_object_too(cli: Cli, model: ModelDouble) -> None:
    model.script = Script.of([Reply("")])
    result = cli("ask", "hello", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["status"]) == (4, "failed")
    assert found["error"]["message"] in result.stderr


def test_servers_are_added_tested_and_removed(cli: Cli, as_json: Json, tmp_path: Path) -> None:
    assert cli("servers", "add", "mine", "--env", "WORD=one", "--", sys.executable, str(SERVER)).exit_code == 0
    assert as_json("servers", "test", "mine")["tools"] == 4
    assert "mine" in cli("servers").stdout
    assert {server["name"] for server in as_json("servers", "list")} >= {"mine", "rag"}
    assert cli("servers", "remove", "mine").exit_code == 0
    assert "mine" not in {server["name"] for server in as_json("servers", "list")}


def test_a_server_comes_from_the_file_of_another_client(cli: Cli, as_json: Json, tmp_path: Path) -> None:
    file = tmp_path / "claude.json"
    file.write_text(json.dumps({"mcpServers": {"theirs": {"command": sys.executable, "args": [str(SERVER)]}}}))
    assert cli("servers", "add", "theirs", "--from-json", str(file)).exit_code == 0
    assert as_json("servers", "test", "theirs")["works"]
    assert cli("servers", "remove", "theirs").exit_code == 0
    assert "has no server 'other'" in cli("servers", "add", "other", "--from-json", str(file)).stderr
    file.write_text("{")
    assert "does not parse" in cli("servers", "add", "theirs", "--from-json", str(file)).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "x"), 2, "needs a command"),
        (("add", "x", "--env", "WORD", "--", "python"), 2, "no NAME=VALUE"),
        (("add", "rag", "--", "python"), 1, "rag"),
        (("remove", "nowhere"), 1, "nowhere"),
        (("remove", "rag"), 1, "rag"),
        (("test", "nowhere"), 1, "nowhere"),
    ],
)
def test_a_wrong_server_is_one_sentence(cli: Cli, arguments: tuple[str, ...], code: int, told: str) -> None:
    result = cli("servers", *arguments)
    assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
    assert told in result.stderr


def test_a_server_that_does_not_start_says_so(cli: Cli) -> None:
    assert cli("servers", "add", "broken", "--", "no-such-program").exit_code == 0
    result = cli("servers", "test", "broken")
    assert result.exit_code == 4
    assert "no-such-program" in result.stderr
    assert cli("servers", "remove", "broken").exit_code == 0


def test_approve_lists_and_decides(cli: Cli, as_json: Json, notebook: str) -> None:
    assert cli("call", "notebook__burn", '{"name": "b"}').exit_code == 3
    [waiting] = [hold for hold in as_json("approve") if hold["arguments"] == {"name": "b"}]
    assert waiting["id"][:8] in cli("approve").stdout
    assert as_json("approve", waiting["id"][:8])[0]["state"] == "approved"
    assert cli("call", "notebook__burn", '{"name": "b"}').stdout == "burned b\n"
    assert cli("call", "notebook__burn", '{"name": "c"}').exit_code == 3
    [other] = [hold for hold in as_json("approve") if hold["arguments"] == {"name": "c"}]
    assert as_json("approve", other["id"], "--deny")[0]["state"] == "denied"
    assert "0 approvals begin with 'zz'" in cli("approve", "zz").stderr
