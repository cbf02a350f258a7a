"""The audit log shows every change to itself and keeps no credential."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from homeport_shared.audit import START, AuditLog, Entry


@pytest.fixture
async def log(tmp_path: Path, anyio_backend: str) -> AuditLog:
    log = AuditLog(tmp_path / "audit.db")
    for n in range(5):
        await log.append(Entry("tools/call", f"files__read{n}", actor="ada", run="r1" if n % 2 else ""))
    return log


@pytest.mark.anyio
async def test_rows_come_back_newest_first_and_page(log: AuditLog) -> None:
    rows = await log.latest(2)
    assert [row["target"] for row in rows] == ["files__read4", "files__read3"]
    assert [row["seq"] for row in await log.latest(2, before=rows[-1]["seq"])] == [3, 2]
    assert {row["run"] for row in await log.latest(run="r1")} == {"r1"}
    await log.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "tampering",
    ["UPDATE audit SET body = replace(body, 'ada', 'eve') WHERE seq = 3", "DELETE FROM audit WHERE seq = 3"],
)
async def test_a_changed_or_missing_row_is_found(log: AuditLog, tmp_path: Path, tampering: str) -> None:
    assert await log.broken_at() is None
    await log.aclose()
    with sqlite3.connect(tmp_path / "audit.db") as connection:
        connection.execute(tampering)
    assert await log.broken_at() == 3
    await log.aclose()


@pytest.mark.anyio
async def test_a_cut_off_tail_shows_in_the_head(log: AuditLog, tmp_path: Path) -> None:
    witness = await log.head()
    assert witness[0] == 5
    assert witness[1] != START
    await log.aclose()
    with sqlite3.connect(tmp_path / "audit.db") as connection:
        connection.execute("DELETE FROM audit WHERE seq = 5")
    assert await log.broken_at() is None
    assert await log.head() != witness
    await log.aclose()


@pytest.mark.anyio
async def test_credentials_are_not_stored(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.db")
    arguments = {"api_key": "hunter2", "note": "use sk-abcdefghijklmnopqrstu now", "max_tokens": 5}
    await log.append(Entry("tools/call", "x", details={"arguments": arguments}))
    stored = (await log.latest())[0]["details"]["arguments"]
    assert stored == {"api_key": "[hidden]", "note": "use [hidden] now", "max_tokens": 5}
    await log.aclose()
