"""A host that cannot start says why in one sentence with the next step.

The command runs in this process: that it ends at once, whatever is wrong, is what these tests are about.
"""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from click.testing import Result
from tests.patience import PATIENCE

from homeport_host import process
from homeport_host.governance.calls import Caller
from homeport_host.host import open_host
from homeport_shared.testing.model import ModelDouble

from .conftest import Box

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "replaced": lambda _: b"no database " * 1000,
    "cut in half": lambda content: content[: len(content) // 2],
    "overwritten behind its first page": lambda content: content[:4096] + b"\xa5" * (len(content) - 4096),
}
Refuse = Callable[..., str]


@pytest.fixture
def refuse(alone: Callable[..., Result]) -> Refuse:
    """Start a host that must not come up, and return its one sentence."""

    def said(*options: str, where: str = "127.0.0.1:0", codes: Collection[int] = (1, 2)) -> str:
        result = alone("serve", "--http", where, *options)
        assert result.exit_code in codes, result.output
        assert result.stderr.count("\n") == 1, result.stderr
        assert "Traceback" not in result.output
        return result.stderr

    return said


def test_an_address_that_is_in_use_is_named(box: Box, refuse: Refuse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refuse(where=f"127.0.0.1:{port}")
    assert said == f"Port {port} on 127.0.0.1 is in use. Stop what listens there, or choose another port.\n"
    assert process.running(box.home) is None


@pytest.mark.parametrize(
    ("where", "code", "told"),
    [
        ("0.0.0.0:0", 3, "not this machine alone"),
        ("127.0.0.1", 2, "127.0.0.1"),
        ("127.0.0.1:99999", 2, "99999"),
    ],
)
def test_an_address_that_cannot_be_is_refused(refuse: Refuse, where: str, code: int, told: str) -> None:
    assert told in refuse(where=where, codes={code})


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("homeport.toml", "[models\n", "homeport.toml does not parse"),
        ("homeport.toml", "[host]\nwrong = 1\n", "wrong"),
        ("mcp.json", "{", "mcp.json"),
        ("host/credentials.json", "{", "credentials.json"),
    ],
)
def test_a_file_that_does_not_parse_is_named(box: Box, refuse: Refuse, file: str, content: str, told: str) -> None:
    (box.home / "host").mkdir()
    (box.home / file).write_text(content)
    assert told in refuse()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, model: ModelDouble) -> Path:
    """The data root of a host that has answered a question and was stopped in order."""
    home = tmp_path_factory.mktemp("used")
    person = Caller("person", "ada")

    async def ask() -> None:
        async with open_host(home) as host:
            asked = {"prompt": "hello", "model": "ollama/qwen3:8b", "kind": "chat"}
            run = await host.call("homeport__run_start", asked, person)
            with anyio.fail_after(PATIENCE):
                while (await host.call("homeport__run_get", run, person))["state"] != "completed":
                    await anyio.sleep(0.05)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_HOST", model.ollama_url)
        anyio.run(ask)
    for file in (home / "host").glob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else SQLite mends what is damaged
    return home


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in ("host.db", "engine.db", "audit.db") for damage in DAMAGES],
)
def test_a_damaged_store_of_the_host_is_named(box: Box, refuse: Refuse, used: Path, name: str, damage: str) -> None:
    shutil.copytree(used / "host", box.home / "host")
    file = box.home / "host" / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    said = refuse("--idle-exit", "1")  # one that comes up must not stay
    assert f"{file} is damaged" in said, said
    assert "move that file away" in said
