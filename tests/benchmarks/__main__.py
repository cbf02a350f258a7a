"""Run the benchmarks one after the other and print one table.

    python -m tests.benchmarks                    all of them: about ten minutes
    python -m tests.benchmarks --only agent_step  one of them; may be repeated
    python -m tests.benchmarks --write            also write docs/reference/benchmarks.md

Figures depend on the machine and on what else runs on it; the ratios, measured side by side, say more.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import time
from pathlib import Path

import anyio
from tests.benchmarks.rows import Row, load, table

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
NAMES = (
    "starting",
    "memory",
    "surface",
    "calls",
    "agent_step",
    "engine",
    "toolsearch",
    "retrieval",
    "ingest",
    "million",
    "pages",
    "contents",
    "schedules",
    "peers",
    "other_servers",
)
LONG = ("million",)  # run only when asked for
HEAD = """# Benchmarks

Written by `python -m tests.benchmarks --write`. Medians; the ratio is ours divided by the peer's figure, measured in
the same run, or by the target. Run it on a quiet machine; each block names the load it saw.
"""


async def run(names: tuple[str, ...]) -> dict[str, str]:
    """Run the benchmarks `names` and return the table of each."""
    blocks: dict[str, str] = {}
    for name in names:
        before, began = load(), time.monotonic()
        module = importlib.import_module(f"tests.benchmarks.{name}")
        try:
            rows: list[Row] = await module.measure()
        except Exception as error:  # one benchmark that cannot run here must not hide the others
            rows = [Row(name, "failed", f"{type(error).__name__}: {error}".replace("\n", " ")[:200])]
        title = (module.__doc__ or name).splitlines()[0]
        block = f"## {title}\n\n{table(rows)}\n\n{name}, {time.monotonic() - began:.0f} s; {before} before."
        print(f"{block}\n", flush=True)
        blocks[name] = block
    return blocks


def written() -> dict[str, str]:
    """Return the tables that the page has, by the benchmark that made them."""
    blocks = PAGE.read_text("utf-8").split("\n## ")[1:] if PAGE.is_file() else []
    return {re.findall(r"^(\w+), \d+ s;", block, re.MULTILINE)[-1]: f"## {block.strip()}" for block in blocks}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=NAMES, help="run only this one")
    parser.add_argument("--write", action="store_true", help=f"put what was run into {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    tables = anyio.run(run, tuple(given.only or (name for name in NAMES if name not in LONG)))
    if given.write:
        machine = f"Measured on {time.strftime('%Y-%m-%d')}: Python {platform.python_version()},"
        machine += f" {platform.system()} {platform.machine()}, {os.cpu_count()} cores."
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        known = written() | tables
        blocks = "\n\n".join(known[name] for name in NAMES if name in known)
        PAGE.write_text(f"{HEAD}\n{machine}\n\n{blocks}\n", "utf-8")


if __name__ == "__main__":
    main()
