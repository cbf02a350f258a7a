"""No fault of a model server ends a run as a success that is none, through the whole of Homeport."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from homeport.connection import call as use
from homeport_shared.testing.model import FAULTS, Reply, Script, call, on

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
ENVIRONMENT = {"HOMEPORT_MODELS_SECONDS": "5"}  # how soon a stall is noticed; the others are quicker
MODELS = {"ollama": "ollama/qwen3:8b", "openrouter": "openrouter/qwen/qwen3-8b"}
# Mended without a second try: the call is clear all the same.
HEALS = {"double_id", "no_id", "empty_id", "no_index", "double_encoded", "text_json", "text_fence", "text_tag"}
OF_CALLS = {
    *HEALS, "bad_arguments", "partial_arguments", "unknown_tool", "wrong_types",
}  # fmt: skip
ANSWER = "The document says so, as far as I can see."


def spoiled(fault: str, times: int) -> Reply:
    calls = [call("files__list", path="")] if fault in OF_CALLS else []
    return Reply("" if calls else ANSWER, calls, fault=fault, times=times, retry_after=0)


@pytest.mark.parametrize("provider", MODELS)
async def test_each_fault_that_stays_ends_as_a_failure_with_a_next_step(provider: str, shared_machine: Any) -> None:
    machine = shared_machine
    rules = [on(f"always {fault} ", spoiled(fault, 0), spoiled(fault, 0)) for fault in FAULTS - HEALS]
    rules += [on(f"always {fault} ", spoiled(fault, 0), ANSWER) for fault in HEALS]
    machine.model.script = Script.of(rules)
    async with machine.client() as client:
        limits = {"turns": 6}
        for fault in FAULTS:
            prompt = f"always {fault} now"
            await use(client, "homeport__run_start", prompt=prompt, model=MODELS[provider], limits=limits)
        ended = await machine.all_ended(client)
    found = {run["prompt"]: run for run in ended if run["model"] == MODELS[provider]}
    for fault in FAULTS:
        run = found[f"always {fault} now"]
        if fault in HEALS:
            assert (fault, run["state"], run["answer"]) == (fault, "completed", ANSWER), run["error"]
            continue
        assert (fault, run["state"], run["answer"]) == (fault, "failed", "")
        assert len(run["error"]["message"]) > 20, fault
        assert run["error"]["hint"], fault
    assert Counter(run["state"] for run in found.values()) == {"failed": len(FAULTS - HEALS), "completed": len(HEALS)}
