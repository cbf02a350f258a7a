"""What runs use, say to each other, and leave: limits, messages between agents, results, log and metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from homeport_host.agents.asking import ATTEMPTS
from homeport_host.workflows.graph import parsed
from homeport_host.workflows.layout import layers, placed
from homeport_host.workflows.library import templates
from homeport_shared.errors import HomeportError
from homeport_shared.testing.model import Reply, call, on

from .conftest import PERSON

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


def note(word: str, following: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": "tool", "tool": "ledger__note", "arguments": {"word": word}, "next": following, **more}


@pytest.mark.slow
async def test_a_limit_counts_what_is_inside_of_a_step_and_stops_before_the_call(house: Any) -> None:
    late = {"kind": "end", "result": "{{ error.code }}: {{ error.message }}"}
    each = {"kind": "loop", "over": [1, 2, 3, 4], "body": "note", "limits": {"tool_calls": 2}, "catch": "late"}
    row = await house.do({"each": each, "note": note("called"), "late": late}, "each", name="Calls")
    assert row.answer == "limit: each may use 2 tool calls; this would be 3."
    assert (house.noted()["called"], row.usage["tool_calls"]) == (2, 2)

    look = {"kind": "tool", "tool": "ledger__look", "arguments": {"words": ["long"] * 50}, "limits": {"bytes": 100}}
    row = await house.do({"look": {**look, "catch": "late"}, "late": late}, "look", name="Bytes")
    assert "100 are allowed" in row.answer

    house.replies("Many words.")
    ask = {"kind": "agent", "prompt": "Say something", "limits": {"tokens": 1}, "catch": "late"}
    row = await house.do({"ask": ask, "late": late}, "ask", name="Tokens")
    assert row.answer.startswith("limit: ")
    assert row.usage["prompt_tokens"] + row.usage["completion_tokens"] > 1


async def test_what_failed_inside_of_a_step_is_done_again_with_it(house: Any) -> None:
    nodes = {
        "each": {"kind": "loop", "over": ["a", "b"], "body": "first", "retry": {"attempts": 2, "seconds": 0}},
        "first": note("first-{{ item }}", "flaky"),
        "flaky": {"kind": "tool", "tool": "ledger__flaky", "arguments": {"word": "{{ item }}", "fails": 1}},
    }
    row = await house.do(nodes, "each")
    assert row.state == "failed"  # the second round needs a third attempt
    assert house.noted() == {"first-a": 1, "a": 2, "first-b": 1, "b": 1}
    nodes["each"]["retry"] = {"attempts": 3, "seconds": 0}
    row = await house.do(nodes, "each", name="Again")
    assert row.state == "completed", row.error
    assert (await house.steps(row.id))["each[0]/flaky"]["attempts"] == 1


async def test_agents_of_a_run_write_to_each_other(house: Any) -> None:
    house.replies(
        on(
            "Tell it",
            call("send_message", to="reads", text="The first."),
            call("send_message", to="nobody", text="Lost."),
            call("send_message", to="reads", text="The second."),
            call("ledger__note", word="told"),
            "I told.",
        ),
        on("Wait for it", call("ledger__meet", word="waits", other="told")),
        on("Message from tells", "I read: {question}"),
        on("Who", "Nobody wrote to me."),
    )
    nodes = {
        "both": {"kind": "parallel", "branches": ["tells", "reads"], "next": "later"},
        "tells": {"kind": "agent", "prompt": "Tell it", "to": ["reads", "later"]},
        "reads": {"kind": "agent", "prompt": "Wait for it"},
        "later": {"kind": "agent", "prompt": "Who wrote?", "next": "end"},
        "end": {"kind": "end", "result": "{{ both.reads.text }} {{ later.text }}"},
    }
    row = await house.do(nodes, "both")
    said = "I read: Message from tells:\nThe first.\n\nMessage from tells:\nThe second. Nobody wrote to me."
    assert (row.answer, row.error) == (said, None)
    letters = await house.host.messages.of_run(row.id)
    assert [(one.seq, one.receiver, one.text) for one in letters] == [
        (1, "reads", "The first."),
        (2, "reads", "The second."),
    ]
    assert all(one.taken for one in letters)
    log = (await house.call("workflow_steps", run_id=row.id))["log"]
    assert {"To reads: The first.", "To reads: The second."} <= {
        line["text"] for line in log if line["path"] == "tells"
    }
    await house.call("run_forget", run_ids=[row.id])
    assert await house.host.messages.of_run(row.id) == []


async def test_a_step_that_is_done_again_gets_the_messages_that_the_failed_one_had_read(house: Any) -> None:
    asked: list[str] = []

    def read(request: Any) -> Reply:
        asked.append(request.question)
        return Reply(fault="http_500") if len(asked) <= ATTEMPTS else Reply(f"I read: {request.question}")

    house.replies(on("Tell it", call("send_message", to="reads", text="The first."), "I told."), on("tells", read))
    nodes = {
        "tells": {"kind": "agent", "prompt": "Tell it", "to": ["reads"], "next": "reads"},
        "reads": {"kind": "agent", "prompt": "What came?", "retry": {"attempts": 2, "seconds": 0}, "next": "end"},
        "end": {"kind": "end", "result": "{{ reads.text }}"},
    }
    row = await house.do(nodes, "tells")
    assert (row.answer, row.error) == ("I read: Message from tells:\nThe first.", None)
    assert (await house.steps(row.id))["reads"]["attempts"] == 2
    assert set(asked) == {"Message from tells:\nThe first."}


async def test_a_result_is_kept_as_text_summary_and_file(house: Any) -> None:
    house.replies("Short.")
    nodes = {
        "write": {"kind": "tool", "tool": "files__write", "next": "end",
                  "arguments": {"path": "workspace/raw.txt", "content": "{{ text }}", "overwrite": True}},
        "end": {"kind": "end", "result": "{{ text }}", "summary": "in one word", "file": "workspace/{{ name }}.md"},
    }  # fmt: skip
    variables = {"text": {"default": "A long story."}, "name": {"default": "story"}}
    row = await house.do(nodes, "write", variables=variables)
    assert (row.state, row.answer) == ("completed", "Short.")
    assert (house.home / "workspace" / "story.md").read_text("utf-8") == "Short."
    found = (await house.call("workflow_steps", run_id=row.id))["artifacts"]
    assert [(one["kind"], one["text"] or one["uri"]) for one in found] == [
        ("file", "files://workspace/raw.txt"),
        ("text", "A long story."),
        ("summary", "Short."),
        ("file", "files://workspace/story.md"),
    ]
    await house.save({"call": {"kind": "workflow", "workflow": "Test"}}, "call", name="Outer")
    assert '"result": "Short."' in (await house.done("Outer")).answer
    shown = await house.done(dry=True, parameters={"name": "other"})
    assert shown.answer == "A long story."
    assert not (house.home / "workspace" / "other.md").exists()


async def test_a_run_leaves_a_log_and_counts_in_the_metrics(house: Any) -> None:
    flaky = {"kind": "tool", "tool": "ledger__flaky", "arguments": {"word": "{{ word }}", "fails": 1}, "next": "end"}
    nodes = {"flaky": {**flaky, "retry": {"attempts": 2, "seconds": 0}}, "end": {"kind": "end"}}
    row = await house.do(nodes, "flaky", variables={"word": {"default": "x"}})
    shown = await house.call("workflow_steps", run_id=row.id)
    lines = [(line["path"], line["level"], line["text"]) for line in shown["log"]]
    assert lines[:3] == [("", "info", "Run running."), ("flaky", "info", "Begun."), ("flaky", "warning", "Attempt 2.")]
    assert lines[-1] == ("", "info", "Run completed.")
    step = shown["steps"][0]
    assert step["started"] <= step["finished"]
    assert "Error executing tool flaky" in step["notes"]["errors"][0]
    nodes["flaky"]["retry"] = {}
    await house.save({"flaky": {**flaky, "arguments": {"word": "y", "fails": 9}}, "end": {"kind": "end"}}, "flaky",
                     name="Fails")  # fmt: skip
    failed = await house.done("Fails")
    [line] = [line for line in (await house.call("workflow_steps", run_id=failed.id))["log"] if line["level"] == "error"
              and line["path"]]  # fmt: skip
    assert line["text"].startswith("Failed: ")
    metrics = await house.call("workflow_metrics", workflow="Test")
    assert (metrics["runs"], metrics["completed"], metrics["success"], metrics["failure"]) == (1, 1, 1.0, 0.0)
    assert metrics["used"]["tool_calls"] == 2
    assert metrics["slowest"][0]["node"] == "flaky"
    assert (await house.call("workflow_metrics", workflow="Fails"))["failure"] == 1.0


async def test_the_same_key_starts_one_run(house: Any) -> None:
    await house.save({"note": note("once")}, "note")
    keyed = {"workflow": "Test", "idempotency_key": "monday"}
    runs = [(await house.call("workflow_run", **keyed))["run_id"] for _ in range(2)]
    assert runs[0] == runs[1]
    assert (await house.until(runs[0])).state == "completed"
    assert house.noted() == {"once": 1}


async def test_a_definition_that_does_not_conform_is_refused_with_the_place(house: Any) -> None:
    contents = (await house.host.dispatcher.read_resource(PERSON, "workflows://schema"))["contents"]
    schema = json.loads(contents[0]["text"])
    Draft202012Validator.check_schema(schema)
    assert {"trigger", "start", "variables", "nodes"} <= schema["properties"].keys()
    assert all(Draft202012Validator(schema).is_valid(template.as_json()) for template in templates())
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"nodes": {"a": {"kind": "tool"}}}, "nodes.a.tool"),
        ({"nodes": {"a": {"kind": "teleport"}}}, "nodes.a"),
        ({"nodes": {"a": {"kind": "end", "position": ["left", 0]}}}, "nodes.a.position.0"),
        ({"trigger": {"cron": "0 9 * * *", "event": "file.*"}}, "trigger"),
        ({"variables": {"x": {"type": "colour"}}}, "variables.x.type"),
    ]
    for part, place in wrong:
        with pytest.raises(HomeportError, match=f"no workflow: {place}"):
            await house.call(
                "workflow_save", graph={"name": "X", "start": "a", "nodes": {"a": {"kind": "end"}}, **part}
            )


async def test_nodes_stay_where_they_were_put_and_the_others_are_placed(house: Any) -> None:
    nodes = {"a": {**note("a", "b"), "position": [7, 9]}, "b": {"kind": "end"}}
    saved = (await house.save(nodes, "a"))["graph"]["nodes"]
    assert saved["a"]["position"] == [7, 9]
    moved = {**nodes, "b": {**saved["b"], "position": [3, 4]}, "c": {"kind": "end"}}
    await house.call("workflow_save", workflow="Test", graph={"name": "Test", "start": "a", "nodes": moved})
    bare = {id: {name: value for name, value in node.items() if name != "position"} for id, node in moved.items()}
    again = await house.call("workflow_save", workflow="Test", graph={"name": "Test", "start": "a", "nodes": bare})
    assert [again["graph"]["nodes"][id]["position"] for id in ("a", "b")] == [[7, 9], [3, 4]]


def test_layers_follow_the_ways_through_a_graph() -> None:
    graph = parsed(
        {
            "name": "X",
            "start": "each",
            "nodes": {
                "each": {"kind": "loop", "over": [1], "body": "choose", "next": "end"},
                "choose": {"kind": "condition", "choices": [{"when": "item > 1", "next": "yes"}], "next": "no"},
                "yes": {"kind": "end"},
                "no": {"kind": "end"},
                "end": {"kind": "end"},
            },
        }
    )
    found = layers(graph)
    assert [found[id][1] for id in ("each", "choose", "yes", "no", "end")] == [0, 160, 320, 320, 480]
    assert found["yes"][0] < found["no"][0]
    circle = parsed({"name": "X", "start": "a", "nodes": {"a": note("a", "b"), "b": note("b", "a")}})
    assert placed(circle).nodes["a"].position is not None
    assert placed(placed(circle)) == placed(circle)
