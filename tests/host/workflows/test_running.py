"""Workflows on a real host with real servers: each kind of node, and what people do with runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


async def test_a_tool_a_condition_and_an_end(house: Any) -> None:
    nodes = {
        "look": {"kind": "tool", "tool": "ledger__look", "arguments": {"words": ["a", "b"]}, "next": "many"},
        "many": {"kind": "condition", "choices": [{"when": "len(look.words) > 1", "next": "yes"}], "next": "no"},
        "yes": {"kind": "end", "result": "{{ look.words | length }} words, first {{ look.words | first }}"},
        "no": {"kind": "end", "result": "few"},
    }
    row = await house.do(nodes, "look")
    assert (row.kind, row.state, row.answer, row.error) == ("workflow", "completed", "2 words, first a", None)
    steps = await house.steps(row.id)
    assert list(steps) == ["look", "many", "yes"]
    assert steps["look"]["input"] == {"tool": "ledger__look", "arguments": {"words": ["a", "b"]}}
    assert steps["many"]["output"] == {"taken": "yes"}
    assert row.id in {run["id"] for run in (await house.call("list_runs", kind="workflow"))["runs"]}
