"""The host in the process of the command: `homeport`, `homeport serve --http`, and what they say."""

from __future__ import annotations

import logging
import signal
import socket
import webbrowser
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from click.testing import Result
from tests.patience import PATIENCE

from homeport import launch as launching
from homeport.connection import call, connect
from homeport.launch import launch
from homeport_host import process
from homeport_shared.errors import HomeportError

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def own_log() -> Generator[None]:
    """Give the process its log back, which a host takes for itself."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in set(handlers) - set(root.handlers):
        root.addHandler(handler)
    root.setLevel(level)


@pytest.mark.anyio
async def test_host_servers_and_dashboard_are_at_one_address(box: Any, use: Callable[[Any], None]) -> None:
    use(box)
    opened: list[str] = []
    ready = anyio.Event()

    async def told(url: str) -> None:
        opened.append(url)
        ready.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(launch, box.home, "127.0.0.1", 0, any_port=True, idle_exit=0, ready=told))
            await ready.wait()
            record = process.running(box.home)
            assert record is not None and opened[0].startswith(f"{record.address}/login?token=")
            async with httpx2.AsyncClient() as browser:
                assert (await browser.get(f"{record.address}/health")).status_code == 200
                assert (await browser.get(opened[0])).status_code == 303
                assert (await browser.get(f"{record.address}/shell")).json()["mode"]
            async with connect(box.home, start=False) as client:
                servers = (await call(client, "homeport__list_servers"))["servers"]
            assert {server["name"] for server in servers} >= {"homeport", "files", "rag"}
            with pytest.raises(HomeportError, match="A host runs on"):
                await launch(box.home, "127.0.0.1", 0, any_port=True, idle_exit=0, ready=told)
            tasks.cancel_scope.cancel()
    assert process.running(box.home) is None


def test_a_host_says_where_it_is_and_leaves_when_nobody_uses_it(alone: Cli, box: Any) -> None:
    result = alone("serve", "--http", "127.0.0.1:0", "--idle-exit", "0.01")
    assert result.exit_code == 0, result.output
    assert "/login?token=" in result.stdout
    assert "Ctrl+C stops it." in result.stdout
    assert (box.home / "logs" / "homeport.log").exists()


def test_homeport_opens_the_dashboard_also_beside_another_program_and_ctrl_c_stops_it(
    alone: Cli, box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def visit(url: str) -> None:
        opened.append(url)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(webbrowser, "open", visit)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(process, "DEFAULT_PORT", taken.getsockname()[1])
        result = alone()
    assert result.exit_code == 0, result.output
    assert "is in use by another program, so this is another one." in result.stdout
    assert opened[0] in result.stdout
    assert process.running(box.home) is None


def test_a_port_that_is_in_use_is_named_unless_any_will_do(alone: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert launching._free_port("127.0.0.1", port) not in {port, 0}
        refused = alone("serve", "--http", f"127.0.0.1:{port}")
    assert refused.exit_code == 1
    assert f"Port {port} on 127.0.0.1 is in use." in refused.stderr
    assert launching._free_port("127.0.0.1", port) == port


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--http", "0.0.0.0:0"), 3, "is not this machine alone"),
        (("--http", "nowhere"), 2, "is not HOST:PORT"),
        ((), 2, "Choose --stdio or --http."),
        (("--stdio", "--http", "127.0.0.1:0"), 2, "Choose --stdio or --http."),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_one_sentence(
    alone: Cli, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = alone("serve", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert told in result.stderr


def test_homeport_opens_the_dashboard_of_the_host_that_runs_already(
    cli: Cli, shared_box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    result = cli()
    assert result.exit_code == 0, result.output
    record = process.running(shared_box.home)
    assert record is not None and f"Homeport runs already (process {record.pid})" in result.stdout
    assert opened[0].startswith(f"{record.address}/login?token=")
    assert cli("--no-browser").exit_code == 0
    assert len(opened) == 1
