"""An agent's run: model, tools, events, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.agents.task import Task
from homeport_host.providers.protocol import ProviderError, ProviderFault
from homeport_shared.errors import HomeportError

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
        assert names[:4] == ["window", "model", "tool", "model"]
        assert stage.model.requests[1].messages[-1].content == "12:30"


async def test_a_run_waits_for_servers_that_are_starting(
    staged: Any, desk: Any, say: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ready(_: float) -> None:
        desk.add("clock__now", lambda: "12:30")

    monkeypatch.setattr(desk, "ready", ready)
    async with staged(say("", call("clock__now", {})), "It is 12:30.") as stage:
        run = await stage.ask("What time is it?")
        assert (run.state, [name for name, _ in desk.calls]) == ("completed", ["clock__now"])


FAULTS = {
    "provider cannot be reached": lambda say, call: [error("unreachable")],
    "model is not there": lambda say, call: [error("unknown_model")],
    "key is refused": lambda say, call: [error("refused_key")],
    "no credit": lambda say, call: [error("no_credit")],
    "rate limit": lambda say, call: [error("rate_limited")],
    "server error": lambda say, call: [error("server_error")],
    "stream is cut": lambda say, call: [error("broken_stream")],
    "stall": lambda say, call: [error("timeout")],
    "context overflow": lambda say, call: [error("context_overflow")],
    "tools are not supported": lambda say, call: [error("unsupported")],
    "empty answer": lambda say, call: [say("")],
    "blank answer": lambda say, call: [say(" \n ")],
    "thinking only": lambda say, call: [say("", thinking="Let me see…")],
    "cut by length": lambda say, call: [say("The lease ends in", finish="length")],
    "cut by length in a call": lambda say, call: [say("", call("files__read", {}), finish="length")],
    "malformed arguments": lambda say, call: [say("", call("files__read", raw='{"path": "a'))],
    "partial arguments": lambda say, call: [say("", call("files__read", raw='{"path":'))],
    "double-encoded arguments": lambda say, call: [say("", call("files__read", raw='"{\\"path\\": \\"a\\"}"'))],
    "unknown tool": lambda say, call: [say("", call("files__burn", {"path": "a"}))],
    "wrong types": lambda say, call: [say("", call("files__read", {"path": 7}))],
    "endless same call": lambda say, call: [say("", call("files__read", {"path": "a"}))],
    "endless calls with broken arguments, each another": lambda say, call: [
        say("", call("files__read", raw="{" * n)) for n in range(1, 30)
    ],
    "call as JSON text": lambda say, call: [say('{"name": "files__read", "arguments": {"path": "a"}}')],
    "call in a fence": lambda say, call: [say('```json\n{"name": "files__read", "parameters": {"path": "a"}}\n```')],
    "call in a tag": lambda say, call: [say('<tool_call>{"name": "files__read"}</tool_call>')],
    "call as a list": lambda say, call: [say('[{"function": {"name": "files__read", "arguments": "{}"}}]')],
}


def error(fault: ProviderFault) -> ProviderError:
    return ProviderError(fault, f"The provider says {fault}.", "Do this next.")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_ends_as_a_success(fault: str, staged: Any, desk: Any, say: Any, call: Any) -> None:
    desk.add("files__read", lambda path: f"content of {path}", path=TEXT)
    async with staged(*FAULTS[fault](say, call)) as stage:
        run = await stage.ask("Read a")
        assert run.state == "failed"
        assert run.answer == ""
        assert run.error is not None
        assert len(run.error["message"]) > 20
        assert run.error["hint"], "the message says what to do"
        done = (await stage.events(run.id, "done"))[-1]
        assert done.data["status"] == "failed"


CORRECTED = {
    "a cut stream": lambda say, call: error("broken_stream"),
    "an empty answer": lambda say, call: say(""),
    "a call written as text": lambda say, call: say('{"name": "files__read", "arguments": {}}'),
    "an unknown tool": lambda say, call: say("", call("files__burn", {})),
    "malformed arguments": lambda say, call: say("", call("files__read", raw="{")),
}


@pytest.mark.parametrize("fault", CORRECTED)
async def test_a_fault_that_does_not_come_again_is_corrected(
    fault: str, staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("files__read", lambda path: f"content of {path}", path=TEXT)
    async with staged(CORRECTED[fault](say, call), "It says hello.") as stage:
        run = await stage.ask("Read a")
        assert (run.state, run.answer) == ("completed", "It says hello.")


async def test_what_a_failed_attempt_wrote_is_declared_void(staged: Any) -> None:
    async with staged(error("broken_stream"), "Whole.") as stage:
        run = await stage.ask("Say something")
        kinds = [event.kind for event in await stage.events(run.id) if event.kind in {"text", "restart"}]
        assert kinds[:2] == ["text", "restart"]


async def test_an_error_of_a_tool_goes_back_to_the_model(staged: Any, desk: Any, say: Any, call: Any) -> None:
    def missing(path: str) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": f"There is no {path}."}], "isError": True}

    desk.add("files__read", missing, path=TEXT)
    async with staged(say("", call("files__read", {"path": "a"})), "It is not there.") as stage:
        assert (await stage.ask("Read a")).answer == "It is not there."
        assert "There is no a." in stage.model.requests[1].messages[-1].content


async def test_the_third_same_call_is_noted_and_a_different_one_goes_on(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("files__read", lambda path: "hello", path=TEXT)
    again = say("", call("files__read", {"path": "a"}))
    async with staged(again, again, again, "Hello.") as stage:
        assert (await stage.ask("Read a")).state == "completed"
        assert "same arguments before" in stage.model.requests[3].messages[-1].content
        assert "same arguments before" not in stage.model.requests[2].messages[-1].content


@pytest.mark.parametrize(
    "limits", [{"turns": 3}, {"tool_calls": 3}, {"tokens_in": 30}, {"tokens_out": 15}, {"usd": 0.03}]
)
async def test_a_run_stops_at_its_limits_and_names_the_limit(
    limits: dict[str, Any], staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("files__read", lambda path: path, path=TEXT)
    pages = [say("", call("files__read", {"path": str(page)})) for page in range(9)]
    pages = [replace(page, usage=replace(page.usage, usd=0.01)) for page in pages]
    async with staged(*pages) as stage:
        run = await stage.ask("Read everything", limits=limits)
        assert (run.state, run.error["code"]) == ("failed", "limit")
        assert next(iter(limits)) in run.error["hint"]
        assert run.steps <= 7


async def test_an_unknown_limit_is_refused(staged: Any) -> None:
    async with staged("Hello.") as stage:
        with pytest.raises(HomeportError, match="limits do not fit"):
            await stage.runs.start("Hi", limits={"minutes": 3})


async def test_a_destructive_call_waits_for_a_person_and_goes_on_when_approved(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("mail__send", lambda to: f"sent to {to}", "outward", to=TEXT)
    async with staged(say("", call("mail__send", {"to": "ada"})), "Sent.") as stage:
        run = await stage.runs.start("Write to Ada", kind="chat")
        await stage.ended(run, "waiting")
        assert desk.calls == []
        asked = (await stage.events(run, "approval"))[0].data
        assert (asked["tool"], asked["arguments"]) == ("mail__send", {"to": "ada"})
        await stage.approvals.decide(asked["approval_id"], True, by="tester")
        assert (await stage.ended(run)).answer == "Sent."
    assert desk.calls == [("mail__send", {"to": "ada"})]


async def test_an_approval_survives_a_restart(staged: Any, desk: Any, say: Any, call: Any) -> None:
    desk.add("mail__send", lambda to: f"sent to {to}", "outward", to=TEXT)
    async with staged(say("", call("mail__send", {"to": "ada"}))) as stage:
        run = await stage.runs.start("Write to Ada", kind="chat")
        await stage.ended(run, "waiting")
    async with staged("Sent.") as stage:
        (hold,) = await stage.approvals.list()
        await stage.approvals.decide(hold.id, True, by="tester")
        assert (await stage.ended(run)).answer == "Sent."
        assert len(stage.model.requests) == 1, "the first answer of the model is not asked for again"
    assert desk.calls == [("mail__send", {"to": "ada"})]


async def test_a_declined_call_is_told_to_the_model_and_never_made(staged: Any, desk: Any, say: Any, call: Any) -> None:
    desk.add("mail__send", lambda to: "sent", "outward", to=TEXT)
    async with staged(say("", call("mail__send", {"to": "ada"})), "I did not send it.") as stage:
        run = await stage.runs.start("Write to Ada", kind="chat")
        await stage.ended(run, "waiting")
        (hold,) = await stage.approvals.list()
        await stage.approvals.decide(hold.id, False, by="tester")
        assert (await stage.ended(run)).state == "completed"
        assert "declined" in stage.model.requests[1].messages[-1].content
    assert desk.calls == []


async def test_an_ask_without_a_terminal_is_denied_what_needs_approval(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("mail__send", lambda to: "sent", "outward", to=TEXT)
    wanted = say("", call("mail__send", {"to": "ada"}))
    async with staged(wanted, "Not sent.", wanted, "Sent.") as stage:
        assert (await stage.ask("Write to Ada", interactive=False)).answer == "Not sent."
        assert desk.calls == []
        assert (await stage.ask("Write to Ada", interactive=False, yes=("mail__send",))).answer == "Sent."
    assert len(desk.calls) == 1


async def test_cancelling_a_run_ends_the_call_of_the_model(staged: Any) -> None:
    asked, ended = anyio.Event(), anyio.Event()

    async def think(_: Any) -> str:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return ""

    async with staged(think) as stage:
        run = await stage.runs.start("Think for ever")
        with anyio.fail_after(PATIENCE):
            await asked.wait()
        assert (await stage.runs.cancel(run)).state == "cancelled"
        assert ended.is_set()
        assert (await stage.events(run, "done"))[-1].data["status"] == "cancelled"
        assert (await stage.runs.cancel(run)).state == "cancelled", "once more changes nothing"


async def test_an_agents_patterns_narrow_what_is_offered_and_what_can_be_called(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    desk.add("files__read", lambda path: path, path=TEXT)
    desk.add("files__list", lambda: "")
    desk.add("web__visit", lambda: "")
    desk.add("homeport__run_start", lambda: "")
    agent = "---\ntools: ['files__*', 'homeport_*']\n---\nRead."
    async with staged(say("", call("web__visit", {})), "No.") as stage:
        stage.agents.save("reader", agent.replace(", 'homeport_*'", ""))
        await stage.ask("Read", agent="reader", tools=("files__r*", "web__*"))
        assert [tool.name for tool in stage.model.requests[0].tools] == ["files__read"]
    assert desk.calls == []


async def test_the_hosts_own_tools_are_not_offered_unless_named(staged: Any, desk: Any) -> None:
    desk.add("homeport__run_start", lambda: "")
    desk.add("files__list", lambda: "")
    async with staged("Hello.") as stage:
        await stage.ask("Hi")
        assert [tool.name for tool in stage.model.requests[0].tools] == ["files__list"]
        stage.agents.save("boss", "---\ntools: ['homeport__*']\n---\nLead.")
        await stage.ask("Hi", agent="boss")
        assert [tool.name for tool in stage.model.requests[1].tools] == ["homeport__run_start"]


async def test_with_many_tools_the_model_searches_and_then_gets_real_ones(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    for number in range(100):
        desk.add(f"shop__order_{number}", lambda: "", **{f"field_{n}": TEXT for n in range(12)})
    desk.add("weather__forecast", lambda city: f"rain in {city}", city=TEXT)
    search = say("", call("search_tools", {"query": "weather forecast"}))
    async with staged(search, say("", call("weather__forecast", {"city": "Rome"})), "Rain.") as stage:
        run = await stage.ask("What is the weather in Rome?", num_ctx=8192)
        offered = [[tool.name for tool in request.tools] for request in stage.model.requests]
        assert offered[0] == ["search_tools"]
        assert "weather__forecast" in offered[1]
        assert (run.answer, desk.calls) == ("Rain.", [("weather__forecast", {"city": "Rome"})])


async def test_an_answer_keeps_the_places_it_cites_and_loses_marks_that_refer_to_nothing(
    staged: Any, desk: Any, say: Any, call: Any
) -> None:
    hit = {"title": "lease.pdf", "uri": "files://docs/lease.pdf", "document_id": "d1", "chunk_id": 4, "page": 3}
    desk.add("rag__search", lambda query: {"hits": [{**hit, "text": "It ends in May."}]}, query=TEXT)
    async with staged(say("", call("rag__search", {"query": "lease"})), "It ends in May [1] or June [7].") as stage:
        run = await stage.ask("When does the lease end?")
        assert run.answer == "It ends in May [1] or June."
        (citation,) = run.citations
        assert (citation["n"], citation["place"], citation["document_id"]) == (1, "page 3", "d1")
        assert "[1] lease.pdf, page 3" in stage.model.requests[1].messages[-1].content
        assert "[7]" in (await stage.events(run.id, "note"))[0].data["text"]


async def test_the_same_idempotency_key_starts_one_run(staged: Any) -> None:
    async with staged("Hello.") as stage:
        first = await stage.runs.start("Hi", idempotency_key="tick 1")
        assert await stage.runs.start("Hi", idempotency_key="tick 1") == first
        await stage.ended(first)
        assert len(stage.model.requests) == 1


async def test_a_run_without_a_model_says_how_to_choose_one(staged: Any) -> None:
    async with staged("Hello.") as stage:
        stage.runs._default_model = lambda: ""
        with pytest.raises(HomeportError, match="No model is chosen"):
            await stage.runs.start("Hi")


async def test_events_are_numbered_without_gaps_and_readable_from_any_point(staged: Any) -> None:
    async with staged("One two three.") as stage:
        run = await stage.ask("Count")
        events = await stage.events(run.id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        later, _ = await stage.runs.events(run.id, after=2)
        assert later == events[2:]


async def test_runs_are_listed_in_pages_newest_first(staged: Any) -> None:
    async with staged("Hello.") as stage:
        made = [(await stage.ask(f"Hi {n}")).id for n in range(3)]
        page, cursor = await stage.runs.list(limit=2)
        rest, end = await stage.runs.list(limit=2, cursor=cursor)
        assert sorted(run.id for run in [*page, *rest]) == sorted(made)
        assert end == ""


async def test_a_run_that_was_accepted_before_a_crash_begins_even_without_its_row(staged: Any) -> None:
    async with staged("Hello.") as stage:
        task = Task(prompt="Hi", agent=stage.agents.get(), model="test/scripted:1")
        await stage.engine.start("agent", task.model_dump(mode="json"), run="accepted")
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    row = await stage.runs.get("accepted")
                    break
                except HomeportError:
                    await anyio.sleep(0.01)
        assert row.prompt == "Hi"
        assert (await stage.ended("accepted")).answer == "Hello."
