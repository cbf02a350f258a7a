"""Workflows on a real host with real servers: each kind of node, and what people do with runs."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_shared.testing.model import Reply

from .conftest import PERSON

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


async def test_steps_beside_each_other_run_at_the_same_time_and_get_what_they_refer_to(house: Any) -> None:
    def look(word: str, following: str = "") -> dict[str, Any]:
        return {"kind": "tool", "tool": "ledger__look", "arguments": {"words": [word]}, "next": following}

    def meet(word: str, other: str, following: str = "") -> dict[str, Any]:
        return {"kind": "tool", "tool": "ledger__meet", "arguments": {"word": word, "other": other}, "next": following}

    nodes = {
        "both": {"kind": "parallel", "branches": ["a", "b"], "next": "each"},
        "a": meet("left", "right", "a2"),  # each waits for the other
        "a2": look("{{ a.word }}2"),
        "b": meet("right", "left"),
        "each": {"kind": "map", "over": "{{ both.a.words + [both.b.word] }}", "body": "say", "next": "end"},
        "say": look("{{ item }}{{ index }}"),
        "end": {"kind": "end", "result": "{{ each['items'] }}"},
    }
    row = await house.do(nodes, "both")
    assert row.state == "completed", row.error
    steps = await house.steps(row.id)
    assert steps["end"]["output"] == [{"words": ["left20"]}, {"words": ["right1"]}]
    assert {"both/a", "both/a2", "both/b", "each[0]/say", "each[1]/say"} <= steps.keys()


async def test_a_loop_repeats_with_break_and_continue_and_at_most_50_times(house: Any) -> None:
    nodes = {
        "each": {"kind": "loop", "over": "{{ words }}", "body": "kind", "item": "word", "next": "count"},
        "kind": {
            "kind": "condition",
            "choices": [{"when": "word == 'stop'", "next": "break"}, {"when": "word == 'skip'", "next": "continue"}],
            "next": "write",
        },
        "write": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "{{ word }}"}},
        "count": {"kind": "loop", "while": "index < 3", "body": "again", "next": "end"},
        "again": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "round"}},
        "end": {"kind": "end", "result": "{{ each.count }} and {{ count.count }}"},
    }
    words = {"words": {"type": "list", "default": ["a", "skip", "b", "stop", "c"]}}
    row = await house.do(nodes, "each", variables=words)
    assert (row.answer, row.error) == ("4 and 3", None)
    assert house.noted() == {"a": 1, "b": 1, "round": 3}
    long = await house.done(parameters={"words": ["a"] * 51})
    assert (long.state, long.error["code"]) == ("failed", "limit")


@pytest.mark.slow
async def test_an_agent_passages_a_timer_and_another_workflow(house: Any) -> None:
    house.replies("Two tasks are open.")
    await house.host.call("rag__add", {"text": "The roof is tight since May.", "title": "The roof"})
    inner = {
        "write": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "{{ word }}"}, "next": "end"},
        "end": {"kind": "end", "result": "{{ write.word }}!"},
    }
    await house.save(inner, "write", name="Inner", variables={"word": {"required": True}})
    nodes = {
        "find": {"kind": "rag", "query": "the roof", "next": "ask"},
        "ask": {"kind": "agent", "prompt": "Sum up: {{ find.hits | default([]) }}", "next": "wait"},
        "wait": {"kind": "timer", "seconds": 0.05, "next": "past"},
        "past": {"kind": "timer", "until": "2026-01-01T08:00", "next": "later"},
        "later": {"kind": "agent", "prompt": "Create a task", "wait": False, "next": "ended"},
        "ended": {"kind": "timer", "task": "{{ later.run }}", "next": "inner"},
        "inner": {"kind": "workflow", "workflow": "Inner", "parameters": {"word": "{{ ask.text }}"}, "next": "end"},
        "end": {"kind": "end", "result": {"said": "{{ ask.text }}", "wrote": "{{ inner.result }}"}},
    }
    row = await house.do(nodes, "find")
    assert row.state == "completed", row.error
    steps = await house.steps(row.id)
    assert steps["end"]["output"] == {"said": "Two tasks are open.", "wrote": "Two tasks are open.!"}
    assert steps["find"]["output"]["hits"][0]["title"] == "The roof"
    assert "The roof is tight" in steps["ask"]["input"]["prompt"]
    assert (steps["ended"]["output"]["state"], steps["ended"]["output"]["text"]) == (
        "completed",
        "Two tasks are open.",
    )
    children = (await house.call("list_runs", parent=row.id))["runs"]
    assert {child["kind"] for child in children} == {"chat", "workflow"}


async def test_an_error_is_tried_again_caught_or_taken_back(house: Any) -> None:
    def note(word: str, following: str, **more: Any) -> dict[str, Any]:
        return {"kind": "tool", "tool": "ledger__note", "arguments": {"word": word}, "next": following, **more}

    flaky = {"kind": "tool", "tool": "ledger__flaky", "arguments": {"word": "try", "fails": 2}, "next": "end"}
    retried = {"flaky": {**flaky, "retry": {"attempts": 3, "seconds": 0}}, "end": {"kind": "end", "result": "ok"}}
    row = await house.do(retried, "flaky", name="Retried")
    assert (row.state, house.noted()["try"]) == ("completed", 3)
    assert (await house.steps(row.id))["flaky"]["attempts"] == 3

    flaky["arguments"] = {"word": "bad", "fails": 9}
    caught = {"flaky": {**flaky, "catch": "sorry"}, "end": {"kind": "end"},
              "sorry": {"kind": "end", "result": "{{ error.node }} failed"}}  # fmt: skip
    assert (await house.do(caught, "flaky", name="Caught")).answer == "flaky failed"

    def undo(word: str) -> dict[str, Any]:
        return {"undo": {"tool": "ledger__note", "arguments": {"word": f"{word}-{{{{ {word[-3:]}.word }}}}"}}}

    undone = {
        "one": note("first", "two", **undo("undo-one")),
        "two": note("second", "flaky", **undo("undo-two")),
        "flaky": flaky,
        "end": {"kind": "end"},
    }
    row = await house.do(undone, "one", name="Undone")
    assert row.state == "failed"
    assert row.error["code"] == "internal"
    words = (house.home / "noted").read_text().split()
    assert words[words.index("first") :] == ["first", "second", "bad", "undo-two-second", "undo-one-first"]
    events = await house.host.events.latest(20)
    assert "run.failed" in {event.kind for event in events}


async def test_a_person_is_asked_and_the_run_waits_without_a_place(house: Any) -> None:
    nodes = {
        "ask": {"kind": "approval", "question": "Really {{ what }}?", "refused": "no", "next": "wipe"},
        "wipe": {"kind": "tool", "tool": "ledger__wipe", "arguments": {"day": "{{ what }}"}, "next": "end"},
        "end": {"kind": "end", "result": "done"},
        "no": {"kind": "end", "result": "left alone"},
    }
    await house.save(nodes, "ask", variables={"what": {"default": "Monday"}})

    async def decide(run: str, approve: bool) -> dict[str, Any]:
        await house.until(run, "waiting", "failed")
        [hold] = [a for a in (await house.call("list_approvals"))["approvals"] if a["run"] == run]
        await house.call("decide_approval", approval_id=hold["id"], approve=approve)
        return hold

    run = await house.start()
    assert (await decide(run, True))["arguments"]["question"] == "Really Monday?"
    await house.until(run, "running", "completed", "failed")
    assert (await decide(run, True))["tool"] == "ledger__wipe"
    assert (await house.until(run)).answer == "done"
    assert house.noted() == {"Monday": 1}
    refused = await house.start(parameters={"what": "Tuesday"})
    await decide(refused, False)
    assert (await house.until(refused)).answer == "left alone"
    assert house.noted() == {"Monday": 1}


async def test_a_run_is_paused_between_steps_cancelled_within_one_and_repeated(house: Any) -> None:
    nodes = {
        "write": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "begun"}, "next": "wait"},
        "wait": {"kind": "tool", "tool": "ledger__wait", "arguments": {"word": "waiting"}},
    }
    await house.save(nodes, "write")
    run = await house.start()
    while not house.noted()["waiting"]:
        await house.until(run, "running")
    await house.call("run_cancel", run_id=run)
    row = await house.host.runs.get(run)
    assert row.state == "cancelled"
    while not house.noted()["waiting-stopped"]:  # the call itself was stopped over MCP
        await house.until(run)
    assert (await house.steps(run))["wait"]["state"] == "cancelled"
    [again] = (await house.call("run_steer", run_ids=[run], action="retry"))["rows"]
    while house.noted()["waiting"] < 2:
        await house.until(again["run_id"], "running")
    await house.call("run_cancel", run_id=again["run_id"])

    meet = {"kind": "tool", "tool": "ledger__meet", "arguments": {"word": "here", "other": "asked"}, "next": "write"}
    await house.save({"meet": meet, "write": {**nodes["write"], "next": ""}}, "meet", name="Paused")
    paused = await house.start("Paused")
    while not house.noted()["here"]:
        await house.until(paused, "running")
    await house.call("run_steer", run_ids=[paused], action="pause")
    await house.host.call("ledger__note", {"word": "asked"}, PERSON)
    await house.until(paused, "paused")
    assert house.noted()["begun"] == 2
    await house.call("run_steer", run_ids=[paused], action="resume")
    assert (await house.until(paused)).state == "completed"
    assert house.noted()["begun"] == 3


async def test_a_dry_run_shows_the_data_and_changes_nothing(house: Any) -> None:
    nodes = {
        "look": {"kind": "tool", "tool": "ledger__look", "arguments": {"words": ["a"]}, "next": "write"},
        "write": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "{{ look.words[0] }}"}, "next": "ask"},
        "ask": {"kind": "agent", "prompt": "About {{ write.word }}", "next": "day"},
        "day": {"kind": "timer", "seconds": 86400, "next": "sure"},
        "sure": {"kind": "approval", "question": "Sure?", "next": "end"},
        "end": {"kind": "end", "result": "{{ ask.text }}"},
    }
    await house.save(nodes, "look")
    row = await house.done(dry=True)
    assert (row.state, row.tags) == ("completed", ["dry run"])
    steps = await house.steps(row.id)
    assert [step["state"] for step in steps.values()] == ["completed", *["shown"] * 4, "completed"]
    assert steps["write"]["input"] == {"tool": "ledger__note", "arguments": {"word": "a"}}
    assert steps["ask"]["input"]["prompt"] == "About [write.word]"
    assert house.noted() == {}
    assert (await house.call("list_approvals"))["approvals"] == []
    pinned = await house.done(dry=True, pinned={"ask": {"text": "It is fine."}})
    assert pinned.answer == "It is fine."


async def test_a_run_begins_at_a_node_with_what_an_earlier_one_gave(house: Any) -> None:
    nodes = {
        "one": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "one"}, "next": "two"},
        "two": {
            "kind": "tool",
            "tool": "ledger__flaky",
            "arguments": {"word": "{{ one.word }}2", "fails": 1},
            "next": "end",
        },
        "end": {"kind": "end", "result": "{{ two.word }}"},
    }
    await house.save(nodes, "one")
    failed = await house.done()
    assert failed.state == "failed"
    row = await house.done(start="two", from_run=failed.id)
    assert (row.answer, row.parent) == ("one2", failed.id)
    assert house.noted() == {"one": 1, "one2": 2}


async def test_limits_of_time_stop_a_step_and_a_whole_run(house: Any) -> None:
    wait = {"kind": "tool", "tool": "ledger__wait", "arguments": {"word": "long"}, "next": "end"}
    nodes = {"wait": {**wait, "limit": 0.2, "catch": "late"}, "end": {"kind": "end"},
             "late": {"kind": "end", "result": "{{ error.code }}"}}  # fmt: skip
    assert (await house.do(nodes, "wait", name="Step")).answer == "timeout"
    whole = await house.do({"wait": wait, "end": {"kind": "end"}}, "wait", name="Whole", limit=0.2)
    assert (whole.state, whole.error["code"]) == ("failed", "timeout")


async def test_a_tool_is_chosen_at_run_time_among_those_allowed(house: Any) -> None:
    nodes = {
        "call": {"kind": "tool", "tool": "{{ tool }}", "allowed": ["ledger__*"], "arguments": {"word": "x"},
                 "catch": "sorry", "next": "end"},
        "end": {"kind": "end", "result": "done"},
        "sorry": {"kind": "end", "result": "{{ error.message }} {{ error.hint }}"},
    }  # fmt: skip
    await house.save(nodes, "call", variables={"tool": {"default": "ledger__note"}})
    assert (await house.done()).answer == "done"
    assert "ledger__note" in (await house.done(parameters={"tool": "ledger__notes"})).answer
    assert "not among" in (await house.done(parameters={"tool": "files__write"})).answer


async def test_the_agents_of_a_run_end_with_it(house: Any) -> None:
    house.replies(Reply("Late.", delay=600))
    await house.save({"ask": {"kind": "agent", "prompt": "Think for long"}}, "ask")
    run, child = await house.start(), ""
    while not child:
        await house.until(run, "running")
        child = next((row["id"] for row in (await house.call("list_runs", parent=run))["runs"]), "")
    await house.until(child, "running")
    await house.call("run_cancel", run_id=run)
    assert (await house.host.runs.get(child)).state == "cancelled"


async def test_a_run_is_paused_while_it_waits_and_goes_on_waiting(house: Any) -> None:
    nodes = {
        "sure": {"kind": "approval", "question": "Go on?", "next": "note"},
        "note": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "late"}, "next": "end"},
        "end": {"kind": "end", "result": "Done."},
    }
    await house.save(nodes, "sure")
    run = await house.start()
    waiting = await house.until(run, "waiting")
    assert waiting.waits_for == "steps"
    for action, state in (("pause", "paused"), ("resume", "waiting"), ("pause", "paused")):
        [row] = (await house.call("run_steer", run_ids=[run], action=action))["rows"]
        assert row["error"] is None
        assert (await house.host.runs.get(run)).state == state
    [hold] = (await house.call("list_approvals"))["approvals"]
    await house.call("decide_approval", approval_id=hold["id"], approve=True)
    with anyio.fail_after(PATIENCE):
        while (await house.steps(run))["sure"]["state"] != "completed":
            await anyio.sleep(0.01)
    assert (await house.host.runs.get(run)).state == "paused"
    assert house.noted()["late"] == 0
    await house.call("run_steer", run_ids=[run], action="resume")
    assert (await house.until(run)).state == "completed"
    assert house.noted()["late"] == 1


async def test_a_dry_run_reads_nothing_about_what_it_did_not_do(house: Any) -> None:
    nodes = {
        "note": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "dry"}, "next": "read"},
        "read": {"kind": "tool", "tool": "files__read", "arguments": {"path": "{{ note.word }}"}, "next": "each"},
        "each": {"kind": "loop", "while": "index == 0 or last.words[0] == 'more'", "body": "again", "next": "end"},
        "again": {"kind": "tool", "tool": "ledger__note", "arguments": {"word": "dry"}},
        "end": {"kind": "end", "result": "{{ read.text }}"},
    }
    await house.save(nodes, "note")
    row = await house.done(dry=True)
    assert (row.state, row.answer) == ("completed", "[read.text]")
    steps = await house.steps(row.id)
    assert {path: step["state"] for path, step in steps.items() if path in {"note", "read"}} == {
        "note": "shown", "read": "shown",
    }  # fmt: skip
    assert house.noted() == {}
    [workflow] = (await house.call("list_workflows"))["rows"]
    assert workflow["last_run"] is None  # it did nothing
