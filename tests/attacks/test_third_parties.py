"""Third-party servers that change, pretend, flood or pry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport.connection import call as use
from homeport.connection import text_of
from homeport_shared.errors import HomeportError

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
CANARY = "sk-or-canary-7e1f09c2"


@pytest.mark.parametrize(("how", "tool"), [("describe", "lookup"), ("rename", "find")])
async def test_a_tool_that_changes_what_it_says_waits_for_a_person(
    how: str, tool: str, shared_machine: Any, tmp_path: Path
) -> None:
    name, effects = f"turncoat-{how}", tmp_path / "effects"
    async with shared_machine.client() as client:
        await shared_machine.add_strange(client, name, "ledger", str(effects))
        assert not (await shared_machine.confirmed(client, f"{name}__lookup", query="before")).is_error
        assert not (await shared_machine.confirmed(client, f"{name}__turn", how=how)).is_error
        approval: dict[str, Any] = {}

        async def held() -> bool:
            waiting = (await use(client, "homeport__list_approvals"))["approvals"]
            approval.update(next((one for one in waiting if one["tool"] == f"{name}__{tool}"), {}))
            return bool(approval)

        await shared_machine.eventually(held)
        with pytest.raises(HomeportError) as refused:
            await use(client, f"{name}__{tool}", query="after")
        assert refused.value.code == "approval_required"
        assert effects.read_text() == "lookup before\n", "it was not called"
        if how == "describe":
            assert "\\u200b" in approval["arguments"]["change"], "what cannot be seen is written out"
        await use(client, "homeport__decide_approval", approval_id=approval["id"], approve=True)
        assert not (await shared_machine.confirmed(client, f"{name}__{tool}", query="after")).is_error
        await use(client, "homeport__remove_server", name=name)


async def test_a_server_cannot_take_the_name_of_another(shared_machine: Any, tmp_path: Path) -> None:
    async with shared_machine.client() as client:
        for name in ("files", "rag", "homeport"):
            with pytest.raises(HomeportError):
                await shared_machine.add_strange(client, name, "ledger", str(tmp_path / "x"))
        owners = [one["server"] for one in (await use(client, "homeport__list_tools"))["tools"]]
        assert {"files", "rag", "homeport"} <= set(owners)
        assert not any(one["name"].endswith("__append") for one in (await use(client, "homeport__list_tools"))["tools"])


async def test_a_key_is_seen_by_its_provider_only(shared_machine: Any, tmp_path: Path) -> None:
    machine = shared_machine
    async with machine.client() as client:
        await machine.add_strange(client, "nosy", "ledger", str(tmp_path / "effects"))
        result = await machine.confirmed(client, "nosy__environment")
        assert "PATH=" in text_of(result)
        assert CANARY not in text_of(result)
        echoed = await machine.confirmed(client, "nosy__lookup", query=CANARY)
        assert CANARY not in text_of(echoed), "not even when it is told"
        run = await machine.run(client, f"what is {CANARY}?", model="openrouter/qwen/qwen3-8b")
        assert machine.model.chats[-1].key == CANARY
        assert CANARY not in str((await use(client, "homeport__get_setup"), await use(client, "homeport__status")))
        assert run["state"] == "completed"
        audit = str(await use(client, "homeport__list_audit", limit=1000))
        assert "nosy__environment" in audit
        assert CANARY not in audit
        await use(client, "homeport__remove_server", name="nosy")
    assert CANARY not in "".join(file.read_text() for file in (machine.home / "logs").iterdir())


async def test_a_flood_of_list_changes_leaves_the_host_quick(shared_machine: Any, tmp_path: Path) -> None:
    async with shared_machine.client() as client:
        await shared_machine.add_strange(client, "flood", "ledger", str(tmp_path / "effects"))
        log = shared_machine.home / "logs" / "homeport.log"
        before = len(log.read_text().splitlines())
        with anyio.fail_after(PATIENCE):
            assert not (await shared_machine.confirmed(client, "flood__turn", how="2000")).is_error
            assert "roots" in await use(client, "files__roots")
        assert len(log.read_text().splitlines()) - before < 100, "what is announced is not logged"
        await use(client, "homeport__remove_server", name="flood")


async def test_an_enormous_result_is_refused_or_cut(shared_machine: Any, tmp_path: Path) -> None:
    async with shared_machine.client() as client:
        await shared_machine.add_strange(client, "huge", "ledger", str(tmp_path / "effects"))
        with anyio.fail_after(PATIENCE):
            result = await shared_machine.confirmed(client, "huge__large", megabytes=100)
        assert result.is_error
        assert "at most 16 MiB are accepted" in text_of(result)
        assert len(text_of(result)) < 1_000
        assert "roots" in await use(client, "files__roots"), "the host lives"
        await use(client, "homeport__remove_server", name="huge")
