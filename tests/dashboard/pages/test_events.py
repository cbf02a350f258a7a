"""Events: what happened and what it led to, who waits for it, and the notifications of every page."""

from __future__ import annotations

import pytest
from tests.dashboard.house import House

pytestmark = pytest.mark.anyio


async def event(house: House, kind: str) -> int:
    """Return the number of the newest event of a type."""
    found = await house.act("homeport__find_events", kinds=kind, limit=1)
    return found["rows"][0]["seq"]


async def test_events_are_listed_by_type_field_and_time(house: House) -> None:
    for name in ("ada", "eve"):
        await house.act("homeport__event_emit", kind="visit.listed", data={"name": name})
    page = await house.page("/events", kind="visit.listed")
    assert page.texts("#event-list .what") == ["eve", "ada"]
    narrowed = await house.page("/events", part="list", kind="visit.*", field="data.name", value="a*")
    assert narrowed.texts(".what") == ["ada"]
    assert next(iter(narrowed.links("a.title").values())).endswith("kind=visit.%2A&field=data.name&value=a%2A")
    nothing = await house.page("/events", kind="visit.never")
    assert nothing.texts(".empty-title") == ["Nothing fits"]
    assert nothing.links(".empty a") == {"Show all": "/events"}
    newest = await event(house, "visit.listed")
    older = await house.page("/events", part="list", kind="visit.listed", before=newest)
    assert older.texts(".what") == ["ada"]


async def test_an_event_shows_the_whole_chain_that_it_began(house: House) -> None:
    definition = {
        "name": "Tell me",
        "kind": "visit.chained",
        "where": {"data.name": "ada"},
        "start": {"prompt": "Sum up {{event.data.name}}."},
    }
    await house.act("homeport__save_subscription", definition=definition)
    await house.act("homeport__event_emit", kind="visit.chained", data={"name": "ada"})
    number = await event(house, "visit.chained")
    await house.eventually(lambda: chained(house, number))
    page = await house.page(f"/events/{number}")
    assert page.text("#event-detail h2") == "visit.chained"
    assert page.facts("#event-detail .facts")["Number"] == str(number)
    assert page.texts('#event-detail [data-what="event"][aria-current] a') == ["visit.chained"]
    [delivery] = page.texts('#event-detail [data-what="delivery"]')
    assert "Tell me completed" in delivery
    assert "It is about boats." in delivery
    assert '"name": "ada"' in page.text("#event-detail pre")
    assert page.texts("nav[aria-label=Breadcrumbs] li")[-1].endswith(f"Event {number}")
    listed = await house.page("/events", tab="subscriptions")
    assert "Tell me" in listed.text("#event-list")
    assert "data.name like ada" in listed.text("#event-list")


async def chained(house: House, number: int) -> bool:
    page = await house.page(f"/events/{number}", part="detail")
    return page.texts('[data-what="delivery"] .state') == ["completed"]


async def test_an_event_that_nobody_waits_for_says_so(house: House) -> None:
    await house.act("homeport__event_emit", kind="visit.alone", data={"title": "Alone"})
    page = await house.page(f"/events/{await event(house, 'visit.alone')}", part="detail")
    assert "No subscription waits for it." in page.texts("p")
    assert page.links("header a") == {"×": "/events"}


async def test_figures_count_by_type_and_lead_to_the_events(house: House) -> None:
    await house.act("homeport__event_emit", kind="visit.counted")
    page = await house.page("/events", tab="figures")
    assert page.texts(".tabs[aria-label='What to show'] [aria-current]") == ["Figures"]
    assert page.links("#event-list td a")["visit.counted"] == "/events?kind=visit.counted"
    assert int(page.facts("#event-list .facts")["Events since the start"]) > 0


async def test_what_a_subscription_can_start_is_offered(house: House) -> None:
    await house.act("scheduler__add_job", definition={"name": "Sweep", "action": {"tool": "files__roots"}})
    page = await house.page("/events", tab="nonsense")
    assert page.texts(".tabs[aria-label='What to show'] [aria-current]") == ["What happened"]
    template = page.all("#subscription-form")[0].html or ""
    assert "<option>Sweep</option>" in template
    assert "no workflow is active" in template


@pytest.mark.parametrize("path", ["/events/none", "/events?before=x"])
async def test_a_number_that_is_none_is_refused_in_words(house: House, path: str) -> None:
    page = await house.ask(path)
    assert page.status == 404
    assert "There is no event" in page.text()


async def test_an_event_that_never_was_leaves_the_list_in_place(house: House) -> None:
    await house.act("homeport__event_emit", kind="visit.there")
    page = await house.page("/events/999999")
    assert len(page.texts("#event-detail .problem")) == 1
    assert page.all("#event-list tbody tr") != []


async def test_notifications_tell_what_failed_until_they_are_read(house: House) -> None:
    run = (await house.act("homeport__task_create", plan={"prompt": "Look at the roof"}, draft=True))["run_id"]
    await house.act("homeport__notify_me", run_id=run, moments=["completed"])
    await house.act("homeport__run_steer", run_ids=[run], action="resume")
    await house.eventually(lambda: told(house))
    page = await house.page("/notifications")
    assert page.texts("[data-read-all]") == ["Mark all as read"]
    assert page.texts("li[data-new] strong") != []
    assert next(iter(page.links("li a").values())) == f"/tasks/{run}"
    await house.act("homeport__mark_notifications")
    assert (await house.page("/notifications")).all("li[data-new]") == []


async def told(house: House) -> bool:
    return (await house.page("/notifications")).all("li[data-new]") != []
