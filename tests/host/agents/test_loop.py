"""An agent's run: model, tools, events, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio
TEXT = {"type": "string"}


async def test_a_run_calls_a_tool_and_answers_from_its_result(staged: Any, desk: Any, say: Any, call: Any) -> None:
    desk.add("clock__now", lambda: "12:30")
    async with staged(say("", call("clock__now", {})), "It is 12:30.") as stage:
        run = await stage.ask("What time is it?")
        assert (run.state, run.answer) == ("completed", "It is 12:30.")
        assert run.steps == 3
        assert run.usage["prompt_tokens"] == 20
        kinds = [event.kind for event in await stage.events(run.id)]
        assert kinds[0] == "state"
        assert kinds[-1] == "done"
        states = [event.data["state"] for event in await stage.events(run.id, "call")]
        assert states == ["running", "ok"]
        names = [step["name"].split()[0] for step in await stage.engine.steps(run.id)]
        assert names == ["window", "model", "tool", "model", "finish"]
        assert stage.model.requests[1].messages[-1].content == "12:30"
