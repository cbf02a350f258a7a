"""What the commands print: JSON for programs, tables and colour on a terminal."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import anyio
import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

T = TypeVar("T")
WIDE = 200  # columns of a table that goes to a file or another program
console = Console(soft_wrap=True)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` on an event loop of its own."""
    return anyio.run(work)


@contextmanager
def interrupted() -> Generator[anyio.CancelScope]:
    """Yield a scope that Ctrl+C cancels: only what is in it ends, so what is around it can still clean up.

    The loop itself would cancel the task, once: that is lost where something below takes it for its own cancellation.
    """
    with anyio.CancelScope() as scope:
        if threading.current_thread() is not threading.main_thread():  # only that one hears of signals
            yield scope
            return
        loop = asyncio.get_running_loop()

        def stop(_number: int, _frame: FrameType | None) -> None:
            if scope.cancel_called:
                raise KeyboardInterrupt
            loop.call_soon_threadsafe(scope.cancel)

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield scope
        finally:
            signal.signal(signal.SIGINT, before)


def show_json(value: Any) -> None:
    """Print `value` as JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
    """Print rows under column titles, or `empty` when there are none.

    Args:
        columns: The titles.
        rows: One value per column each.
        empty: One sentence that says what to do next.
    """
    if not rows:
        console.print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    wide = console if console.is_terminal else Console(width=WIDE)
    wide.print(table, soft_wrap=False)


async def confirm(question: str) -> bool:
    """Ask on the terminal; Ctrl+C is heard meanwhile, and anything but y or yes is a no."""
    click.echo(f"{question} [y/N]: ", nl=False)
    if sys.platform != "win32":  # there nothing can wait for a console
        await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}
