"""What a run takes of this machine: processor time of its own, and how large the process is meanwhile."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import psutil

T = TypeVar("T")
MIB = 1 << 20
_process = psutil.Process()


class Metered(Generic[T]):
    """Awaits `work` and adds up the time for which it, and nothing else, kept the processor of its thread.

    What it starts elsewhere (threads, other tasks, tools in their own processes) is not part of it.
    """

    def __init__(self, work: Awaitable[T]) -> None:
        self._work = work
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        """Drive the work as `await` would, with the clock running while it is not suspended."""
        inner = self._work.__await__()
        resume: Callable[[Any], Any] = inner.send
        value: Any = None
        while True:
            begun = time.thread_time()
            try:
                suspended = resume(value)
            except StopIteration as done:
                return done.value
            finally:
                self.seconds += time.thread_time() - begun
            try:
                value = yield suspended
                resume = inner.send
            except BaseException as error:  # handed to the work, which decides what becomes of it
                resume, value = inner.throw, error


def memory_mib() -> float:
    """Return the memory that this process holds, in MiB."""
    return round(_process.memory_info().rss / MIB, 1)
