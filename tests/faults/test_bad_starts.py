"""A host that cannot start says why in one sentence with the next step; one that was asked to end closes its stores."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from homeport.connection import call as use
from homeport_shared.errors import HomeportError

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "replaced": lambda _: json.dumps({"this": "is no database"}).encode() * 400,
    "cut in half": lambda content: content[: len(content) // 2],
    "overwritten behind its first page": lambda content: content[:4096] + b"\xa5" * (len(content) - 4096),
}


def test_a_port_in_use_is_named(machine: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = machine.refuse(f"127.0.0.1:{port}")
    assert str(port) in said
    assert "in use" in said


def test_a_second_host_names_the_first(machine: Any) -> None:
    machine.start()
    assert machine.host is not None
    said = machine.refuse()
    assert f"process {machine.host.pid}" in said
    assert "homeport stop" in said


def test_an_address_that_others_can_reach_is_refused(machine: Any) -> None:
    assert "not this machine alone" in machine.refuse("0.0.0.0:0")


@pytest.fixture(scope="module")
def used(shared_machine: Any) -> Path:
    """The data root of a host that has answered a question and was stopped in order."""

    async def ask() -> None:
        async with shared_machine.client() as client:
            assert (await shared_machine.run(client, "hello"))["state"] == "completed"

    anyio.run(ask)
    assert shared_machine.stop() == 0
    return shared_machine.home


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, "overwritten behind its first page") for name in ("host.db", "engine.db", "audit.db")),
        ("host.db", "replaced"), ("engine.db", "replaced"), ("engine.db", "cut in half"),
    ],
)  # fmt: skip
def test_a_damaged_store_of_the_host_is_named(name: str, damage: str, machine: Any, used: Path) -> None:
    shutil.copytree(used, machine.home)
    file = machine.home / "host" / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    said = machine.refuse()
    assert str(file).replace(" ", "") in said.replace(" ", ""), said
    assert "is damaged" in said
    assert "move that file away" in said


async def test_a_damaged_knowledge_base_leaves_everything_else_usable(machine: Any) -> None:
    file = machine.home / "rag" / "knowledge.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(DAMAGES["replaced"](b""))
    machine.start()
    async with machine.client() as client:
        with pytest.raises(HomeportError) as raised:
            await use(client, "rag__search", query="anything")
        assert "knowledge.db" in str(raised.value)
        assert raised.value.hint
        assert "roots" in await use(client, "files__roots")


@pytest.mark.parametrize("file", ["homeport.toml", "mcp.json", "host/credentials.json"])
def test_a_file_that_does_not_parse_is_named(file: str, machine: Any) -> None:
    path = machine.home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{[broken")
    said = machine.refuse()
    assert path.name in said.replace(" ", ""), said


async def test_a_signal_ends_the_host_with_its_stores_closed(machine: Any) -> None:
    machine.start()
    async with machine.client() as client:
        await use(client, "homeport__status")
    assert machine.stop() == 0
    assert not (machine.home / "host" / "host.json").exists()
    assert list((machine.home / "host").glob("*-wal")) == [], "the stores were closed in order"


async def test_a_client_that_is_installed_while_the_host_runs_can_use_it(machine: Any) -> None:
    machine.start()
    async with machine.client("client:newcomer") as client:
        assert "files__list" in [tool.name for tool in (await client.list_tools()).tools]
