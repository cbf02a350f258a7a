"""Jobs: made, changed, listed, checked, copied, exported; and refused with plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Desk, opened

pytestmark = pytest.mark.anyio


async def test_a_job_is_added_read_edited_duplicated_deleted_and_restored(desk: Desk) -> None:
    job = await desk.add("Report", trigger={"cron": "0 9 * * 1-5"}, description="Every morning")
    assert job["next"] == "2026-11-02T09:00:00.000Z"
    assert (job["kind"], job["trigger"], job["when"], job["what"]) == ("tool", "cron", "0 9 * * 1-5", "files__list")
    detail = (await desk.call("get_job", job="Report"))["detail"]
    assert detail["definition"]["description"] == "Every morning"
    assert [each["at"][:16] for each in detail["upcoming"]][:2] == ["2026-11-02T09:00", "2026-11-03T09:00"]
    await desk.call("edit_job", job="Report", changes={"name": "Morning report", "trigger": {"every": "2h"}})
    await desk.call("change_jobs", names=["Morning report"], action="duplicate")
    names = [(row["name"], row["enabled"]) for row in (await desk.call("list_jobs"))["jobs"]]
    assert names == [("Morning report", True), ("Morning report (copy)", False)]
    await desk.call("change_jobs", names=["Morning report"], action="delete")
    assert "There is no job" in await desk.refused("get_job", job="Morning report")
    await desk.call("change_jobs", names=[job["id"]], action="restore")
    assert not (await desk.call("get_job", job="Morning report"))["detail"]["job"]["enabled"]


async def test_jobs_are_searched_filtered_and_paged(desk: Desk) -> None:
    for number in range(5):
        await desk.add(f"Timer {number}", trigger={"every": "1h"}, enabled=number % 2 == 0)
    await desk.add("Watcher", trigger={"event": "file.*"})
    assert [row["name"] for row in (await desk.call("list_jobs", trigger="event"))["jobs"]] == ["Watcher"]
    assert len((await desk.call("list_jobs", enabled="no"))["jobs"]) == 2
    first = await desk.call("list_jobs", query="timer", limit=3)
    rest = await desk.call("list_jobs", query="timer", limit=3, cursor=first["next"])
    assert [row["name"] for row in first["jobs"] + rest["jobs"]] == [f"Timer {number}" for number in range(5)]
    assert "cursor" in await desk.refused("list_jobs", cursor="%%")


async def test_many_jobs_are_changed_at_once_and_what_fails_is_said(desk: Desk) -> None:
    await desk.add("One", trigger={"every": "1h"})
    await desk.add("Two", trigger={"every": "1h"})
    result = await desk.call("change_jobs", names=["One", "Two", "Three"], action="disable")
    assert result["changed"] == ["One", "Two"]
    assert "'Three'" in result["failed"][0]
    assert [(row["enabled"], row["next"]) for row in (await desk.call("list_jobs"))["jobs"]] == [(False, "")] * 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trigger": {"cron": "61 * * * *"}}, "Bad minute"),
        ({"trigger": {"cron": "* * * * *", "every": "5m"}}, "one trigger, not cron and every"),
        ({"trigger": {"every": "soon"}}, "not a time span"),
        ({"trigger": {"at": "2020-01-01T00:00"}}, "never due again"),
        ({"trigger": {"event": "file"}}, "no kind of event"),
        ({"time_zone": "Moon/Base", "trigger": {"every": "5m"}}, "no time zone"),
        ({"action": {}}, "calls a tool, gives an agent a prompt, runs a workflow, or emits an event"),
        ({"action": {"tool": "list"}}, "write server__tool"),
        ({"action": {"tool": "no__such"}}, "There is no tool"),
        ({"after": ["Nobody"]}, "no job 'Nobody'"),
        ({"after": ["Strange"]}, "wait for each other: Strange → Strange"),
        ({"name": " "}, "1 to 120 characters"),
        ({"timeout": 0}, "from 1 to 86400"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_does_not_fit_is_named_and_nothing_is_saved(desk: Desk, fields: dict, said: str) -> None:
    definition = {"name": "Strange", "action": {"tool": "files__list"}, **fields}
    checked = await desk.client.call_tool("validate_job", {"definition": definition})
    assert said in str(checked.structured_content or checked.content)
    assert said in await desk.refused("add_job", definition=definition)
    assert (await desk.call("list_jobs"))["jobs"] == []


async def test_a_check_shows_the_next_runs_and_what_may_surprise(desk: Desk) -> None:
    definition = {
        "name": "Often",
        "trigger": {"every": "10s"},
        "action": {"tool": "files__list", "arguments": {"path": "{{event.data.path}}"}},
        "jitter": 20,
        "overlap": "allow",
    }
    checked = await desk.call("validate_job", definition=definition)
    assert checked["ok"]
    assert len(checked["upcoming"]) == 5
    assert [warning[:20] for warning in checked["warnings"]] == [
        "Its time limit of 36", "{{event.…}} stays em", "Its jitter of 20 s i",
    ]  # fmt: skip


async def test_a_circle_is_refused_also_by_an_edit_and_names_follow_a_rename(desk: Desk) -> None:
    await desk.add("Fetch")
    await desk.add("Index", after=["Fetch"])
    await desk.add("Report", after=["Index"])
    assert "Fetch → Report → Index → Fetch" in await desk.refused(
        "edit_job", job="Fetch", changes={"after": ["Report"]}
    )
    await desk.call("edit_job", job="Fetch", changes={"name": "Download"})
    assert (await desk.call("get_job", job="Index"))["detail"]["definition"]["after"] == ["Download"]
    result = await desk.call("change_jobs", names=["Download"], action="delete")
    assert "Index comes after it" in result["failed"][0]


async def test_two_editors_notice_each_other(desk: Desk) -> None:
    job = await desk.add("Shared", trigger={"every": "1h"})
    await desk.call("edit_job", job="Shared", changes={"retries": 2}, if_version=job["version"])
    said = await desk.refused("edit_job", job="Shared", changes={"retries": 3}, if_version=job["version"])
    assert "changed meanwhile" in said
    assert "already" in await desk.refused("add_job", definition={"name": "Shared", "action": {"tool": "a__b"}})


async def test_a_preview_tells_runs_before_anything_is_saved_and_notes_the_clocks(desk: Desk) -> None:
    seen = await desk.call("preview", trigger={"cron": "30 2 29 3 *"}, time_zone="Europe/Berlin", count=1)
    [only] = seen["upcoming"]
    assert only["local"] == "2027-03-29T02:30:00+02:00"
    seen = await desk.call("preview", trigger={"cron": "30 2 * 3 0"}, time_zone="Europe/Berlin", count=4)
    assert [each["note"] for each in seen["upcoming"]][3] == "The clocks went forward by 1 h just before."
    past = await desk.call("preview", trigger={"cron": "0 9 * * 1-5"}, past_days=7)
    assert [each["at"][:10] for each in past["past"]] == [f"2026-10-{day}" for day in (26, 27, 28, 29, 30)]


async def test_exported_jobs_are_the_same_on_another_machine(desk: Desk, tmp_path: Path) -> None:
    await desk.add("Fetch", trigger={"every": "15m"}, retries=3, time_zone="Europe/Paris")
    await desk.add("Alert", trigger={"event": "job.failed", "where": {"data.name": "Fetch"}}, after=["Fetch"])
    document = (await desk.call("export_jobs"))["document"]
    assert document["format"] == "homeport.jobs/1"
    async with opened(tmp_path / "other") as other:
        assert (await other.call("import_jobs", document=document))["changed"] == ["Fetch", "Alert"]
        assert (await other.call("export_jobs"))["document"] == document
        assert not any(row["enabled"] for row in (await other.call("list_jobs"))["jobs"])
        assert "already" in (await other.call("import_jobs", document=document))["failed"][0]
        assert (await other.call("import_jobs", document=document, replace=True))["failed"] == []
    chosen = (await desk.call("export_jobs", names=["Fetch"]))["document"]
    assert [each["name"] for each in chosen["jobs"]] == ["Fetch"]


async def test_a_draft_is_saved_without_running(desk: Desk) -> None:
    await desk.add("Draft", enabled=False, trigger={"every": "1m"})
    await desk.pass_time(hours=1)
    assert (await desk.call("list_runs"))["runs"] == []
    assert desk.works.done == []
