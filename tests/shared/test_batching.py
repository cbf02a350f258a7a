"""Rows come together into few writes, in order, and nobody who waits is kept waiting."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from tests.patience import PATIENCE

from homeport_shared.batching import Batcher

pytestmark = pytest.mark.anyio
LONG = 3_600.0


async def test_rows_that_nobody_waits_for_are_written_together() -> None:
    written: list[list[int]] = []

    async def write(rows: list[int]) -> None:
        written.append(rows)

    async with anyio.create_task_group() as tasks:
        batcher = Batcher[int](tasks, write, gather=LONG)
        for number in range(5):
            await batcher.add(number, durable=False)
            await anyio.lowlevel.checkpoint()
        assert written == []
        with anyio.fail_after(PATIENCE):
            await batcher.drain()
    assert written == [[0, 1, 2, 3, 4]]


async def test_a_durable_row_hurries_those_before_it() -> None:
    written: list[list[int]] = []

    async def write(rows: list[int]) -> None:
        written.append(rows)

    async with anyio.create_task_group() as tasks:
        batcher = Batcher[int](tasks, write, gather=LONG)
        with anyio.fail_after(PATIENCE):
            await batcher.add(1, durable=False)
            await batcher.add(2, durable=True)
            await batcher.add(3, durable=True)
    assert written == [[1, 2], [3]]


async def test_who_waits_for_a_row_is_told_that_it_was_not_written() -> None:
    async def refuse(rows: list[int]) -> None:
        raise OSError("disk full")

    async with anyio.create_task_group() as tasks:
        batcher = Batcher[int](tasks, refuse)
        with pytest.raises(OSError, match="disk full"):
            await batcher.add(1, durable=True)
