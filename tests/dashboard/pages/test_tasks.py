"""Tasks and Executions: the table, its filters, and one task in detail."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest
from tests.dashboard.house import House

pytestmark = pytest.mark.anyio


def today() -> date:
    """Return the day in this machine's zone, which is the reader's."""
    return datetime.now().astimezone().date()


async def test_the_table_shows_each_task_with_its_state_and_counts_them(house: House) -> None:
    done = await house.task("Look at the roof", title="Roof", tags=["house"], priority=2)
    failed = await house.task("Stay silent")
    page = await house.page("/tasks")
    assert page.texts(f"#row-{done} td")[2:6] == ["Agent", "assistant", "completed", "100 %"]
    assert page.texts(f"#row-{done} td")[7:9] == ["High", "you"]
    assert page.all(f"#row-{failed}")[0].attributes["data-state"] == "failed"
    assert page.links(".task-counts a")["0 Running"] == "/tasks?state=running"
    assert page.links(f"#row-{done} td a")["#house"] == "/tasks?tag=house"


async def test_filters_are_in_the_address_and_narrow_the_table(house: House) -> None:
    wet = await house.task("Look at the roof", title="Filtered", tags=["wet"])
    await house.task("Look at the roof", title="Another")
    for query in (
        {"tag": "wet"},
        {"q": "filtered"},
        {"tag": "wet", "state": "completed", "since": today().isoformat()},
    ):
        rows = (await house.page("/tasks", part="list", **query)).all(".task-row")
        assert [row.attributes["data-task"] for row in rows] == [wet], query
    later = (today() + timedelta(days=1)).isoformat()
    for query in ({"tag": "wet", "state": "failed"}, {"tag": "wet", "since": later}, {"tag": "wet", "chip": "chat"}):
        page = await house.page("/tasks", **query)
        assert page.texts(".empty-title") == ["Nothing fits"], query
        assert page.links(".empty a") == {"Show all": "/tasks"}
    page = await house.page("/tasks", tag="wet", chip="manual")
    assert page.texts("nav.tabs a[aria-current]") == ["Manual"]
    assert page.links("nav.tabs a")["#wet ×"] == "/tasks?chip=manual"


async def test_a_day_that_is_none_is_refused_in_words(house: House) -> None:
    page = await house.ask("/tasks", since="tomorrow")
    assert page.status == 400
    assert "tomorrow is no day." in page.text()


async def test_a_repetition_stands_below_the_task_that_it_repeats(house: House) -> None:
    first = await house.task("Look at the roof", tags=["again"])
    again = (await house.act("homeport__run_steer", run_ids=[first], action="retry"))["rows"][0]["run_id"]
    await house.ended(again)
    rows = (await house.page("/tasks", part="list", q="roof")).all(".task-row")
    depth = {row.attributes["data-task"]: row.css("td")[1].attributes["data-depth"] for row in rows}
    assert (depth[first], depth[again]) == ("0", "1")
    page = await house.page(f"/tasks/{again}", part="detail")
    assert page.links("footer a")["View parent task"] == f"/tasks/{first}"


async def test_executions_are_what_has_ended_and_offer_no_cancelling(house: House) -> None:
    done = await house.task("Look at the roof")
    page = await house.page(f"/executions/{done}")
    assert page.text("h1") == "Executions"
    assert page.texts('select[name="state"] option') == ["any", "completed", "failed", "cancelled"]
    assert page.links("nav[aria-label=Breadcrumbs] a")["Executions"] == "/executions"
    assert page.all('[data-act="cancel"]') == []
    assert page.all(f"#row-{done}")[0].attributes["aria-selected"] == "true"
    assert "Scheduled" not in page.texts('nav[aria-label="Which kind"] a')


async def test_the_overview_of_a_task_tells_what_was_asked_and_answered(house: House) -> None:
    run = await house.task("Look at the roof", title="Roof", tags=["house"])
    page = await house.page(f"/tasks/{run}", tab="overview")
    assert page.text("#task-detail h2") == "Roof"
    assert page.text("#task-detail .task-answer") == "The roof is tight."
    assert page.texts("#inputs > pre") == ["Look at the roof"]
    facts = page.facts("#task-detail dl.facts")
    assert (facts["Begun by"], facts["Model"], facts["Id"]) == ("you", "ollama/qwen3:8b", run)
    assert page.texts("#task-detail .task-head [data-steer]") == ["Retry", "Delete"]


async def test_progress_log_resources_and_artifacts_are_tabs_of_a_task(house: House) -> None:
    run = await house.task("Look at the cellar", yes=["files__write"])
    progress = await house.page(f"/tasks/{run}", part="detail", tab="progress")
    assert progress.all("progress")[0].attributes["value"] == "100.0"
    assert progress.texts(".call-name") == ["files__write"]
    log = await house.page(f"/tasks/{run}", part="detail", tab="log")
    assert log.texts(".task-log li span") == [
        "running",
        "files__write running",
        "files__write ok",
        "completed",
        "the answer is complete",
    ]
    resources = await house.page(f"/tasks/{run}", part="detail", tab="resources")
    assert resources.facts()["Tool calls"] == "1"
    artifacts = await house.page(f"/tasks/{run}", part="detail", tab="artifacts")
    assert {"cellar.txt", "answer.md"} <= set(artifacts.texts(".task-artifacts strong"))
    unknown = await house.page(f"/tasks/{run}", part="detail", tab="nonsense")
    assert unknown.texts(".tabs [aria-current]") == ["Overview"]


async def test_what_a_task_made_is_looked_at_and_kept(house: House) -> None:
    (house.docs / "kept.txt").write_text("dry for years", "utf-8")
    run = await house.task("Look at the roof")
    answer = {"uri": f"task://{run}/answer", "task": run, "name": "answer.md"}
    kept = await house.browser.get("/tasks/artifact", params=answer)
    assert (kept.text, kept.headers["content-type"]) == ("The roof is tight.", "text/markdown; charset=utf-8")
    assert kept.headers["content-disposition"] == "attachment; filename*=UTF-8''answer.md"
    assert (await house.browser.get("/tasks/artifact", params={**answer, "as": "text"})).text == "The roof is tight."
    file = {"uri": "files://docs/kept.txt", "task": run}
    assert "dry for years" in (await house.browser.get("/tasks/artifact", params={**file, "as": "text"})).text
    loaded = await house.browser.get("/tasks/artifact", params=file)
    assert (loaded.content, loaded.headers["content-disposition"][-8:]) == (b"dry for years", "kept.txt")
    resource = await house.browser.get("/tasks/artifact", params={"uri": "homeport://mode", "task": run})
    assert json.loads(resource.text)["default"] == "ollama/qwen3:8b"
    assert (await house.ask("/tasks/artifact", uri="files://docs/none.txt", task=run)).status == 404


async def test_a_failed_task_says_why_and_what_helps(house: House) -> None:
    run = await house.task("Stay silent")
    page = await house.page(f"/tasks/{run}", part="detail")
    assert "The model qwen3:8b gave an empty answer." in page.text(".problem")
    assert "Run it again." in page.texts(".problem li")
    log = await house.page(f"/tasks/{run}", part="detail", tab="log")
    assert any("gave an empty answer" in text for text in log.texts('.task-log [data-level="error"] span'))


async def test_a_draft_is_started_by_hand_and_a_result_waits_for_its_review(house: House) -> None:
    plan = {"prompt": "Look at the roof", "review": True}
    run = (await house.act("homeport__task_create", plan=plan, draft=True))["run_id"]
    page = await house.page(f"/tasks/{run}", part="detail")
    assert page.texts("[data-steer]") == ["Start", "Terminate"]
    assert page.facts()["Started"] == "not yet"
    await house.act("homeport__run_steer", run_ids=[run], action="resume")
    await house.ended(run, "waiting")
    page = await house.page(f"/tasks/{run}", part="detail")
    assert page.texts("[data-review]") == ["Accept", "Send back"]
    await house.act("homeport__task_review", task_id=run, accept=True)
    await house.ended(run)
    log = await house.page(f"/tasks/{run}", part="detail", tab="log")
    told = log.texts(".task-log span")
    assert told[:3] == ["queued by person", "running", "the answer waits for a person"]
    assert "accepted by person" in told


async def test_a_task_of_the_future_stands_under_scheduled_and_opens_its_job(house: House) -> None:
    plan = {"prompt": "Look at the roof", "title": "Monday roof", "cron": "0 9 * * 1"}
    await house.act("homeport__task_create", plan=plan)
    page = await house.page("/tasks", part="list", chip="scheduled")
    assert page.links(".task-row a.title") == {"Monday roof": "/automation"}


async def test_statistics_are_grouped_as_asked(house: House) -> None:
    await house.task("Look at the roof", tags=["counted"])
    page = await house.page("/tasks/statistics", group="tag")
    assert page.texts("option[selected]") == ["tag"]
    assert "counted" in page.texts("table:first-of-type td:first-child")
    assert (await house.page("/tasks/statistics", group="colour")).texts("option[selected]") == ["type"]


async def test_a_task_that_is_not_there_leaves_the_table_in_place(house: House) -> None:
    await house.task("Look at the roof")
    for name in ("0" * 32, "nowhere:job", "0~step"):
        page = await house.page(f"/tasks/{name}")
        assert len(page.texts("#task-detail .problem")) == 1, name
        assert page.all(".task-row") != []


async def test_a_task_is_deleted_only_by_its_page_and_after_a_yes(house: House) -> None:
    run = await house.task("Look at the roof")
    foreign = await house.browser.post("/act/homeport__run_forget", json={"run_ids": [run]}, headers={"Origin": "null"})
    assert foreign.status_code == 403
    asked = await house.told("homeport__run_forget", run_ids=[run])
    assert asked["error"]["code"] == "approval_required"
    assert (await house.page(f"/tasks/{run}", part="detail")).texts(".problem") == []
    await house.act("homeport__decide_approval", approval_id=asked["approval"]["id"], approve=True)
    await house.act("homeport__run_forget", run_ids=[run])
    assert len((await house.page(f"/tasks/{run}", part="detail")).texts(".problem")) == 1
