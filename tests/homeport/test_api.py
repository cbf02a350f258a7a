"""`from homeport import Host, Agent, Limits`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport import Agent, Host, Limits
from homeport_shared.errors import HomeportError
from homeport_shared.testing.model import ModelDouble, Reply, Script, call, on

pytestmark = [pytest.mark.subprocess]


@pytest.fixture(autouse=True)
def at_home(shared_box: Any, use: Callable[[Any], None]) -> None:
    use(shared_box)


@pytest.mark.slow
@pytest.mark.anyio
async def test_an_agent_from_code_works_and_asks_before_it_burns(model: ModelDouble, notebook: str) -> None:
    model.script = Script.of([on("tidy", call("notebook__burn", name="a"), "Tidied: {result}")])
    clerk = Agent(
        "clerk",
        model="ollama/qwen3:8b",
        num_ctx=8192,
        tools=["notebook__*"],
        instructions="Be brief.",
        limits=Limits(turns=12, usd=0.05),
    )
    kinds: list[str] = []
    with anyio.fail_after(PATIENCE):
        async with Host.connect() as host:
            run = await host.start(clerk, "tidy up")
            async for event in run.events():
                kinds.append(event.kind)
                if event.kind == "approval":
                    await run.decide(event.id, event.tool == "notebook__burn")
            again = await host.resume(run.id)
    assert (run.status, run.output) == ("completed", "Tidied: burned a")
    assert run.usage.tokens == run.usage.prompt_tokens + run.usage.completion_tokens > 0
    assert run.usage.usd == 0
    assert kinds[-1] == "done"
    assert again.output == run.output
    assert model.chats[-1].body["options"]["num_ctx"] == 8192
    assert "Be brief." in str(model.chats[-1].messages)


@pytest.mark.anyio
async def test_a_run_is_cancelled(model: ModelDouble) -> None:
    model.script = Script.of([Reply("word " * 1000, pace=0.2)])
    with anyio.fail_after(PATIENCE):
        async with Host.connect() as host:
            run = await host.start("", "talk for long")
            async for event in run.events():
                if event.kind == "text":
                    await run.cancel()
    assert run.status == "cancelled"


@pytest.mark.anyio
async def test_limits_end_a_run_as_a_failure(model: ModelDouble, notebook: str) -> None:
    model.script = Script.of([], default=Reply(calls=[call("notebook__count", steps=1)]))
    with anyio.fail_after(PATIENCE):
        async with Host.connect() as host:
            run = await (await host.start(Agent("looper", limits=Limits(turns=2)), "count")).wait()
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["code"] == "limit"


@pytest.mark.anyio
async def test_tools_and_resources_are_at_hand() -> None:
    with anyio.fail_after(PATIENCE):
        async with Host.connect() as host:
            assert (await host.call("homeport__status"))["version"]
            assert (await host.read("homeport://status"))["version"]
            with pytest.raises(HomeportError, match="nowhere"):
                await host.call("nowhere__tool")
            with pytest.raises(HomeportError, match="no agent"):
                await host.start("nobody", "hello")


def test_without_an_event_loop_there_is_run(model: ModelDouble) -> None:
    model.script = Script.of(["Hello."])
    run = Host.run(Agent("greeter", model="ollama/qwen3:8b"), "Say hello")
    assert (run.status, run.output) == ("completed", "Hello.")
