"""Workflows: the list, one of them with its runs, steps and versions, and a run with what went through each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.pages.workflow_graph import drawing
from homeport_dashboard.pages.workflow_nodes import KINDS, outline
from homeport_dashboard.rendering import Outcome, Pages, attempt, attempt_all, moment

TABS = ("overview", "steps", "graph", "parameters", "logs", "output", "versions", "json")
RUN_TABS = ("steps", "graph", "logs", "output")
FEW_RUNS, MOST_JOBS = 5, 200
ORIGINS = {"user": "you", "agent": "an agent", "schedule": "a schedule", "event": "an event", "client": "a program"}
ENDED = ("completed", "failed", "cancelled")


def routes(connection: Connection, pages: Pages) -> list[Route]:
    """Return the routes of this module."""

    async def listing(request: Request) -> Response:
        values = await _listed(connection, request.query_params.get("q", "").strip())
        if request.query_params.get("part"):
            return pages.fragment("parts/workflows-list.html", **values)
        values |= await attempt_all(templates=connection.call("homeport__workflow_templates"))
        crumbs = [("Workflows", "/workflows")]
        return await pages.page(request, "workflows.html", current="workflows", crumbs=crumbs, **values)

    async def one(request: Request) -> Response:
        asked = dict(request.query_params)
        values = await _shown(connection, request.path_params["workflow"], asked)
        if "part" in asked:
            return pages.fragment("parts/workflow-detail.html", **values)
        crumbs = [("Workflows", "/workflows"), (values["workflow"]["name"], f"/workflows/{values['workflow']['id']}")]
        return await pages.page(request, "workflow.html", current="workflows", crumbs=crumbs, **values)

    async def run(request: Request) -> Response:
        key, asked = request.path_params["run"], dict(request.query_params)
        tab = asked.get("tab", "")
        values = await _run(connection, key, asked)
        values["tab"] = tab if tab in RUN_TABS else RUN_TABS[0]
        values["link"] = f"/workflow-runs/{key}?tab={values['tab']}"
        if "part" in asked:
            return pages.fragment("parts/workflow-run.html", tabs=RUN_TABS, **values)
        workflow = (values["shown"]["graph"]["name"], f"/workflows/{values['shown']['workflow']}")
        crumbs = [("Workflows", "/workflows"), workflow, (f"Run {key[:8]}", f"/workflow-runs/{key}")]
        return await pages.page(
            request, "workflow-run.html", current="workflows", crumbs=crumbs, tabs=RUN_TABS, **values
        )

    return [
        Route("/workflows", listing),
        Route("/workflows/{workflow}", one),
        Route("/workflow-runs/{run}", run),
    ]


async def _listed(connection: Connection, query: str) -> Json:
    found = await attempt_all(
        rows=connection.call("homeport__list_workflows", {"query": query}),
        jobs=connection.call("scheduler__list_jobs", {"kind": "workflow", "limit": MOST_JOBS}),
    )
    rows = _rows(found["rows"].value["rows"], found["jobs"]) if found["rows"].value else []
    for row in rows:
        row["last_seconds"] = _seconds(row["last_run"]) if row["last_run"] else None
    return {"query": query, "found": found["rows"], "rows": rows, "counts": _counts(rows)}


async def _shown(connection: Connection, key: str, asked: Json) -> Json:
    """Return what the page of one workflow shows; its tabs about a run show the one asked for, or the newest."""
    tab = asked.get("tab") if asked.get("tab") in TABS else TABS[0]
    found = await attempt_all(
        workflow=connection.call("homeport__workflow_get", {"workflow": key}),
        jobs=connection.call("scheduler__list_jobs", {"kind": "workflow", "limit": MOST_JOBS}),
    )
    if found["workflow"].error:
        raise found["workflow"].error
    shown: Json = found["workflow"].value
    runs: list[Json] = shown["runs"]
    run = asked.get("run") or (runs[0]["id"] if runs else "")
    values: Json = {
        "workflow": shown | _rows([shown], found["jobs"])[0],
        "tab": tab,
        "tabs": TABS,
        "kinds": KINDS,
        "origins": ORIGINS,
        "few": FEW_RUNS if asked.get("runs") == str(FEW_RUNS) else 0,
        "run_id": run,
        "link": f"/workflows/{shown['id']}?tab={tab}&run={run}",
        "nodes": outline(shown, []),
        "shown": None,
    }
    if tab in {"graph", "logs", "output"} and run:
        values |= await _run(connection, run, asked)
    elif tab == "graph":
        values |= _drawn(shown, [], asked)
    if tab == "parameters":
        values["bindings"] = shown["graph"].get("trigger", {}).get("parameters", {})
    if tab == "versions":
        values["versions"] = await attempt(_versions(connection, shown, asked.get("with", "")))
    return values


async def _run(connection: Connection, key: str, asked: Json) -> Json:
    shown = await connection.call("homeport__workflow_steps", {"run_id": key})
    run: Json = shown["run"]
    done = sum(step["state"] not in {"running", "waiting"} for step in shown["steps"])
    return {
        "shown": shown,
        "run": run,
        "kinds": KINDS,
        "origins": ORIGINS,
        "ended": run["state"] in ENDED,
        "seconds": _seconds(run),
        "done": (done, max(len(shown["steps"]), 1)),
        "lines": _by_step(shown["log"]),
        "waits": [_waiting(step, shown["log"]) for step in shown["steps"] if step["state"] == "waiting"],
        **_drawn(shown, shown["steps"], asked),
    }


def _drawn(shown: Json, steps: Sequence[Json], asked: Json) -> Json:
    """Return the nodes as a list and as a drawing, and the step and node that are looked at."""
    nodes, path = outline(shown, steps), asked.get("step", "")
    step = next((step for step in steps if step["path"] == path), None)
    node = step["node"] if step else asked.get("node", "")
    step = step or next((step for step in reversed(steps) if step["node"] == node), None)
    graph: Json = shown["graph"]
    return {
        "nodes": nodes,
        "drawing": drawing(graph, nodes, node),
        "step": step,
        "node": {"id": node, **graph["nodes"][node]} if node in graph["nodes"] else None,
        "rounds": [one["path"] for one in steps if one["node"] == node and one["kind"] != "undo"],
    }


def _waiting(step: Json, log: Sequence[Json]) -> Json:
    """Return what a step waits for, in words, and the approval that a person is asked for."""
    approval: str = step["notes"].get("approval", "")
    asked = [line["text"] for line in log if line["level"] == "warning" and line["path"] in {"", step["path"]}]
    until: str = step["input"].get("until", "") if step["kind"] == "timer" and step["input"] else ""
    text = asked[-1] if approval and asked else f"Waits until {moment(until)}." if until else "Waits."
    return {"path": step["path"], "approval": approval, "text": text}


def _by_step(log: Sequence[Json]) -> list[tuple[str, str, list[Json]]]:
    """Return the lines of a log by step, each with its most severe level, in the order in which the steps began."""
    found: dict[str, list[Json]] = {}
    for line in log:
        found.setdefault(line["path"], []).append(line)
    worst = ("error", "warning", "info")
    return [(path, min((line["level"] for line in lines), key=worst.index), lines) for path, lines in found.items()]


def _rows(workflows: Sequence[Json], jobs: Outcome) -> list[Json]:
    """Return the rows of the table: each workflow with how it is started and when next."""
    by_name: dict[str, list[Json]] = {}
    found: list[Json] = jobs.value["jobs"] if jobs.value else []
    for job in found:
        by_name.setdefault(job["what"].removeprefix("workflow "), []).append(job)
    return [row | _started_by(row, [*by_name.get(row["name"], []), *by_name.get(row["id"], [])]) for row in workflows]


def _started_by(row: Json, jobs: Sequence[Json]) -> Json:
    """Return how a workflow is started: by the jobs that run it; a draft that has none yet, as it says."""
    trigger: Json = row.get("trigger") or row.get("graph", {}).get("trigger", {})
    kinds = {job["trigger"] for job in [job for job in jobs if job["enabled"]] or jobs}
    if not jobs and row["status"] == "draft" and trigger.keys() & {"cron", "every", "at", "event"}:
        kinds = {"event" if "event" in trigger else "cron"}
    kind = "Manual" if not kinds else "Event-triggered" if kinds == {"event"} else "Scheduled"
    following = min((job["next"] for job in jobs if job["enabled"] and job["next"]), default="")
    return {"type": kind, "next": following, "jobs": list(jobs)}


def _counts(rows: Sequence[Json]) -> str:
    states = Counter(row["status"] for row in rows)
    scheduled = sum(row["type"] == "Scheduled" for row in rows)
    return f"{states['active']} Active / {states['draft']} Draft / {scheduled} Scheduled"


async def _versions(connection: Connection, shown: Json, other: str) -> Json:
    rows = (await connection.call("homeport__workflow_versions", {"workflow": shown["id"]}))["rows"]
    changes: list[Json] = []
    if other.isdigit():
        asked = {"workflow": shown["id"], "before": int(other)}
        changes = (await connection.call("homeport__workflow_versions", asked))["rows"]
    return {"rows": rows, "with": other, "changes": changes}


def _seconds(run: Json) -> float | None:
    if not run["started"]:
        return None
    ended = datetime.fromisoformat(run["finished"]) if run["finished"] else datetime.now().astimezone()
    return (ended - datetime.fromisoformat(run["started"])).total_seconds()
