"""How well tool search finds what a task needs, and what it saves.

Run: python tests/benchmarks/toolsearch.py FOLDER, where FOLDER holds LiveMCPBench's `tools.json` and
`all_annotations.json`. A tool counts as found when it is among the best k for one of the task's steps.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from homeport_host.agents.toolbox import tokens_of
from homeport_host.gateway.search import ToolIndex

Tools = dict[str, dict[str, Any]]


def read_tools(path: Path) -> Tools:
    return {
        f"{server}__{tool['name']}": tool
        for entry in json.loads(path.read_text("utf-8"))
        for server, listed in entry["tools"].items()
        for tool in listed.get("tools", [])
    }


def lines(numbered: str) -> list[str]:
    return [re.sub(r"^\s*\d+[.)]\s*", "", line) for line in numbered.splitlines() if line.strip()]


def found(index: ToolIndex, queries: list[str], limit: int) -> set[str]:
    return {name.partition("__")[2] for query in queries for name in index.search(query, limit)}


def main(folder: Path) -> None:
    tools = read_tools(folder / "tools.json")
    started = time.perf_counter()
    index = ToolIndex(tools.items())
    print(f"{len(tools)} tools indexed in {(time.perf_counter() - started) * 1000:.1f} ms")
    tasks = [task["Annotator Metadata"] | task for task in json.loads((folder / "all_annotations.json").read_text())]
    own = {name.partition("__")[2] for name in tools}
    gold = [{name.strip() for name in lines(task["Tools"])} & own for task in tasks]
    total = sum(map(len, gold))
    for limit in (3, 5, 10):
        by_step = sum(len(g & found(index, lines(t["Steps"]), limit)) for g, t in zip(gold, tasks, strict=True))
        by_question = sum(len(g & found(index, [t["Question"]], limit)) for g, t in zip(gold, tasks, strict=True))
        print(f"R@{limit}: per step {by_step / total:.3f}, by the question alone {by_question / total:.3f}")
    times: list[float] = []
    for task in tasks:
        for step in lines(task["Steps"]):
            started = time.perf_counter()
            index.search(step)
            times.append((time.perf_counter() - started) * 1000)
    print(f"search: p50 {statistics.median(times):.3f} ms, worst {max(times):.3f} ms, {len(times)} queries")
    shares(dict(list(tools.items())[:100]))


def shares(tools: Tools) -> None:
    """Print the tokens of sending every definition of 100 tools against those of what an agent is shown."""
    from homeport_host.agents.toolbox import Toolbox
    from homeport_host.governance.calls import Tool

    every = sum(
        tokens_of(json.dumps({k: t.get(k) for k in ("name", "description", "inputSchema")})) for t in tools.values()
    )
    held = [Tool(name, name.partition("__")[0], name.partition("__")[2], t, frozenset()) for name, t in tools.items()]
    box = Toolbox(held, window=8192)
    shown = box.tokens()
    found_tools = Toolbox(held, window=8192)
    found_tools.add(found_tools.search("read a file and send it by mail"))
    print(f"100 tools: {every} tokens in full, {shown} shown at first ({shown / every:.1%}),")
    print(f"  {found_tools.tokens()} after one search ({found_tools.tokens() / every:.1%})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
