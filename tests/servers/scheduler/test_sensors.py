"""Where events come from: changed files and webhooks, each an event that starts a job once."""

from __future__ import annotations

import hmac
import json
import socket
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.patience import PATIENCE

from .conftest import Desk, opened

pytestmark = pytest.mark.anyio


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def seen(desk: Desk, kind: str) -> list[dict]:
    """Return the events of a kind, once there is one."""
    with anyio.fail_after(PATIENCE):
        while True:
            found = (await desk.call("preview", trigger={"event": kind}, past_days=1))["events"]
            if found:
                return found
            await anyio.sleep(0.05)


async def test_a_changed_file_is_an_event_with_its_path_and_starts_a_job(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    async with opened(tmp_path / "home", watch=[str(folder)]) as desk:
        trigger = {"event": "file.created", "where": {"data.path": "*.pdf"}}
        action = {"tool": "rag__add", "arguments": {"paths": ["{{event.data.path}}"]}}
        await desk.add("Index", trigger=trigger, action=action, overlap="allow")
        with anyio.fail_after(PATIENCE):
            number = 0
            while not desk.works.done:  # the watch begins a moment after the server
                number += 1
                (folder / f"note {number}.txt").write_text("text", "utf-8")
                (folder / f"invoice {number}.pdf").write_text("text", "utf-8")
                await anyio.sleep(0.5)
        assert str(desk.works.done[0].arguments["paths"][0]).startswith(str(folder / "invoice"))
        (folder / "invoice 1.pdf").rename(folder / "paid.pdf")
        [moved] = await seen(desk, "file.moved")
        assert moved["data"]["came_from"] == str(folder / "invoice 1.pdf")
        (folder / "paid.pdf").write_text("more", "utf-8")
        changed = await seen(desk, "file.changed")
        assert str(folder / "paid.pdf") in {event["data"]["path"] for event in changed}
        (folder / "paid.pdf").unlink()
        [deleted] = await seen(desk, "file.deleted")
        assert deleted["data"]["path"] == str(folder / "paid.pdf")
    assert all(".pdf" in order.arguments["paths"][0] for order in desk.works.done)


async def test_a_webhook_needs_the_secret_and_the_same_delivery_counts_once(tmp_path: Path) -> None:
    port = free_port()
    async with opened(tmp_path, webhooks=f"127.0.0.1:{port}") as desk:
        await desk.add("Deploy", trigger={"event": "webhook.build", "where": {"data.ok": True}}, overlap="allow")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as sender:
            with anyio.fail_after(PATIENCE):
                while True:
                    try:
                        refused = await sender.post("/hooks/build", json={"ok": True})
                        break
                    except httpx2.ConnectError:
                        await anyio.sleep(0.05)
            assert refused.status_code == 401
            secret = (tmp_path / "scheduler" / "webhook-secret").read_text("utf-8")
            bearer = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "one"}
            for _ in range(2):
                assert (await sender.post("/hooks/build", json={"ok": True}, headers=bearer)).status_code == 202
            body = json.dumps({"ok": True}).encode()
            signature = {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()}
            assert (await sender.post("/hooks/build", content=body, headers=signature)).status_code == 202
            assert (await sender.post("/hooks/build", content=body + b" ", headers=signature)).status_code == 401
            assert (
                await sender.post("/hooks/build", json={"ok": False}, headers=bearer | {"Idempotency-Key": "2"})
            ).is_success
            assert (await sender.get("/hooks/build", headers=bearer)).status_code == 405
            assert (await sender.post("/hooks/../etc", headers=bearer)).status_code == 404
            assert (await sender.post("/hooks/build", content=b"x" * 300_000, headers=bearer)).status_code == 413
        assert len(await desk.runs(2)) == 2
        assert len(await seen(desk, "webhook.build")) == 3


async def test_webhooks_are_for_this_machine_only_and_a_taken_port_stops_no_job(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for number, where in enumerate((f"127.0.0.1:{taken.getsockname()[1]}", f"0.0.0.0:{free_port()}")):
            async with opened(tmp_path / str(number), webhooks=where) as desk:
                await desk.add("Look")
                await desk.call("run_job", job="Look")
                await desk.runs(1)
