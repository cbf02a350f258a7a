"""Third-party servers at their worst: callers get one clear sentence, and nothing else suffers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport.connection import call as use
from homeport.connection import error_of, text_of
from homeport_shared.errors import HomeportError

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
ENVIRONMENT = {"HOMEPORT_HOST_CONNECT_SECONDS": "8"}  # many servers need 2 s on a busy machine


async def state_of(client: Any, name: str) -> dict[str, Any]:
    servers = (await use(client, "homeport__list_servers"))["servers"]
    return next(one for one in servers if one["name"] == name)


async def test_servers_that_do_not_speak_mcp_are_down_with_a_reason(shared_machine: Any) -> None:
    reasons = {"mute": "did not answer within 8 s", "babble": "did not answer within 8 s", "gone": "it ended"}
    async with shared_machine.client() as client:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for mode in reasons:
                    tasks.start_soon(shared_machine.add_strange, client, mode, mode)
        for mode, reason in reasons.items():
            state = await state_of(client, mode)
            assert state["state"] == "down", "also while it is tried again"
            assert reason in state["reason"]
            assert state["next_try"]
        assert "roots" in await use(client, "files__roots"), "the others work"
        for mode in reasons:
            await use(client, "homeport__remove_server", name=mode)


async def test_a_command_that_does_not_exist_is_down_with_a_reason(shared_machine: Any) -> None:
    async with shared_machine.client() as client:
        await use(client, "homeport__add_server", name="missing", config={"command": "/no/such/program"})
        await shared_machine.eventually(lambda: down(client, "missing"))
        assert "/no/such/program" in (await state_of(client, "missing"))["reason"]
        await use(client, "homeport__remove_server", name="missing")


async def down(client: Any, name: str) -> bool:
    return (await state_of(client, name))["state"] == "down"


async def ready(client: Any, name: str) -> bool:
    return (await state_of(client, name))["state"] == "ready"


async def test_a_slow_server_holds_nobody_up_and_comes_later(shared_machine: Any, tmp_path: Path) -> None:
    async with shared_machine.client() as client:
        gate = tmp_path / "gate"
        config = {"command": shared_machine.python, "args": [str(shared_machine.strange), "slow", str(gate)]}
        await use(client, "homeport__add_server", name="slow", config=config)
        assert (await state_of(client, "slow"))["state"] == "starting"
        assert "files__roots" in [tool.name for tool in (await client.list_tools()).tools]
        gate.write_text("open")
        await shared_machine.eventually(lambda: ready(client, "slow"))
        await use(client, "homeport__remove_server", name="slow")


async def test_a_server_that_dies_in_the_call_is_reported_and_comes_back(shared_machine: Any, tmp_path: Path) -> None:
    async with shared_machine.client() as client:
        await shared_machine.add_strange(client, "mortal", "ledger", str(tmp_path / "effects"))
        with pytest.raises(HomeportError) as raised:
            result = await shared_machine.confirmed(client, "mortal__die")
            raise error_of(result)
        assert raised.value.code == "unavailable"
        assert "mortal" in raised.value.message
        await shared_machine.eventually(lambda: ready(client, "mortal"))
        assert text_of(await shared_machine.confirmed(client, "mortal__lookup", query="again")) == "nothing about again"
        await use(client, "homeport__remove_server", name="mortal")


async def test_garbage_between_messages_does_not_end_a_call(shared_machine: Any, tmp_path: Path) -> None:
    async with shared_machine.client() as client:
        await shared_machine.add_strange(client, "noisy", "ledger", str(tmp_path / "effects"))
        with anyio.fail_after(PATIENCE):
            result = await shared_machine.confirmed(client, "noisy__garbage")
        assert result.is_error or text_of(result) == "after the garbage"
        assert "roots" in await use(client, "files__roots")
        await use(client, "homeport__remove_server", name="noisy")


async def test_no_process_of_a_server_outlives_the_host(machine: Any, tmp_path: Path) -> None:
    machine.start()
    effects = tmp_path / "effects"
    async with machine.client() as client:
        await machine.add_strange(client, "stubborn", "ledger", str(effects))
        children = machine.children()
        assert children
    machine.kill()
    deadline = time.monotonic() + PATIENCE
    while any(child.is_running() and child.status() != "zombie" for child in children):
        assert time.monotonic() < deadline, "an orphan lives on"
        await anyio.sleep(0.05)
