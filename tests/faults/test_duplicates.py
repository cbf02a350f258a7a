"""What is delivered twice happens once: making things, approving them, webhooks. A foreign server notes the effects."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from tests.patience import PATIENCE

from homeport_host.governance.calls import Caller
from homeport_host.host import Host, open_host
from homeport_shared.errors import HomeportError

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
LEDGER = Path(__file__).parents[1] / "ledger.py"
PROGRAM = Caller("client", "cursor")


def prepare(home: Path, settings: str = "") -> Path:
    """Write the configuration of a home with the ledger; return the file of effects."""
    entry = {"command": sys.executable, "args": [str(LEDGER), str(home / "effects")]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"ledger": entry}}), "utf-8")
    (home / "homeport.toml").write_text(settings, "utf-8")
    return home / "effects"


async def ready(host: Host, *tools: str) -> None:
    with anyio.fail_after(PATIENCE):
        while any(host.routing.tool(name) is None for name in tools):
            await anyio.sleep(0.05)


async def twice(work: Any) -> list[Any]:
    """Do the same twice at once; a refusal is its result."""
    results: list[Any] = []

    async def one() -> None:
        try:
            results.append(await work())
        except HomeportError as error:
            results.append(error.code)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
    return results


async def test_what_is_asked_for_twice_under_one_key_is_made_once(tmp_path: Path) -> None:
    prepare(tmp_path, '[models]\ndefault = "ollama/none"\n')
    async with open_host(tmp_path) as host:
        await ready(host, "scheduler__add_job", "scheduler__start_job")
        asked = {"prompt": "Look.", "idempotency_key": "k1"}
        first, second = await twice(lambda: host.call("homeport__run_start", asked))
        assert first == second
        assert len((await host.call("homeport__list_runs", {}))["runs"]) == 1
        action = {"tool": "files__list", "arguments": {"path": ""}}
        made = await twice(lambda: host.call("scheduler__add_job", {"definition": {"name": "List", "action": action}}))
        assert "conflict" in made and len((await host.call("scheduler__list_jobs", {}))["jobs"]) == 1
        delivered = {"job": "List", "event": {"kind": "a.b"}, "key": "event-1"}
        first, second = await twice(lambda: host.call("scheduler__start_job", delivered))
        assert first == second
        assert len((await host.call("scheduler__list_runs", {"job": "List"}))["runs"]) == 1
        definition = {"name": "On a.b", "kind": "a.b", "start": {"job": "List"}}
        kept = await twice(lambda: host.call("homeport__save_subscription", {"definition": definition}))
        assert "conflict" in kept and len((await host.call("homeport__list_subscriptions", {}))["rows"]) == 1


async def test_an_approval_given_twice_and_a_call_repeated_twice_have_one_effect(tmp_path: Path) -> None:
    effects = prepare(tmp_path, '[host.labels]\nledger__note = ["destructive"]\n')
    async with open_host(tmp_path) as host:
        await ready(host, "ledger__note")

        async def call() -> bool:
            result = await host.dispatcher.call_tool(PROGRAM, "ledger__note", {"word": "once"})
            return not result.get("isError")

        with anyio.fail_after(PATIENCE):
            while not await host.approvals.list():  # until the new tool is known, nobody is asked
                assert await twice(call) == [False, False]
        [hold] = await host.approvals.list()
        decided = await twice(lambda: host.call("homeport__decide_approval", {"approval_id": hold.id, "approve": True}))
        assert "conflict" in decided and sum(isinstance(each, dict) for each in decided) == 1
        assert sorted(await twice(call)) == [False, True]
        assert effects.read_text("utf-8") == "once\n"
        told = [event.kind for event in await host.events.latest(20) if event.kind.startswith("approval.")]
        assert told.count("approval.decided") == 1


async def test_a_webhook_delivered_twice_starts_one_run_by_a_job_and_one_by_a_subscription(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    effects = prepare(
        tmp_path,
        f'[scheduler]\nwebhooks = "127.0.0.1:{port}"\n[host.labels]\nledger__note = ["can-be-taken-back"]\n',
    )
    async with open_host(tmp_path) as host:
        await ready(host, "ledger__note", "scheduler__add_job")
        for name, trigger in (("By itself", {"event": "webhook.build"}), ("When asked", {})):
            action = {"tool": "ledger__note", "arguments": {"word": name.partition(" ")[0] + "{{event.data.number}}"}}
            await host.call("scheduler__add_job", {"definition": {"name": name, "action": action, "trigger": trigger}})
        subscription = {"name": "Builds", "kind": "webhook.build", "start": {"job": "When asked"}}
        await host.call("homeport__save_subscription", {"definition": subscription})
        secret = tmp_path / "scheduler" / "webhook-secret"
        with anyio.fail_after(PATIENCE):
            while not secret.exists():
                await anyio.sleep(0.05)
        headers = {"Authorization": f"Bearer {secret.read_text('utf-8')}", "Idempotency-Key": "delivery-1"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as sender:
            with anyio.fail_after(PATIENCE):
                for _ in range(3):
                    await accepted(sender)
                while len(effects.read_text("utf-8").split() if effects.exists() else []) < 2:
                    await anyio.sleep(0.05)
                assert (await sender.post("/hooks/build", json={"number": 7})).status_code == 202
                await host.events.drain()
        found = [event for event in await host.events.latest(50) if event.kind == "webhook.build"]
        assert len(found) == 1 and found[0].source == "scheduler"
        chain = await host.reactions.deliveries.chain(found[0].correlation)
        assert [row["name"] for row in chain["deliveries"] if row["subscription"]] == ["Builds"]
        runs = (await host.call("scheduler__list_runs", {}))["runs"]
        assert sorted(run["name"] for run in runs) == ["By itself", "When asked"]
        assert {run["id"] for run in chain["runs"]} == {run["id"] for run in runs}, "one id leads to both"
    assert sorted(effects.read_text("utf-8").split()) == ["By7", "When7"]


async def accepted(sender: httpx2.AsyncClient) -> None:
    """Deliver once the door is open."""
    while True:
        try:
            answer = await sender.post("/hooks/build", json={"number": 7})
            assert answer.status_code == 202
            return
        except httpx2.ConnectError:
            await anyio.sleep(0.05)
