"""One host per data root: how it starts, is shared, breaks and ends."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import httpx2
import psutil
import pytest
from click.testing import Result
from tests.patience import PATIENCE

from homeport_host import process
from homeport_shared import garbage
from homeport_shared.testing.model import ModelDouble, Reply, Script

from .conftest import FACT, NOTEBOOK, Box, descendants, until

pytestmark = [pytest.mark.subprocess, pytest.mark.slow]
Cli = Callable[..., Result]


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = child.communicate(timeout=PATIENCE)
    return child.returncode, out, error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_command_starts_everything_and_one_signal_stops_it(box: Box, number: int) -> None:
    (box.home / "mcp.json").write_text(
        json.dumps({"mcpServers": {"notebook": {"command": os.sys.executable, "args": [str(NOTEBOOK)]}}})
    )
    child = box.start("--no-browser")
    assert child.stdout is not None
    url = re.search(
        r"http://127.0.0.1:\d+/login\?token=\S+", "".join(iter(child.stdout.readline, "Ctrl+C stops it.\n"))
    )
    record = process.running(box.home)
    assert url is not None and record is not None
    assert httpx2.get(f"{record.address}/health").json()["status"] in {"ok", "degraded"}
    assert httpx2.get(url[0]).status_code == 303
    assert httpx2.get(url[0]).status_code == 403  # it works once
    below = until(lambda: descendants(child.pid))
    child.send_signal(number)
    code, _, error = ended(child)
    assert (code, error) == (0, "")
    assert not (box.home / "host" / "host.json").exists()
    assert list((box.home / "host").glob("*-wal")) == [], "the stores were closed in order"
    until(lambda: not any(each.is_running() for each in below))


def test_a_second_host_is_told_where_the_first_one_is(box: Box) -> None:
    record = box.serve()
    code, _, error = ended(box.start("serve", "--http", "127.0.0.1:0"))
    assert code == 1
    assert error.count("\n") == 1
    assert f"A host runs on {box.home} already (process {record.pid} at {record.address})." in error
    assert "homeport stop" in error
    code, out, _ = ended(box.start("--no-browser"))
    assert code == 0
    assert f"Homeport runs already (process {record.pid}): {record.address}/login?token=" in out


def test_commands_start_a_host_which_survives_them_until_stop(box: Box) -> None:
    assert box.run("status").exit_code == 4
    first, second = box.start("tools", "--json"), box.start("tools", "--json")
    assert ended(first)[0] == ended(second)[0] == 0
    record = process.running(box.home)
    assert record is not None
    hosts = [each for each in psutil.process_iter(["environ", "cmdline"]) if _is_host(each, box.home)]
    assert [each.pid for each in hosts] == [record.pid]
    assert box.run("stop").stdout == "Stopped.\n"
    assert not psutil.pid_exists(record.pid) or psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE
    assert box.run("stop").stdout == "No host was running.\n"


def _is_host(candidate: psutil.Process, home: Path) -> bool:
    given, command = candidate.info["environ"] or {}, candidate.info["cmdline"] or []
    return given.get("HOMEPORT_HOME") == str(home) and "serve" in command


@pytest.fixture
def begun() -> Generator[None]:
    """A process that has begun to start, and collects no garbage."""
    garbage.wait()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("begun")
def test_a_host_nobody_uses_leaves(box: Box) -> None:
    assert box.run("serve", "--http", "127.0.0.1:0", "--idle-exit", "0.5").exit_code == 0
    assert gc.isenabled(), "garbage is collected again once the host is up"
    assert process.running(box.home) is None


@pytest.mark.usefixtures("begun")
def test_garbage_is_collected_again_once_a_command_is_loaded(box: Box) -> None:
    assert box.run("stop").exit_code == 0
    assert gc.isenabled()


def test_kill_9_loses_nothing_and_the_next_command_goes_on(box: Box, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "brevik.md").write_text(FACT)
    (box.home / "mcp.json").write_text(
        json.dumps({"mcpServers": {"notebook": {"command": os.sys.executable, "args": [str(NOTEBOOK)]}}})
    )
    record = box.serve()
    assert box.run("add", str(folder)).exit_code == 0
    below = until(lambda: descendants(record.pid))
    psutil.Process(record.pid).kill()
    until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in below))
    found = box.run("call", "rag__search", '{"query": "lighthouse"}')
    assert "brevik.md" in found.stdout, found.stderr
    assert process.running(box.home).pid != record.pid


def test_stop_keeps_a_run_that_is_under_way_for_the_next_start(
    box: Box, model: ModelDouble, use: Callable[[Box], None]
) -> None:
    model.script = Script.of([Reply("word " * 400, pace=0.1)])
    box.serve()
    asking = box.start("ask", "talk for long", "--json")
    until(lambda: '"running": 1' in box.run("status", "--json").stdout)
    assert box.run("stop").exit_code == 0
    code, _, error = ended(asking)
    assert code == 4
    assert error.count("\n") == 1
    model.script = Script.of(["Done at last."])
    until(lambda: "Done at last." in box.run("read", "run://recent").stdout)


def test_ctrl_c_cancels_the_run_that_was_asked_for(shared_box: Box, model: ModelDouble) -> None:
    model.script = Script.of([Reply("word " * 1000, pace=0.1)])
    asking = shared_box.start("ask", "talk for very long")
    assert asking.stdout is not None
    asking.stdout.read(4)
    asking.send_signal(signal.SIGINT)
    code, _, error = ended(asking)
    assert (code, error) == (130, "")
    latest = json.loads(shared_box.run("read", "run://recent").stdout)["runs"][0]
    assert (latest["prompt"], latest["state"]) == ("talk for very long", "cancelled")


def test_damaged_knowledge_leaves_the_rest_usable(box: Box) -> None:
    (box.home / "rag").mkdir()
    (box.home / "rag" / "knowledge.db").write_text("no database " * 1000)
    box.serve()
    until(
        lambda: "knowledge.db" in box.run("call", "rag__search", '{"query": "x"}').stderr
    )  # not while it still starts
    until(lambda: box.run("call", "files__roots").exit_code == 0)


def test_a_data_root_that_cannot_be_written_is_named(box: Box, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for command in (["serve", "--http", "127.0.0.1:0"], ["tools"], ["doctor"]):
        code, out, error = ended(box.start("--home", str(blocked / "home"), *command))
        assert code == 1
        assert str(blocked) in out + error
        assert "Traceback" not in out + error


def test_a_host_in_the_background_runs_no_code_out_of_the_folder_it_is_started_in(box: Box, tmp_path: Path) -> None:
    for module in ("click", "ollama"):
        (tmp_path / f"{module}.py").write_text("open('ran', 'w').close()")
    command = [sys.executable, "-P", "-m", "homeport", "models"]
    told = subprocess.run(
        command, cwd=tmp_path, env=box.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE
    )
    assert told.returncode == 0, told.stderr
    assert process.running(box.home)
    assert not (tmp_path / "ran").exists()


def test_a_question_whose_host_is_killed_ends_with_one_sentence(box: Box, model: ModelDouble) -> None:
    model.script = Script.of([Reply("word " * 400, pace=0.2)])
    record = box.serve()
    asking = box.start("ask", "talk for long")
    assert asking.stdout is not None
    assert asking.stdout.read(4) == "word"
    psutil.Process(record.pid).kill()
    code, _, error = ended(asking)
    assert code == 4
    assert error.strip().count("\n") == 0
    assert "unforeseen" not in error
