"""Tools for a model: what tool search finds (LiveMCPBench), and what it saves with 100 tools.

A tool counts as found when it is among the best k for one of the task's steps.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.data import folder
from tests.benchmarks.rows import Row, compared, shown

from homeport_host.agents.toolbox import Toolbox, tokens_of
from homeport_host.gateway.search import ToolIndex
from homeport_host.governance.calls import Tool

Tools = dict[str, dict[str, Any]]
WINDOW = 8192  # tokens of context


async def measure() -> list[Row]:
    """Search the tools of the collection for every step of every task."""
    place = folder("tools/livemcpbench")
    if place is None:
        return [Row("tool search", "skipped", "no LiveMCPBench on this machine")]
    tools = _tools(place / "tools.json")
    index = ToolIndex(tools.items())
    tasks = [task["Annotator Metadata"] | task for task in json.loads((place / "all_annotations.json").read_text())]
    own = {name.partition("__")[2] for name in tools}
    gold = [set(_lines(task["Tools"])) & own for task in tasks]
    total = sum(map(len, gold))
    times: list[float] = []
    hits = 0
    for wanted, task in zip(gold, tasks, strict=True):
        found = set[str]()
        for step in _lines(task["Steps"]):
            began = time.perf_counter()
            found |= {name.partition("__")[2] for name in index.search(step, 5)}
            times.append((time.perf_counter() - began) * 1000)
        hits += len(wanted & found)
    return [
        compared(f"recall@5 per step, {len(tools)} tools (≥)", hits / total, 0.65, ""),
        Row("one tool search, p50", shown(statistics.median(times), "ms"), "no target"),
        *_shares(dict(list(tools.items())[:100])),
    ]


def _tools(path: Path) -> Tools:
    return {
        f"{server}__{tool['name']}": tool
        for entry in json.loads(path.read_text("utf-8"))
        for server, listed in entry["tools"].items()
        for tool in listed.get("tools", [])
    }


def _lines(numbered: str) -> list[str]:
    return [re.sub(r"^\s*\d+[.)]\s*", "", line).strip() for line in numbered.splitlines() if line.strip()]


def _shares(tools: Tools) -> list[Row]:
    """Compare the tokens of every definition of 100 tools with those of what an agent is shown."""
    fields = ("name", "description", "inputSchema")
    every = sum(tokens_of(json.dumps({name: tool.get(name) for name in fields})) for tool in tools.values())
    held = [Tool(name, name.partition("__")[0], name.partition("__")[2], t, frozenset()) for name, t in tools.items()]
    box = Toolbox(held, window=WINDOW)
    first = box.tokens()
    box.add(box.search("read a file and send it by mail"))
    target = f"{every} tokens in full; ≤ 0.15"
    return [
        Row("tokens for tools with 100 connected, at first", f"{first} tokens", target, f"{first / every:.3f}"),
        Row("… after one search", f"{box.tokens()} tokens", target, f"{box.tokens() / every:.3f}"),
    ]
