"""A server may ask the person in the middle of a call, whichever era it and the client speak."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import ElicitResult
from tests.patience import PATIENCE

from homeport_host.gateway.config import ServerConfig
from homeport_host.governance.calls import Hold

from .conftest import FIXTURES, Open, eventually, http_server, in_process

ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])


def answering(sure: bool = True, asked: list[str] | None = None):
    async def answer(context, params) -> ElicitResult:
        if asked is not None:
            asked.append(params.message)
        return ElicitResult(action="accept", content={"sure": sure, "approve": sure})

    return answer


@asynccontextmanager
async def server(kind: str, python_130: str) -> AsyncGenerator[ServerConfig]:
    if kind == "in-process 2026":
        yield in_process("one")
    elif kind == "stdio 2025":
        yield ServerConfig("one", "stdio", command=python_130, args=(str(FIXTURES / "legacy.py"), "one"))
    else:
        program = python_130 if kind == "http 2025" else sys.executable
        async with http_server(program, "legacy.py" if kind == "http 2025" else "everything.py", "one") as config:
            yield config


SERVERS = pytest.mark.parametrize("kind", ["in-process 2026", "http 2026", "stdio 2025", "http 2025"])


@pytest.mark.anyio
@ERAS
@SERVERS
async def test_the_question_reaches_the_person_and_the_answer_the_server(gateway: Open, python_130, era, kind) -> None:
    asked: list[str] = []
    async with (
        server(kind, python_130) as config,
        gateway(config) as running,
        Client(running.front.server, mode=era, elicitation_callback=answering(True, asked)) as client,
    ):
        assert running.upstreams.get("one").modern is kind.endswith("2026")
        result = await client.call_tool("one__delete", {"path": "x"})

    assert result.content[0].text == "deleted x"
    assert asked == ["Really delete x?"]
    assert len(running.front.parked) == 0


@pytest.mark.anyio
@ERAS
@SERVERS
async def test_each_of_several_clients_is_asked_its_own_question(gateway: Open, python_130, era, kind) -> None:
    answers: dict[str, str] = {}

    async def one(running, number: int) -> None:
        asked: list[str] = []
        async with Client(running.front.server, mode=era, elicitation_callback=answering(number % 2 == 0, asked)) as c:
            result = await c.call_tool("one__delete", {"path": f"p{number}"})
        answers[f"p{number}"] = result.content[0].text
        assert asked == [f"Really delete p{number}?"]

    async with server(kind, python_130) as config, gateway(config) as running, anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, running, number)

    assert answers == {"p0": "deleted p0", "p1": "kept p1", "p2": "deleted p2", "p3": "kept p3"}


@pytest.mark.anyio
@ERAS
@SERVERS
async def test_a_client_that_cannot_ask_leaves_nothing_parked(gateway: Open, python_130, era, kind) -> None:
    async with server(kind, python_130) as config, gateway(config) as running:
        async with Client(running.front.server, mode=era) as client:
            with anyio.fail_after(PATIENCE):
                try:
                    result = await client.call_tool("one__delete", {"path": "x"})
                    assert "deleted" not in str(result.content)
                except MCPError:
                    assert kind.endswith("2026")
        assert len(running.front.parked) == 0


@pytest.mark.anyio
async def test_a_person_who_thinks_does_not_block_other_calls_of_a_2025_server(gateway: Open, python_130) -> None:
    thinking, go_on = anyio.Event(), anyio.Event()

    async def answer(context, params) -> ElicitResult:
        thinking.set()
        await go_on.wait()
        return ElicitResult(action="accept", content={"sure": True})

    async with (
        server("stdio 2025", python_130) as config,
        gateway(config) as running,
        Client(running.front.server, mode="legacy", elicitation_callback=answer) as slow,
        Client(running.front.server) as quick,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(slow.call_tool, "one__delete", {"path": "x"})
        with anyio.fail_after(PATIENCE):
            await thinking.wait()
            result = await quick.call_tool("one__echo", {"text": "hi"})
        go_on.set()

    assert result.content[0].text == "hi"


@pytest.mark.anyio
async def test_an_unanswered_question_is_given_up_after_its_time(gateway: Open, python_130) -> None:
    async with (
        server("stdio 2025", python_130) as config,
        gateway(config) as running,
        Client(running.front.server, elicitation_callback=answering()) as client,
    ):
        running.front.parked._seconds = 0.2
        asked = await client.session.call_tool("one__delete", {"path": "x"}, allow_input_required=True)
        assert len(running.front.parked) == 1
        await eventually(lambda: len(running.front.parked) == 0)
        answer = {key: ElicitResult(action="accept", content={"sure": True}) for key in asked.input_requests}
        late = await client.session.call_tool(
            "one__delete", {"path": "x"}, input_responses=answer, request_state=asked.request_state
        )

    assert late.is_error
    assert "not waiting any more" in late.content[0].text


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["in-process 2026", "stdio 2025"])
async def test_the_state_of_a_question_is_worth_nothing_to_another_person(gateway: Open, python_130, kind) -> None:
    async with (
        server(kind, python_130) as config,
        gateway(config) as running,
        Client(running.front.server, elicitation_callback=answering()) as client,
    ):
        asked = await client.session.call_tool("one__delete", {"path": "x"}, allow_input_required=True)
        answer = {key: ElicitResult(action="accept", content={"sure": True}) for key in asked.input_requests}

        async def retry(path: str):
            return await client.session.call_tool(
                "one__delete", {"path": path}, input_responses=answer, request_state=asked.request_state
            )

        running.caller = replace(running.caller, name="somebody else")
        with pytest.raises(MCPError) as other_person:
            await retry("x")
        running.caller = replace(running.caller, name="tester")
        with pytest.raises(MCPError) as other_arguments:
            await retry("y")
        result = await retry("x")

    assert other_person.value.error.code == other_arguments.value.error.code == -32602
    assert result.content[0].text == "deleted x"


@pytest.mark.anyio
@ERAS
async def test_a_held_call_is_put_to_the_person_behind_the_client(gateway: Open, era, monkeypatch) -> None:
    hold = Hold("id", "here__echo", {"text": "hi"}, "digest", "tester", "", "It writes.", "", "")
    decisions: list[bool | None] = []
    asked: list[str] = []
    async with gateway(in_process()) as running:
        through = running.dispatcher.call_tool

        async def ask_first(caller, name, arguments, **options):
            decisions.append(await caller.ask(hold) if caller.ask else None)
            return await through(caller, name, arguments, **options)

        monkeypatch.setattr(running.dispatcher, "call_tool", ask_first)
        async with Client(running.front.server, mode=era, elicitation_callback=answering(True, asked)) as client:
            await client.call_tool("here__echo", {"text": "hi"})
        async with Client(running.front.server, mode=era, elicitation_callback=answering(False)) as client:
            await client.call_tool("here__echo", {"text": "hi"})
        async with Client(running.front.server, mode=era) as client:
            await client.call_tool("here__echo", {"text": "hi"})

    assert decisions == [True, False, None]
    assert "here__echo wants to run. It writes." in asked[0]
    assert "text: hi" in asked[0]
