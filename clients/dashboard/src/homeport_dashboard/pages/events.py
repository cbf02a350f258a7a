"""Events: what happened, what it led to, who waits for it; and the notifications in the frame of every page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Outcome, Pages, attempt, attempt_all
from homeport_shared.errors import HomeportError

TABS = ("events", "subscriptions", "figures")
FILTERS = ("kind", "field", "value", "since", "until")
MOST_ROWS = 100


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def events(request: Request) -> Response:
        asked = {name: request.query_params.get(name, "").strip() for name in FILTERS}
        tab, event = request.query_params.get("tab", ""), _number(request.path_params.get("event", "0"))
        tab = tab if tab in TABS else TABS[0]
        values: Json = {"tab": tab, "asked": asked, "event_id": event, "link": _linker(asked, tab, event)}
        part = request.query_params.get("part", "")
        if part != "detail":
            values |= await _listed(connection, tab, asked, _number(request.query_params.get("before") or "0"))
        if part != "list":
            values["detail"] = await _detail(connection, event)
        if part in {"list", "detail"}:
            name = "events-detail" if part == "detail" else "events-list" if tab == "events" else tab
            return pages.fragment(f"parts/{name}.html", **values)
        values |= await attempt_all(types=connection.call("homeport__event_types"))
        values |= await _startable(connection)
        crumbs = [("Events", "/events"), *([(f"Event {event}", f"/events/{event}")] if event else [])]
        return await pages.page(request, "events.html", current="events", crumbs=crumbs, **values)

    async def notifications(request: Request) -> Response:
        found = await attempt(connection.read("notifications://recent"))
        return pages.fragment("parts/notifications.html", found=found)

    return [
        Route("/events", events),
        Route("/events/{event}", events),
        Route("/notifications", notifications),
    ]


def _number(text: str) -> int:
    if not text.isdecimal():
        raise HomeportError("not_found", f"There is no event {text[:40]!r}.", "Events have numbers.")
    return int(text)


async def _listed(connection: Connection, tab: str, asked: Mapping[str, str], before: int) -> Json:
    if tab == "subscriptions":
        return await attempt_all(found=connection.read("events://subscriptions"))
    if tab == "figures":
        return await attempt_all(found=connection.read("events://statistics"))
    where = {asked["field"]: asked["value"] or "*"} if asked["field"] else {}
    wanted = {"kinds": asked["kind"] or "*", "where": where, "before": before, "limit": MOST_ROWS}
    wanted |= {name: asked[name] for name in ("since", "until")}
    return await attempt_all(found=connection.call("homeport__find_events", wanted))


async def _detail(connection: Connection, event: int) -> Outcome:
    """Return an event with its chain as rows in the order in which they happened; no event gives nothing."""
    if not event:
        return Outcome()
    found = await attempt(connection.read(f"events://{event}"))
    if found.error:
        return found
    chain = found.value["chain"]
    runs = {run["id"]: run for run in chain["runs"]}
    rows: list[Json] = [{"at": each["at"], "what": "event", **each} for each in chain["events"]]
    delivered = [each for each in chain["deliveries"] if each["subscription"]]
    rows += [{**each, "what": "delivery", "result": runs.get(each["run"])} for each in delivered]
    shown = {row["run"] for row in rows if row["what"] == "delivery"}
    rest = [run for id, run in runs.items() if id not in shown]
    return Outcome({"event": found.value["event"], "rows": sorted(rows, key=lambda row: row["at"]), "runs": rest})


async def _startable(connection: Connection) -> Json:
    """Return the names of what a subscription can start."""
    found = await attempt_all(
        jobs=connection.call("scheduler__list_jobs", {"limit": 200}),
        workflows=connection.call("homeport__list_workflows"),
        agents=connection.call("homeport__list_agents"),
    )

    def rows(name: str, key: str) -> list[Json]:
        return found[name].value[key] if found[name].value else []

    return {
        "jobs": [row["name"] for row in rows("jobs", "jobs")],
        "workflows": [row["name"] for row in rows("workflows", "rows") if row["status"] == "active"],
        "agents": rows("agents", "agents"),
    }


def _linker(asked: Mapping[str, str], tab: str, event: int) -> Any:
    """Return a function that makes the address of this page with some of its parameters changed."""

    def link(to: int | None = None, **changed: Any) -> str:
        place = event if to is None else to
        query = {**asked, "tab": "" if tab == TABS[0] else tab, **changed}
        text = urlencode({name: value for name, value in query.items() if value})
        return f"/events{f'/{place}' if place else ''}{f'?{text}' if text else ''}"

    return link
