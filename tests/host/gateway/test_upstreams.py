"""Servers that crash, hang, talk nonsense or are not there; and a host that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client
from tests.patience import PATIENCE

from homeport_host.gateway import processes
from homeport_host.gateway.config import ServerConfig
from homeport_shared.errors import HomeportError

from .conftest import FIXTURES, Gateway, Open, eventually, http_server, in_process, stdio

ECHO = {"name": "echo", "arguments": {"text": "hi"}}


def script(name: str, code: str) -> ServerConfig:
    return ServerConfig(name, "stdio", command=sys.executable, args=("-c", code))


def kill_children(script: str) -> None:
    """Kill the processes of this one that run `script`."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            if script in " ".join(process.cmdline()):
                process.kill()


async def echo(running: Gateway, name: str) -> str:
    result = await running.upstreams.get(name).request("tools/call", ECHO)
    return result["content"][0]["text"]


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.subprocess
@pytest.mark.parametrize("program", ["2026", "2025"])
async def test_calls_in_flight_fail_plainly_when_their_server_crashes_and_it_comes_back(
    gateway: Open, python_130, program
) -> None:
    python, file = (sys.executable, "everything.py") if program == "2026" else (python_130, "legacy.py")
    child = ServerConfig("child", "stdio", command=python, args=(str(FIXTURES / file), "child"))
    failures: list[HomeportError] = []

    async def waiting(running: Gateway) -> None:
        try:
            await running.upstreams.get("child").request("tools/call", {"name": "wait", "arguments": {}})
        except HomeportError as error:
            failures.append(error)

    async with gateway(child, in_process()) as running:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for _ in range(10 if program == "2026" else 1):
                    tasks.start_soon(waiting, running)
                await anyio.sleep(0.3)
                kill_children(file)

            assert {str(error).partition(".")[0] for error in failures} == {
                "The server 'child' stopped during the call"
            }
            assert {error.code for error in failures} == {"unavailable"}
            assert await echo(running, "here") == "hi"
            await eventually(lambda: running.upstreams.get("child").state == "ready", 15)
            assert await echo(running, "child") == "hi"


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_an_idle_server_that_is_killed_is_noticed_without_a_call(gateway: Open) -> None:
    async with gateway(stdio()) as running:
        child = running.upstreams.get("child")
        seen: list[str] = []

        async def note() -> None:
            seen.append(child.state)

        running.upstreams.on_change.append(note)
        kill_children("everything.py")
        await eventually(lambda: seen[-1:] == ["ready"] and len(seen) > 1)

    assert "starting" in seen


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (ServerConfig("bad", "stdio", command="no-such-program-xyz"), "'no-such-program-xyz' was not found on PATH"),
        (script("bad", "import time; time.sleep(60)"), "did not answer within 2 s"),
        (
            script("bad", "import sys\nwhile sys.stdin.readline(): print('garbage', flush=True)"),
            "not answer within 2 s",
        ),
        (script("bad", "raise SystemExit(1)"), "it ended, or what it writes is not MCP"),
        (ServerConfig("bad", "http", url="http://127.0.0.1:9/mcp"), "nothing answers at its address"),
        (ServerConfig("bad", "http", url="http://127.0.0.1:9/${NO_SUCH_VARIABLE}"), "no variable NO_SUCH_VARIABLE"),
        (in_process("bad", "no_such_module:build"), "cannot be loaded"),
    ],
    ids=["missing", "mute", "garbage", "false", "dead port", "variable", "no module"],
)
async def test_a_server_that_does_not_work_says_why_and_disturbs_nobody(gateway: Open, config, reason) -> None:
    async with gateway(config, in_process(), connect_seconds=2) as running:
        with pytest.raises(HomeportError) as caught:
            await echo(running, "bad")
        report = await running.upstreams.test(config)

        assert caught.value.code == "unavailable"
        assert reason in caught.value.message
        assert not report.works
        assert reason in report.reason
        assert await echo(running, "here") == "hi"


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_slow_server_does_not_hold_up_the_list_and_is_announced_later(gateway: Open, tmp_path) -> None:
    gate = tmp_path / "gate"
    code = (
        f"import sys, time, pathlib; sys.path.insert(0, {str(FIXTURES)!r})\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)\n"
        "from everything import build; build('late').run(transport='stdio')"
    )
    async with gateway(in_process()) as running, Client(running.front.server) as client:
        running.upstreams.add(script("late", code))
        with anyio.fail_after(PATIENCE):
            before = {tool.name for tool in (await client.list_tools()).tools}
        async with client.listen(tools_list_changed=True) as changes:
            gate.touch()
            with anyio.fail_after(PATIENCE):
                await anext(aiter(changes))
        after = {tool.name for tool in (await client.list_tools()).tools}

    assert "here__echo" in before
    assert "late__echo" not in before
    assert "late__echo" in after


@pytest.mark.anyio
async def test_a_call_that_takes_too_long_is_ended_and_the_server_goes_on(gateway: Open, tmp_path) -> None:
    marker = tmp_path / "marker"
    params = {"name": "wait", "arguments": {"marker": str(marker)}}
    async with gateway(in_process()) as running:
        with pytest.raises(HomeportError, match=r"did not finish within 0\.2 s") as caught:
            await running.upstreams.get("here").request("tools/call", params, seconds=0.2)
        await eventually(marker.exists)
        assert await echo(running, "here") == "hi"

    assert caught.value.code == "timeout"


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_2025_http_server_that_was_restarted_is_called_again(gateway: Open, python_130) -> None:
    async with gateway() as running:
        async with http_server(python_130, "legacy.py", "far") as config:
            running.upstreams.add(config)
            await running.ready()
            assert await echo(running, "far") == "hi"
        port = config.url.split(":")[2].split("/")[0]
        again = [python_130, str(FIXTURES / "legacy.py"), "far", port]
        async with await anyio.open_process(again, stderr=None) as process:
            with anyio.fail_after(PATIENCE):
                while True:
                    try:
                        assert await echo(running, "far") == "hi"
                        break
                    except HomeportError as error:
                        assert error.code == "unavailable"
                        running.upstreams.get("far").retry()
                        await anyio.sleep(0.05)
            process.kill()


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_an_argument_that_is_repeated_in_a_header_reaches_an_http_server(gateway: Open) -> None:
    async with http_server(sys.executable, "everything.py", "far") as config, gateway(config) as running:
        async with Client(running.front.server) as client:
            result = await client.call_tool("far__in_region", {"region": "Zürich"})

    assert result.content[0].text == "Zürich"


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_2025_http_server_that_is_gone_is_noticed_by_a_ping(gateway: Open, python_130, monkeypatch) -> None:
    monkeypatch.setattr("homeport_host.gateway.upstream.PING_EVERY_SECONDS", 0.1)
    async with gateway() as running:
        async with http_server(python_130, "legacy.py", "far") as config:
            far = running.upstreams.add(config)
            await eventually(lambda: far.state == "ready", 20)
        await eventually(lambda: far.state == "down", 20)

    assert far.reason


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.subprocess
@pytest.mark.slow
async def test_ten_seconds_of_calls_while_a_server_is_killed_again_and_again(gateway: Open) -> None:
    outcomes: list[str] = []

    async def caller(running: Gateway, number: int) -> None:
        async with Client(running.front.server, mode=("auto", "legacy")[number % 2]) as client:
            with anyio.move_on_after(10):
                for turn in count():
                    server, text = ("child", "here")[turn % 2], f"{number}.{turn}"
                    result = await client.call_tool(f"{server}__echo", {"text": text})
                    assert result.is_error or result.content[0].text == text  # never another caller's answer
                    outcomes.append(f"{server} failed" if result.is_error else server)
                    await anyio.sleep(0.01)

    async with gateway(stdio(), in_process()) as running:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(caller, running, number)
            for _ in range(4):
                await anyio.sleep(2)
                kill_children("everything.py")
        child = running.upstreams.get("child")
        await eventually(lambda: child.state == "ready", 20)
        assert await echo(running, "child") == "hi"

    assert {"here", "child"} <= set(outcomes)
    assert "here failed" not in outcomes
    assert not [process for process in psutil.Process().children(recursive=True) if "everything.py" in str(process)]


@pytest.mark.anyio
async def test_a_removed_server_and_its_tools_are_gone_and_can_come_back(gateway: Open) -> None:
    async with gateway(in_process()) as running, Client(running.front.server) as client:
        await running.upstreams.remove("here")
        assert (await client.list_tools()).tools == []
        running.upstreams.add(in_process())
        await running.ready()
        assert "here__echo" in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(HomeportError, match="already"):
            running.upstreams.add(in_process())


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_what_a_server_says_on_stderr_is_in_its_log_without_secrets(gateway: Open) -> None:
    code = "import sys; print('key is sk-0123456789abcdefghij', file=sys.stderr)"
    async with gateway(script("loud", code), connect_seconds=2) as running:
        log = running.home / "logs" / "server-loud.log"
        await eventually(lambda: log.exists() and "key is" in log.read_text())

    assert "key is [hidden]" in log.read_text()


@pytest.mark.anyio
async def test_only_our_own_servers_are_told_who_calls(gateway: Open) -> None:
    async with gateway(in_process(), stdio()) as running, Client(running.front.server) as client:
        ours = (await client.call_tool("here__who", {}, meta={"io.homeport/actor": "root"})).structured_content
        theirs = (await client.call_tool("child__who", {})).structured_content

    assert ours["io.homeport/actor"] == "tester"
    assert not [name for name in theirs if name.startswith("io.homeport/")]


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_a_bundled_server_in_a_process_of_its_own_still_believes_the_host(gateway: Open) -> None:
    config = ServerConfig(
        "files",
        "in-process",
        env={"PYTHONPATH": str(FIXTURES)},
        entry_point="isolated:build_server",
        isolation="process",
    )
    async with gateway(config) as running, Client(running.front.server) as client:
        result = await client.call_tool("files__actor", {})

    assert result.content[0].text == "tester"


@contextmanager
def sleeping() -> Generator[Any]:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command) as process:
        yield process
        process.kill()


HOST = """
import anyio, sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from homeport_host.gateway.config import ServerConfig
from homeport_host.gateway.upstreams import Upstreams

async def main():
    async with anyio.create_task_group() as tasks:
        upstreams = Upstreams(tasks, home=Path(sys.argv[1]))
        upstreams.add(ServerConfig("child", "stdio", command=sys.executable, args=tuple(sys.argv[2:])))
        await upstreams.wait_ready(20)
        print("ready", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.subprocess
def test_no_server_outlives_a_host_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), str(FIXTURES / "everything.py"), "child"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as host:
        assert host.stdout.readline() == "ready\n"
        children = psutil.Process(host.pid).children(recursive=True)
        assert children
        host.kill()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)

    assert alive == []


def test_a_server_that_a_killed_host_left_behind_is_ended_at_the_next_start(tmp_path: Path) -> None:
    with sleeping() as orphan, sleeping() as stranger:
        (tmp_path / "orphan-1").write_text(f"{orphan.pid} 999999999")
        (tmp_path / "stranger-1").write_text(f"{stranger.pid} 999999999")
        os.utime(tmp_path / "stranger-1", (0, 0))  # the record is older than the process that has its number now
        (tmp_path / "mine-1").write_text(f"{stranger.pid} {os.getpid()}")
        (tmp_path / "broken").write_text("?")

        assert processes.clean_up(tmp_path) == [orphan.pid]

        assert orphan.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
        assert list(tmp_path.iterdir()) == []
