"""Tasks, and Executions: everything that is or was worked on as a table, one of it in detail beside it."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Outcome, Pages, attempt, attempt_all, gather
from homeport_dashboard.tasklog import calls_of, line_of
from homeport_shared.clock import iso
from homeport_shared.errors import HomeportError

ENDED = ("completed", "failed", "cancelled")
STATES = ("running", "waiting", "queued", "paused", *ENDED)
TYPES = {
    "chat": "Chat",
    "agent": "Agent",
    "workflow": "Workflow",
    "knowledge": "Knowledge",
    "automation": "Automation",
    "file": "File",
    "mail": "Mail",
    "custom": "Custom",
}
MANUAL = "agent,knowledge,file,mail,custom"  # what a person starts by hand is of one of these types
CHIPS: dict[str, tuple[str, dict[str, str]]] = {
    "": ("All", {}),
    "chat": ("Chat", {"type": "chat"}),
    "workflow": ("Workflow", {"type": "workflow"}),
    "knowledge": ("Knowledge", {"type": "knowledge"}),
    "automation": ("Automation", {"type": "automation"}),
    "manual": ("Manual", {"origin": "user", "type": MANUAL}),
    "scheduled": ("Scheduled", {"state": "scheduled"}),
}
PRIORITIES = ("Low", "Normal", "High", "Critical")
TABS = ("overview", "progress", "log", "resources", "artifacts")
ORIGINS = {"user": "you", "agent": "an agent", "schedule": "a schedule", "event": "an event", "client": "a program"}
GROUPS = ("state", "type", "agent", "priority", "origin", "tag", "parent")
FILTERS = ("state", "chip", "type", "agent", "tag", "q", "since", "until")
FILES = "files://"
WINDOW, MOST_EVENTS = 100, 2_000
MOST_PREVIEWED = 20_000  # characters of an artifact


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def tasks(request: Request) -> Response:
        return await _show(connection, pages, request, "tasks")

    async def executions(request: Request) -> Response:
        return await _show(connection, pages, request, "executions")

    async def figures(request: Request) -> Response:
        group = request.query_params.get("group", "")
        wanted = {"group_by": group if group in GROUPS else "type"}
        shown = await attempt(connection.call("homeport__task_statistics", wanted))
        return pages.fragment("parts/tasks-statistics.html", shown=shown, group=wanted["group_by"], groups=GROUPS)

    async def artifact(request: Request) -> Response:
        """Give an artifact out, to look at (`?as=text`) or to keep."""
        uri, task = request.query_params.get("uri", ""), request.query_params.get("task", "")
        if request.query_params.get("as") == "text":
            return PlainTextResponse((await _preview(connection, uri, task))[:MOST_PREVIEWED])
        content, media_type = await _artifact(connection, uri, task)
        name = quote(request.query_params.get("name", "") or PurePosixPath(uri).name or "artifact")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Response(content, headers=headers, media_type=media_type)

    return [
        Route("/tasks", tasks),
        Route("/tasks/statistics", figures),
        Route("/tasks/artifact", artifact),
        Route("/tasks/{task:path}", tasks),
        Route("/executions", executions),
        Route("/executions/{task:path}", executions),
    ]


async def _show(connection: Connection, pages: Pages, request: Request, page: str) -> Response:
    asked = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    part, task = request.query_params.get("part", ""), request.path_params.get("task", "")
    values: Json = {
        "page": page,
        "asked": asked,
        "task_id": task,
        "tab": _tab(request.query_params.get("tab", "")),
        "link": _linker(request, page, asked, task),
        "states": ENDED if page == "executions" else STATES,
        "types": TYPES,
        "chips": {key: label for key, (label, _) in CHIPS.items() if page == "tasks" or key != "scheduled"},
        "priorities": PRIORITIES,
        "origins": ORIGINS,
    }
    if part != "detail":
        values |= await _rows(connection, request, page, asked)
    if part != "list":
        values["detail"] = await _detail(connection, task)
    if part in {"list", "detail"}:
        return pages.fragment(f"parts/tasks-{part}.html", **values)
    found = await attempt_all(
        filters=connection.call("homeport__task_filters"), agents=connection.call("homeport__list_agents")
    )
    title = "Executions" if page == "executions" else "Tasks"
    crumbs = [(title, f"/{page}")]
    if task and values["detail"].value:
        crumbs.append((values["detail"].value["task"]["title"] or task[:8], f"/{page}/{quote(task)}"))
    return await pages.page(request, "tasks.html", current=page, crumbs=crumbs, **values, **found)


async def _rows(connection: Connection, request: Request, page: str, asked: Mapping[str, str]) -> Json:
    """Return the window of the list that is looked at."""
    text = request.query_params.get("offset", "")
    offset = int(text) if text.isdecimal() else 0
    wanted = {**_wanted(page, asked), "limit": WINDOW, "offset": offset}
    found = await attempt(connection.call("homeport__list_tasks", wanted))
    rows = _nested(cast("list[Json]", found.value["rows"])) if found.value else []
    return {"found": found, "rows": rows, "offset": offset, "window": WINDOW}


def _nested(rows: list[Json]) -> list[Json]:
    """Return the rows with each task below the one that started it, where both are there, and how deep it is."""
    below: dict[str, list[Json]] = {}
    there = {row["id"] for row in rows}
    for row in rows:
        if row["parent"] in there and row["parent"] != row["id"]:
            below.setdefault(row["parent"], []).append(row)
    ordered: list[Json] = []

    def put(row: Json, depth: int) -> None:
        ordered.append({**row, "depth": depth})
        for child in below.pop(row["id"], []):
            put(child, depth + 1)

    for row in rows:
        if row["parent"] not in there or row["parent"] == row["id"]:
            put(row, 0)
    return ordered


async def _detail(connection: Connection, task: str) -> Outcome:
    """Return a task with its log; an empty id gives nothing."""
    if not task:
        return Outcome()
    whole = connection.call("homeport__task_get", {"task_id": task})
    if ":" in task or "~" in task:  # the job of a server, or a step of a workflow: neither has a log of its own
        found = await attempt(whole)
        return found if found.error else Outcome({**_nothing(), **found.value, "run": False})
    asked = {"run_id": task, "limit": MOST_EVENTS}
    both = await gather(whole=attempt(whole), events=attempt(connection.call("homeport__run_events", asked)))
    if failed := next((outcome for outcome in both.values() if outcome.error), None):
        return failed
    events = [event for event in both["events"].value["events"] if event["kind"] not in {"text", "thinking"}]
    log = [line_of(event) for event in events if event["kind"] != "usage"]
    seconds = _seconds(both["whole"].value["task"])
    return Outcome({**both["whole"].value, "calls": calls_of(events), "log": log, "seconds": seconds, "run": True})


def _nothing() -> Json:
    """Return the parts that only runs have, empty."""
    relations: Json = {"parent": None, "children": [], "steps": [], "after": [], "followers": []}
    return {"inputs": {}, "resources": {}, "artifacts": [], "relations": relations, "problem": None, "calls": [],
            "log": [], "seconds": None, "progress": None}  # fmt: skip


async def _artifact(connection: Connection, uri: str, task: str) -> tuple[bytes, str]:
    if uri == f"task://{task}/answer":
        run = await connection.call("homeport__run_get", {"run_id": task})
        return str(run["answer"]).encode(), "text/markdown"
    if uri.startswith(FILES):
        return await _file(connection, unquote(uri.removeprefix(FILES))), "application/octet-stream"
    content, media_type = await connection.read_bytes(uri)
    return content, media_type or mimetypes.guess_type(uri)[0] or "application/octet-stream"


async def _preview(connection: Connection, uri: str, task: str) -> str:
    if uri.startswith(FILES):
        return str((await connection.call("files__read", {"path": unquote(uri.removeprefix(FILES))}))["text"])
    return (await _artifact(connection, uri, task))[0].decode("utf-8", "replace")


async def _file(connection: Connection, path: str) -> bytes:
    """Return the content of a file, piece by piece."""
    content, cursor = b"", ""
    while True:
        piece = await connection.call("files__download", {"paths": [path], "cursor": cursor})
        content += base64.b64decode(piece["content"])
        cursor = str(piece["next"])
        if not cursor:
            return content


def _wanted(page: str, asked: Mapping[str, str]) -> Json:
    chip = CHIPS.get(asked["chip"], CHIPS[""])[1]
    states = asked["state"] if asked["state"] in STATES else ",".join(ENDED) if page == "executions" else ""
    return {
        "state": states,
        "type": asked["type"] if asked["type"] in TYPES else "",
        "agent": asked["agent"],
        "tag": asked["tag"],
        "query": asked["q"],
        "since": _midnight(asked["since"]),
        "until": _midnight(asked["until"], days=1),
        **({} if page == "executions" and "state" in chip else chip),
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


def _linker(request: Request, page: str, asked: Mapping[str, str], task: str) -> Any:
    """Return a function that makes the address of this page with some of its parameters changed."""

    def link(to: str | None = None, **changed: str) -> str:
        place = task if to is None else to
        query = {**asked, "tab": request.query_params.get("tab", ""), **changed}
        text = urlencode({name: value for name, value in query.items() if value})
        return f"/{page}{f'/{quote(place)}' if place else ''}{f'?{text}' if text else ''}"

    return link


def _seconds(task: Json) -> float | None:
    """Return how long a task took, or takes until now; None when it has not begun."""
    if not task["started"]:
        return None
    ended = datetime.fromisoformat(task["finished"]) if task["finished"] else datetime.now().astimezone()
    return (ended - datetime.fromisoformat(task["started"])).total_seconds()
