"""Workflows: the list, one of them in its tabs, and a run with what went through each step."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dashboard.house import House

pytestmark = pytest.mark.anyio
TABS = ["Overview", "Steps", "Graph", "Parameters", "Logs", "Output", "Versions", "JSON"]


def graph(name: str, **more: Any) -> dict[str, Any]:
    """A workflow that describes each file of a folder and asks before it ends."""
    nodes = {
        "list": {"kind": "tool", "tool": "files__list", "arguments": {"path": "{{ folder }}"}, "next": "each"},
        "each": {"kind": "loop", "over": "{{ list.entries }}", "body": "ask", "next": "sure"},
        "ask": {"kind": "agent", "title": "Describe", "prompt": "Sum up {{ item.path }}"},
        "sure": {"kind": "approval", "question": "Finish?", "next": "end", "refused": "end"},
        "end": {"kind": "end", "result": "{{ each.count }} files."},
    }
    whole = {"format": "homeport.workflow/1", "name": name, "start": "list", "nodes": nodes}
    return whole | {"variables": {"folder": {"type": "text", "default": "docs/boats"}}} | more


async def saved(house: House, name: str, **more: Any) -> str:
    (house.docs / "boats").mkdir(exist_ok=True)
    for file in ("sloop.txt", "yawl.txt"):
        (house.docs / "boats" / file).write_text("a boat", "utf-8")
    return (await house.act("homeport__workflow_save", graph=graph(name, **more)))["id"]


async def run_of(house: House, workflow: str) -> str:
    """Start a workflow and return its run when it waits for a yes."""
    run = (await house.act("homeport__workflow_try", workflow=workflow, dry=False))["run_id"]
    assert (await house.ended(run, "waiting"))["state"] == "waiting"
    return run


async def approve(house: House, run: str) -> None:
    held = (await house.act("homeport__list_approvals"))["approvals"]
    [approval] = [one["id"] for one in held if one["run"] == run]
    await house.act("homeport__decide_approval", approval_id=approval, approve=True)
    await house.ended(run)


async def test_the_list_names_each_workflow_with_its_last_run_and_offers_templates(house: House) -> None:
    workflow = await saved(house, "Listed", tags=["harbour"], description="Looks at boats.")
    page = await house.page("/workflows", q="harbour")
    assert page.text(".workflow-counts") == "0 Active / 1 Draft / 0 Scheduled"
    row = page.texts(f"#workflow-{workflow} > td")
    assert row[1:6] == ["Listed#harbour", "1", "Manual", "you", "5"]
    assert row[6:9] == ["–", "Draft", "–"]
    assert "Daily digest" in page.texts(".workflow-templates h3")
    run = await run_of(house, workflow)
    row = await house.page("/workflows", part="list", q="harbour")
    assert row.links(f"#workflow-{workflow} td:nth-child(7) a") == {"waiting": f"/workflow-runs/{run}"}
    await approve(house, run)


async def test_a_search_without_a_hit_says_so_and_leads_back(house: House) -> None:
    page = await house.page("/workflows", q="no such words")
    assert page.texts("#workflow-list .empty-title") == ["Nothing fits"]
    assert page.links("#workflow-list .empty a") == {"Show all": "/workflows"}


async def test_an_active_workflow_with_a_schedule_says_when_it_runs_next(house: House) -> None:
    workflow = await saved(house, "Timed", trigger={"cron": "0 9 * * 1"})
    draft = await house.page(f"/workflows/{workflow}", part="detail")
    assert draft.texts("header .tag")[:2] == ["Draft", "Scheduled"]
    await house.act("homeport__workflow_activate", workflow=workflow)
    page = await house.page(f"/workflows/{workflow}", part="detail")
    assert page.texts("header .tag")[:2] == ["Active", "Scheduled"]
    assert "next run" in page.texts("header .muted")[-1]
    assert next(iter(page.links(".facts a").values())).startswith("/automation?job=")
    row = (await house.page("/workflows", part="list", q="Timed")).texts(f"#workflow-{workflow} > td")
    assert (row[3], row[7]) == ("Scheduled", "Active")
    assert row[8] != "–"
    await house.act("homeport__workflow_activate", workflow=workflow, active=False)
    events = await saved(house, "On events", trigger={"event": "file.created"})
    assert (await house.page(f"/workflows/{events}", part="detail")).texts("header .tag")[1] == "Event-triggered"


async def test_a_workflow_that_never_ran_has_all_its_tabs(house: House) -> None:
    workflow = await saved(house, "Fresh", description="Looks at boats.")
    page = await house.page(f"/workflows/{workflow}")
    assert page.texts(".tabs[aria-label=Details] a") == TABS
    assert page.texts("nav[aria-label=Breadcrumbs] li")[-1].endswith("Fresh")
    assert page.text("section[aria-label=Runs] .muted") == "It has not run yet."
    steps = await house.page(f"/workflows/{workflow}", part="detail", tab="steps")
    assert steps.texts(".workflow-nodes .tag") == ["Tool", "Loop", "Agent", "Approval", "End"]
    assert steps.texts(".workflow-nodes .muted")[-1] == "then → end · if refused → end"
    assert [node.attributes["data-depth"] for node in steps.all(".workflow-nodes > li")] == ["0", "0", "1", "0", "0"]
    drawn = await house.page(f"/workflows/{workflow}", part="detail", tab="graph", node="ask")
    assert [node.attributes["aria-label"] for node in drawn.all("svg a[aria-current]")] == ["Agent Describe, selected"]
    assert "Sum up {{ item.path }}" in drawn.text(".workflow-step pre")
    for tab in ("logs", "output"):
        page = await house.page(f"/workflows/{workflow}", part="detail", tab=tab)
        assert page.texts("p.muted")[-1] == "It has not run yet.", tab
    parameters = await house.page(f"/workflows/{workflow}", part="detail", tab="parameters")
    assert "It has no trigger." in parameters.text("form[data-parameters]")
    whole = await house.page(f"/workflows/{workflow}", part="detail", tab="json")
    assert '"name": "Fresh"' in whole.text("textarea")
    assert (await house.page(f"/workflows/{workflow}", tab="nonsense")).texts(".tabs [aria-current]") == ["Overview"]


async def test_a_run_is_followed_step_by_step_in_list_and_drawing(house: House) -> None:
    workflow = await saved(house, "Followed")
    run = await run_of(house, workflow)
    page = await house.page(f"/workflow-runs/{run}", tab="graph")
    assert page.text("header .state") == "waiting"
    assert "Finish?" in (await house.page(page.links("header .reason a")["Open approvals"])).text()
    labels = [node.attributes["aria-label"] for node in page.all("svg a.node")]
    assert labels[2:4] == ["Agent Describe, completed", "Approval sure, waiting"]
    assert page.all("header progress") != []
    await approve(house, run)
    page = await house.page(f"/workflow-runs/{run}", step="each[1]/ask")
    assert page.text(".workflow-step h2") == "each[1]/ask"
    assert "It is about boats." in page.texts(".workflow-step pre")[1]
    assert set(page.links(".workflow-step .row .tag")) == {"each[0]/ask", "each[1]/ask"}
    assert page.text(".workflow-result .plain") == "2 files."
    step = await house.page(f"/tasks/{run}~list")
    assert step.text("#task-detail h2") == "list"
    assert "docs/boats/sloop.txt" in step.texts("#task-detail pre")[1]
    assert step.links("#task-detail footer a")["View parent task"] == f"/tasks/{run}"


async def test_a_run_keeps_its_log_by_step_and_its_output(house: House) -> None:
    workflow = await saved(house, "Kept")
    run = await run_of(house, workflow)
    await approve(house, run)
    log = await house.page(f"/workflow-runs/{run}", part="run", tab="logs")
    paths = [part.attributes["data-path"] for part in log.all("[data-path]")]
    assert paths[:3] == ["", "list", "each"]
    assert log.texts('[data-path="sure"] [data-level="warning"] span')[-1] == "Asks a person: Finish?"
    output = await house.page(f"/workflow-runs/{run}", part="run", tab="output")
    assert output.texts("pre") == ["2 files."]
    page = await house.page(f"/workflows/{workflow}", tab="overview", runs="5")
    assert page.facts("section[aria-label=Statistics] .facts")["Completed"] == "1 (100 %)"
    assert page.links("section[aria-label=Runs] .row a") == {"Show more": "?tab=overview"}
    for tab in ("graph", "logs", "output"):
        shown = await house.page(f"/workflows/{workflow}", part="detail", tab=tab)
        assert shown.links(".workflow-of-run a") == {"Open the run": f"/workflow-runs/{run}"}, tab


async def test_versions_are_listed_and_compared(house: House) -> None:
    workflow = await saved(house, "Changed")
    changed = graph("Changed", description="Now with words.")
    await house.act("homeport__workflow_save", graph=changed, workflow=workflow, note="words")
    page = await house.page(f"/workflows/{workflow}", tab="versions")
    rows = page.texts("#workflow-detail ul.workflow-runs li")
    assert rows[0].startswith("2 · ")
    assert "words" in rows[0]
    assert page.texts("[data-rollback]") == ["Make 1 current"]
    compared = await house.page(f"/workflows/{workflow}", part="detail", tab="versions", **{"with": "1"})
    assert "description" in compared.texts(".workflow-changes code")
    assert compared.texts(".workflow-changes .after") == ['"Now with words."']


async def test_a_graph_with_an_error_cannot_run_and_says_where(house: House) -> None:
    broken = {"kind": "tool", "tool": "nowhere__tool", "arguments": {}}
    workflow = await saved(house, "Broken", start="lost", nodes={"lost": broken})
    page = await house.page(f"/workflows/{workflow}", part="detail", tab="steps")
    assert "disabled" in page.all("header [data-run]")[0].attributes
    assert "It cannot run yet" in page.text("header .problem")
    assert "nowhere__tool" in page.text('.workflow-problem[data-level="error"]')


async def test_a_workflow_or_run_that_is_not_there_is_a_page_that_says_so(house: House) -> None:
    for path in ("/workflows/nowhere", "/workflow-runs/nowhere"):
        page = await house.ask(path)
        assert page.status == 404
        assert "nowhere" in page.text()
