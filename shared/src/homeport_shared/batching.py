"""Write many small rows with few fsyncs: rows that come while a write is under way go together into the next one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Batcher(Generic[T]):
    """Collects items and hands them to `write`, in order, in the background.

    Args:
        tasks: Runs the writer; what is still waiting is written before the group ends, if `drain` is awaited.
        write: Stores a batch; an exception is given to those who wait for one of its items, and logged.
        gather: Seconds that items which nobody waits for may wait for more of them; one fsync costs milliseconds.
    """

    def __init__(self, tasks: TaskGroup, write: Callable[[list[T]], Awaitable[None]], *, gather: float = 0.0) -> None:
        self._tasks = tasks
        self._write = write
        self._gather = gather
        self._hurry = anyio.Event()
        self._waiting: list[tuple[T, anyio.Event, list[BaseException]]] = []
        self._writing = False

    async def add(self, item: T, *, durable: bool) -> None:
        """Put `item` into the next batch.

        Args:
            item: What to write.
            durable: Return only when it is stored, and raise what `write` raised.
        """
        stored, errors = anyio.Event(), list[BaseException]()
        self._waiting.append((item, stored, errors))
        if not self._writing:
            self._writing = True
            self._tasks.start_soon(self._flush)
        if durable:
            self._hurry.set()
            await stored.wait()
            if errors:
                raise errors[0]

    async def drain(self) -> None:
        """Wait until everything that was added is written."""
        while self._waiting or self._writing:
            self._hurry.set()
            if not self._writing:
                self._writing = True
                await self._flush()
            await anyio.sleep(0.001)

    async def _flush(self) -> None:
        with anyio.CancelScope(shield=True):  # a row that was accepted is written, even while everything stops
            try:
                while self._waiting:
                    with anyio.move_on_after(self._gather):
                        await self._hurry.wait()
                    self._hurry = anyio.Event()
                    await self._flush_once()
            finally:
                self._writing = False

    async def _flush_once(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            await self._write([item for item, _, _ in batch])
        except Exception as error:  # handed to those who wait; the writer goes on with the next batch
            logger.exception("%d rows could not be written", len(batch))
            for _, _, errors in batch:
                errors.append(error)
        for _, stored, _ in batch:
            stored.set()
