"""Tasks, and Executions: the runs of agents as a table, one of them in detail beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Outcome, Pages, attempt, attempt_all, gather
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

ENDED = ("completed", "failed", "cancelled")
STATES = ("running", "waiting", "queued", "paused", *ENDED)
KINDS = {"": "All", "chat": "Chat", "ask": "Questions", "job": "Automation", "workflow": "Workflows"}
PRIORITIES = ("Low", "Normal", "High", "Critical")
TABS = ("overview", "progress", "log", "resources")
ORIGINS = {"user": "you", "agent": "an agent", "schedule": "a schedule", "event": "an event", "client": "a program"}
FILTERS = ("state", "kind", "agent", "tag", "q", "since", "until")
MOST_ROWS, MOST_EVENTS = 100, 2_000


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def tasks(request: Request) -> Response:
        return await _show(request, "tasks")

    async def executions(request: Request) -> Response:
        return await _show(request, "executions")

    async def _show(request: Request, page: str) -> Response:
        asked = {name: request.query_params.get(name, "").strip() for name in FILTERS}
        part, run = request.query_params.get("part", ""), request.path_params.get("run", "")
        values: Json = {
            "page": page,
            "asked": asked,
            "run_id": run,
            "tab": _tab(request.query_params.get("tab", "")),
            "link": _linker(request, page, asked, run),
            "states": ENDED if page == "executions" else STATES,
            "kinds": KINDS,
            "priorities": PRIORITIES,
            "origins": ORIGINS,
        }
        if part != "detail":
            cursor = request.query_params.get("cursor", "")
            wanted = {**_wanted(page, asked), "limit": MOST_ROWS, "cursor": cursor}
            values |= await attempt_all(
                found=connection.call("homeport__list_runs", wanted), agents=connection.call("homeport__list_agents")
            )
            values["cursor"] = cursor
        if part != "list":
            values["detail"] = await _detail(connection, run)
        if part in {"list", "detail"}:
            return pages.fragment(f"parts/tasks-{part}.html", **values)
        title = "Executions" if page == "executions" else "Tasks"
        crumbs = [(title, f"/{page}")]
        if run and values["detail"].value:
            crumbs.append((values["detail"].value["run"]["title"] or run[:8], f"/{page}/{run}"))
        return await pages.page(request, "tasks.html", current=page, crumbs=crumbs, **values)

    return [
        Route("/tasks", tasks),
        Route("/tasks/{run}", tasks),
        Route("/executions", executions),
        Route("/executions/{run}", executions),
    ]


async def _detail(connection: Connection, run: str) -> Outcome:
    """Return a run with its events, its approvals and the runs around it; an empty id gives nothing."""
    if not run:
        return Outcome()
    found = await gather(
        run=attempt(connection.call("homeport__run_get", {"run_id": run})),
        events=attempt(connection.call("homeport__run_events", {"run_id": run, "limit": MOST_EVENTS})),
        children=attempt(connection.call("homeport__list_runs", {"parent": run, "limit": 50})),
    )
    if failed := next((outcome for outcome in found.values() if outcome.error), None):
        return failed
    row, events = found["run"].value, found["events"].value["events"]
    return Outcome(
        {
            "run": row,
            "events": [event for event in events if event["kind"] not in {"text", "thinking"}],
            "calls": _calls(events),
            "log": [_line(event) for event in events if event["kind"] not in {"text", "thinking", "usage"}],
            "usage": row["usage"] or _last_usage(events),
            "seconds": _seconds(row),
            "children": found["children"].value["runs"],
        }
    )


def _wanted(page: str, asked: Mapping[str, str]) -> Json:
    states = asked["state"] if asked["state"] in STATES else ",".join(ENDED) if page == "executions" else ""
    return {
        "state": states,
        "kind": asked["kind"] if asked["kind"] in KINDS else "",
        "agent": asked["agent"],
        "tag": asked["tag"],
        "query": asked["q"],
        "since": _midnight(asked["since"]),
        "until": _midnight(asked["until"], days=1),
    }


def _midnight(text: str, days: int = 0) -> str:
    """Return the beginning of a day of this machine's zone as the host keeps times; empty for no day."""
    if not text:
        return ""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise HomeportError("invalid", f"{text} is no day.", "Write it like 2026-11-21.") from error
    return iso(datetime.combine(day, datetime.min.time()).astimezone())


def _tab(text: str) -> str:
    return text if text in TABS else TABS[0]


def _linker(request: Request, page: str, asked: Mapping[str, str], run: str) -> Any:
    """Return a function that makes the address of this page with some of its parameters changed."""

    def link(to: str | None = None, **changed: str) -> str:
        place = run if to is None else to
        query = {**asked, "tab": request.query_params.get("tab", ""), **changed}
        text = urlencode({name: value for name, value in query.items() if value})
        return f"/{page}{f'/{place}' if place else ''}{f'?{text}' if text else ''}"

    return link


def _calls(events: list[Json]) -> list[Json]:
    """Return the tool calls of a run, each as it was told last."""
    last: dict[str, Json] = {}
    for event in events:
        if event["kind"] == "call":
            last[event["data"]["id"]] = {**event["data"], "at": event["at"]}
    return list(last.values())


def _line(event: Json) -> Json:
    """Return an event as a line of the log: when, how bad, what."""
    data, kind = event["data"], event["kind"]
    level, text = "info", kind
    if kind == "state":
        text = " by ".join(part for part in (data["state"], data.get("by")) if part)
    elif kind == "call":
        error = data.get("error")
        level = "info" if not error else "warn" if data["state"] == "waiting" else "error"
        text = f"{data['tool']} {data['state']}" + (f": {error['message']}" if error else "")
    elif kind == "approval":
        level, text = "warn", f"{data['tool']} waits for approval: {data['reason']}"
    elif kind == "step":
        error = data.get("error")
        level, text = (
            "error" if error else "info",
            f"{data['path']} {data['state']}" + (f": {error['message']}" if error else ""),
        )
    elif kind == "restart":
        level, text = "warn", data["reason"]
    elif kind == "note":
        text = data["text"]
    elif kind == "done":
        error = data.get("error")
        level, text = ("error", f"{error['message']} {error['hint']}") if error else ("info", "the answer is complete")
    return {"at": event["at"], "level": level, "text": text}


def _last_usage(events: list[Json]) -> Json:
    found: list[Json] = [event["data"] for event in events if event["kind"] == "usage"]
    return found[-1] if found else {}


def _seconds(run: Json) -> float | None:
    """Return how long a run took, or takes until now; None when it has not begun."""
    if not run["started"]:
        return None
    ended = datetime.fromisoformat(run["finished"]) if run["finished"] else datetime.now().astimezone()
    return (ended - datetime.fromisoformat(run["started"])).total_seconds()
