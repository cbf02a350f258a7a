"""What every benchmark returns, and how it is measured and shown."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratio` is ours divided by the peer or the target, empty where that says nothing."""

    measure: str
    ours: str
    against: str
    ratio: str = ""


def compared(measure: str, ours: float, against: float, unit: str, *, peer: str = "target") -> Row:
    """Return the row of two figures of one unit."""
    return Row(measure, shown(ours, unit), f"{shown(against, unit)} ({peer})", f"{ours / against:.2f}")


def shown(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 2 if value < 10 else 1
    return f"{value:.{digits}f} {unit}"


def middle(values: Sequence[float]) -> str:
    """Return the spread of `values`: the quartiles."""
    low, _, high = statistics.quantiles(values, n=4)
    return f"quartiles {low:.2f} to {high:.2f}"


async def milliseconds(work: Callable[[int], Awaitable[object]], count: int) -> list[float]:
    """Return how long each of `count` calls of `work` took."""
    taken: list[float] = []
    for number in range(count):
        began = time.perf_counter()
        await work(number)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def memory(pid: int) -> float:
    """Return the MiB of memory that a process holds (RSS), without its children."""
    return psutil.Process(pid).memory_info().rss / 2**20


def load() -> str:
    """Return the load of the machine, which belongs to every figure."""
    one, _, _ = os.getloadavg()
    return f"load {one:.1f} on {os.cpu_count()} cores"


def table(rows: Sequence[Row]) -> str:
    """Return `rows` as a Markdown table."""
    lines = ["| measure | Homeport | peer or target | ratio |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {row.measure} | {row.ours} | {row.against} | {row.ratio} |" for row in rows])
