"""Workflows: the list, one of them with its steps, runs and versions, and a run with what went through each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeport_dashboard.connection import Connection, Json
from homeport_dashboard.rendering import Outcome, Pages, attempt, attempt_all

TABS = ("steps", "parameters", "runs", "versions", "json")
KINDS = {
    "tool": "Tool", "agent": "Agent", "rag": "Knowledge", "condition": "Condition", "loop": "Loop", "map": "For each",
    "parallel": "At the same time", "timer": "Wait", "approval": "Approval", "workflow": "Workflow", "end": "End",
}  # fmt: skip
WORST = ("failed", "running", "waiting", "cancelled", "shown", "completed", "pinned", "undone")
MOST_JOBS = 200


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
        tab, other = request.query_params.get("tab", ""), request.query_params.get("with", "")
        values = await _shown(connection, request.path_params["workflow"], tab if tab in TABS else TABS[0], other)
        if request.query_params.get("part"):
            return pages.fragment("parts/workflow-detail.html", **values)
        crumbs = [("Workflows", "/workflows"), (values["workflow"]["name"], f"/workflows/{values['workflow']['id']}")]
        return await pages.page(request, "workflow.html", current="workflows", crumbs=crumbs, **values)

    async def run(request: Request) -> Response:
        key = request.path_params["run"]
        values = await _run(connection, key, request.query_params.get("step", ""))
        if request.query_params.get("part"):
            return pages.fragment("parts/workflow-run.html", **values)
        workflow = (values["shown"]["graph"]["name"], f"/workflows/{values['shown']['workflow']}")
        crumbs = [("Workflows", "/workflows"), workflow, (f"Run {key[:8]}", f"/workflow-runs/{key}")]
        return await pages.page(request, "workflow-run.html", current="workflows", crumbs=crumbs, **values)

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
    return {"query": query, "found": found["rows"], "rows": rows, "counts": _counts(rows)}


async def _shown(connection: Connection, key: str, tab: str, other: str) -> Json:
    shown = await connection.call("homeport__workflow_get", {"workflow": key})
    values: Json = {"workflow": shown, "tab": tab, "tabs": TABS, "kinds": KINDS, "nodes": _nodes(shown, [])}
    if tab == "versions":
        values["versions"] = await attempt(_versions(connection, shown, other))
    return values


async def _run(connection: Connection, key: str, path: str) -> Json:
    shown = await connection.call("homeport__workflow_steps", {"run_id": key})
    return {
        "shown": shown,
        "run": shown["run"],
        "kinds": KINDS,
        "nodes": _nodes(shown, shown["steps"]),
        "step": next((step for step in shown["steps"] if step["path"] == path), None),
        "seconds": _seconds(shown["run"]),
    }


def _rows(workflows: Sequence[Json], jobs: Outcome) -> list[Json]:
    """Return the rows of the table: each workflow with how it is started and when next."""
    by_name: dict[str, list[Json]] = {}
    found: list[Json] = jobs.value["jobs"] if jobs.value else []
    for job in found:
        by_name.setdefault(job["what"].removeprefix("workflow "), []).append(job)
    return [row | _started_by([*by_name.get(row["name"], []), *by_name.get(row["id"], [])]) for row in workflows]


def _started_by(jobs: Sequence[Json]) -> Json:
    """Return how a workflow is started, by the jobs that run it."""
    active = [job for job in jobs if job["enabled"]]
    if not active:
        return {"type": "Manual", "next": ""}
    by_event = all(job["trigger"] == "event" for job in active)
    return {"type": "Event-triggered" if by_event else "Scheduled", "next": min(job["next"] or "~" for job in active)}


def _counts(rows: Sequence[Json]) -> str:
    states = Counter(row["status"] for row in rows)
    scheduled = sum(row["type"] == "Scheduled" for row in rows)
    return f"{states['active']} Active / {states['draft']} Draft / {scheduled} Scheduled"


def _nodes(shown: Json, steps: Sequence[Json]) -> list[Json]:
    """Return the nodes in reading order, each with its depth, problems, ways out, and what became of it in a run."""
    problems: dict[str, list[Json]] = {}
    for problem in shown.get("problems", []):
        problems.setdefault(problem["node"], []).append(problem)
    done: dict[str, list[Json]] = {}
    for step in steps:
        if step["kind"] != "undo":
            done.setdefault(step["node"], []).append(step)
    graph: Json = shown["graph"]
    titles = {id: node.get("title") or id for id, node in graph["nodes"].items()}
    return [
        {
            "id": id,
            "depth": depth,
            "title": titles[id],
            "kind": graph["nodes"][id]["kind"],
            "about": _about(graph["nodes"][id]),
            "ways": [(label, titles.get(target, target)) for label, target in _ways(graph["nodes"][id])],
            "problems": problems.get(id, []),
            "steps": done.get(id, []),
            "state": _state(done.get(id, [])),
        }
        for id, depth in shown["outline"]
    ]


def _about(node: Mapping[str, Any]) -> str:
    """Return what a node does in one line."""
    match node["kind"]:
        case "tool":
            return str(node["tool"])
        case "agent":
            return str(node["prompt"])[:160]
        case "rag":
            return str(node["query"])
        case "condition":
            return " / ".join(choice["when"] for choice in node["choices"])
        case "loop" | "map":
            return str(node.get("over") or f"while {node['while']}")
        case "timer":
            return str(node.get("until") or node.get("task") or f"{node.get('seconds')} s")
        case "approval":
            return str(node["question"])
        case "workflow":
            return str(node["workflow"])
        case _:
            return str(node.get("result", ""))[:160]


def _ways(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    ways = [(f"if {choice['when']}", choice["next"]) for choice in node.get("choices", [])]
    ways += [("otherwise" if ways else "then", node["next"])] if node.get("next") else []
    ways += [("if refused", node["refused"])] if node.get("refused") else []
    return [*ways, ("on an error", node["catch"])] if node.get("catch") else ways


def _state(steps: Sequence[Json]) -> str:
    """Return the state that tells most about the rounds of a node."""
    states = {step["state"] for step in steps}
    return next((state for state in WORST if state in states), "")


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
