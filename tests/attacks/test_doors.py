"""The one HTTP address: strangers, foreign pages and mixed-up clients get nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from homeport.connection import call as use
from homeport_shared.errors import HomeportError

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
PING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
JSON = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer guess"}, 401),
        ({"Authorization": "Basic person"}, 401),
        ({"Host": "rebound.example.org"}, 421),
        ({"Host": "127.0.0.1.example.org"}, 421),
        ({"Origin": "https://evil.example.org"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_strangers_and_foreign_pages_are_refused(headers: Any, status: int, shared_machine: Any) -> None:
    token = {} if status == 401 else {"Authorization": f"Bearer {shared_machine.token()}"}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{shared_machine.url}/mcp", json=PING, headers={**JSON, **token, **headers})
    assert answer.status_code == status
    assert "files__" not in answer.text


async def test_a_client_that_is_installed_while_the_host_runs_can_use_it(shared_machine: Any) -> None:
    async with shared_machine.client("client:newcomer") as client:
        assert "files__list" in [tool.name for tool in (await client.list_tools()).tools]


async def test_pages_and_metrics_want_a_login(shared_machine: Any) -> None:
    async with httpx2.AsyncClient() as http:
        for path in ("/metrics", "/chat", "/", "/servers"):
            answer = await http.get(f"{shared_machine.url}{path}")
            assert (
                answer.status_code in {401, 403} or "sign in" in answer.text.lower() or "login" in answer.text.lower()
            )


@pytest.mark.parametrize(
    "path", ["docs/../../secret.txt", "docs/link", "docs/folder/secret.txt", "/etc/passwd", "docs/.."]
)
async def test_no_path_leads_out_of_a_root(path: str, shared_machine: Any, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("out of bounds")
    Path(folder / "link").symlink_to(tmp_path / "secret.txt")
    Path(folder / "folder").symlink_to(tmp_path)
    async with shared_machine.client() as client:
        root = (await use(client, "files__add_root", folder=str(folder), name=f"docs{tmp_path.name}"))["name"]
        inside = path.replace("docs", root, 1)
        for tool, more in (("files__read", {}), ("files__write", {"content": "x", "overwrite": True})):
            with pytest.raises(HomeportError) as refused:
                await use(client, tool, path=inside, **more)
            assert "out of bounds" not in str(refused.value)
        with pytest.raises(Exception) as unread:
            await client.read_resource(f"files://{inside}")
        assert "out of bounds" not in str(unread.value)
    assert (tmp_path / "secret.txt").read_text() == "out of bounds"


async def test_two_clients_at_once_are_not_mixed_up(shared_machine: Any) -> None:
    """Each call is written down for the client that made it, whichever era it speaks."""
    names = {"alpha": "auto", "beta": "legacy"}

    async def busy(name: str) -> None:
        async with shared_machine.client(f"client:{name}", era=names[name]) as client:
            for number in range(10):
                result = await client.call_tool("rag__search", {"query": f"{name} {number}"})
                assert not result.is_error

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(busy, name)
    searched: list[Any] = []

    async def written() -> bool:
        rows = (await use(person, "homeport__list_audit", limit=500))["rows"]
        searched[:] = [row for row in rows if row["target"] == "rag__search" and row["actor"] in names]
        return len(searched) >= 20

    async with shared_machine.client() as person:
        await shared_machine.eventually(written)  # reads are written down a moment later
    assert len(searched) == 20
    assert all(row["details"]["arguments"]["query"].startswith(row["actor"]) for row in searched)


async def test_a_program_finds_only_the_runs_that_it_started(shared_machine: Any) -> None:
    async with shared_machine.client() as person, shared_machine.client("client:alpha") as alpha:
        secret = await shared_machine.run(person, "What is my account number?")
        own = await shared_machine.run(alpha, "Say hello")
        assert [run["id"] for run in (await use(alpha, "homeport__list_runs"))["runs"]] == [own["id"]]
        for tool in ("run_get", "run_events", "run_cancel"):
            with pytest.raises(HomeportError, match="There is no run"):
                await use(alpha, f"homeport__{tool}", run_id=secret["id"])
        for uri in (f"run://{secret['id']}", f"run://{secret['id']}/events"):
            with pytest.raises(Exception, match="There is no run"):
                await alpha.read_resource(uri)
        known = {run["id"] for run in (await use(person, "homeport__list_runs"))["runs"]}
        assert known >= {secret["id"], own["id"]}
