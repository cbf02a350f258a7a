"""How values become words: results of any tool, log lines, nodes of a workflow, sizes and times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from homeport_dashboard import navigation, rendering, results
from homeport_dashboard.pages import workflow_nodes
from homeport_dashboard.tasklog import calls_of, line_of

ERROR = {"message": "It broke.", "hint": "Mend it."}


def test_a_result_is_sorted_into_facts_tables_and_texts() -> None:
    rows = [{"name": "a", "tags": ["x", "y"], "size": None}, {"name": "b", "nested": {"k": 1}}]
    made = results.picture({"rows": rows, "done": True, "note": "one\ntwo", "nothing": [], "count": 3}, "")
    assert made.facts == [("Done", "yes"), ("Count", "3")]
    assert made.texts == [("Note", "one\ntwo")]
    assert made.tables == [
        results.Table("Rows", ["Name", "Tags", "Size", "Nested"], [["a", "x, y", "", ""], ["b", "", "", '{"k": 1}']])
    ]


def test_a_result_without_fields_is_its_text() -> None:
    assert results.picture(None, "only words") == results.Picture(texts=[("", "only words")])
    assert results.picture({}, "") == results.Picture()


def test_a_long_table_says_how_many_rows_it_hides() -> None:
    assert results.table("Rows", [{"n": n} for n in range(results.MOST_ROWS + 5)]).hidden == 5


@pytest.mark.parametrize(
    ("kind", "data", "level", "said"),
    [
        ("state", {"state": "running"}, "info", "running"),
        ("state", {"state": "cancelled", "by": "person"}, "info", "cancelled by person"),
        ("call", {"id": "1", "tool": "files__read", "state": "ok"}, "info", "files__read ok"),
        ("call", {"tool": "a__b", "state": "waiting", "error": ERROR}, "warn", "a__b waiting: It broke."),
        ("call", {"tool": "a__b", "state": "failed", "error": ERROR}, "error", "a__b failed: It broke."),
        ("approval", {"tool": "a__b", "reason": "It deletes."}, "warn", "a__b waits for approval: It deletes."),
        ("review", {}, "warn", "the answer waits for a person"),
        ("reviewed", {"accept": True, "by": "person"}, "info", "accepted by person"),
        ("reviewed", {"accept": False, "remark": "Shorter."}, "info", "sent back by somebody: Shorter."),
        ("step", {"path": "each[0]/ask", "state": "completed"}, "info", "each[0]/ask completed"),
        ("step", {"path": "list", "state": "failed", "error": ERROR}, "error", "list failed: It broke."),
        ("restart", {"reason": "The host was restarted."}, "warn", "The host was restarted."),
        ("note", {"text": "Look here."}, "info", "Look here."),
        ("trace", {"text": "Traceback"}, "error", "Traceback"),
        ("done", {}, "info", "the answer is complete"),
        ("done", {"error": ERROR}, "error", "It broke. Mend it."),
        ("something new", {}, "info", "something new"),
    ],
)
def test_each_event_of_a_run_is_one_line_of_its_log(kind: str, data: dict[str, Any], level: str, said: str) -> None:
    event = {"kind": kind, "data": data, "at": "2026-11-21T10:00:00.000Z"}
    assert line_of(event) == {"at": event["at"], "level": level, "text": said}


def test_a_call_is_shown_as_it_was_told_last() -> None:
    told = [{"kind": "call", "at": "1", "data": {"id": "c", "state": "running"}}, {"kind": "state", "data": {}}]
    told.append({"kind": "call", "at": "2", "data": {"id": "c", "state": "ok"}})
    assert calls_of(told) == [{"id": "c", "state": "ok", "at": "2"}]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"kind": "rag", "query": "roof"}, "roof"),
        ({"kind": "condition", "choices": [{"when": "a > 1"}, {"when": "b"}]}, "a > 1 / b"),
        ({"kind": "loop", "while": "x < 3"}, "while x < 3"),
        ({"kind": "map", "over": "{{ rows }}"}, "{{ rows }}"),
        ({"kind": "timer", "seconds": 90}, "90 s"),
        ({"kind": "timer", "until": "09:00"}, "09:00"),
        ({"kind": "approval", "question": "Sure?"}, "Sure?"),
        ({"kind": "workflow", "workflow": "Other"}, "Other"),
        ({"kind": "parallel"}, ""),
    ],
)
def test_each_kind_of_node_says_what_it_does(node: dict[str, Any], said: str) -> None:
    assert workflow_nodes.about(node) == said


def test_problems_ways_and_steps_stand_at_their_node() -> None:
    nodes = {
        "if": {"kind": "condition", "choices": [{"when": "a", "next": "end"}], "next": "end", "catch": "end"},
        "end": {"kind": "end", "title": "Over", "result": "done"},
    }
    problem = {"node": "if", "message": "Wrong."}
    steps = [
        {"node": "if", "kind": "condition", "state": "completed"},
        {"node": "if", "kind": "undo", "state": "failed"},
        {"node": "if", "kind": "condition", "state": "waiting"},
    ]
    shown = {"graph": {"nodes": nodes}, "outline": [("if", 0), ("end", 1)], "problems": [problem]}
    first, last = workflow_nodes.outline(shown, steps)
    assert first["ways"] == [("if a", "Over"), ("otherwise", "Over"), ("on an error", "Over")]
    assert (first["problems"], first["state"], len(first["steps"])) == ([problem], "waiting", 2)
    assert (last["depth"], last["state"], last["about"]) == (1, "", "done")


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 KB"), (5_200_000_000, "5.2 GB")])
def test_sizes_are_said_in_units_of_a_thousand(count: int, said: str) -> None:
    assert rendering.size(count) == said


def test_a_time_is_said_as_short_as_it_can_be() -> None:
    now = datetime.now().astimezone().replace(microsecond=0)
    assert rendering.short(now.isoformat()) == now.strftime("%H:%M")
    assert rendering.short("2019-03-05T12:00:00Z") == "5 Mar 2019"
    other = now.replace(month=1 if now.month > 6 else 12, day=2)
    assert rendering.short(other.isoformat()) == other.strftime("%d %b").lstrip("0")
    assert (rendering.moment(""), rendering.clock("")) == ("", "")
    assert rendering.clock(now.isoformat()) == now.strftime("%H:%M")


def test_how_long_something_takes_is_counted_until_now() -> None:
    began = datetime.now().astimezone() - timedelta(minutes=10, seconds=10)
    assert rendering.duration({"started": began.isoformat(), "finished": ""}) == "10 min"
    assert rendering.duration({"started": "", "finished": ""}) == ""


def test_an_event_is_about_what_its_data_names_it_by() -> None:
    assert rendering.about({"data": {"path": "a.txt"}, "subject": "files://a"}) == "a.txt"
    assert rendering.about({"data": {}, "subject": "files://a"}) == "files://a"


def test_every_page_of_the_menu_is_found_by_its_key() -> None:
    assert [navigation.page(page.key) for page in navigation.PAGES] == list(navigation.PAGES)
