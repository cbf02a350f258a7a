"""One task in detail: what it was given, how far it is, what it used and made, what went wrong, who belongs to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, cast
from urllib.parse import quote

import anyio

from homeport_host.agents.metering import MIB
from homeport_host.agents.progress import Doing, estimate
from homeport_host.agents.runs import Run, RunEvent, RunStore, Wanted, seconds_between
from homeport_host.agents.steering import LONGEST_LOG
from homeport_host.documents import CallTool
from homeport_host.engine.protocol import Engine
from homeport_host.providers.protocol import ModelInfo, ProviderError
from homeport_host.tasks.problems import category_of
from homeport_host.workflows.journal import Journal, Step
from homeport_shared.errors import HomeportError

Json = dict[str, Any]
STEP = "~"  # between a workflow's run and the path of one of its steps, as the id of that step's task
MOST_RELATED = 500
DEEPEST = 20
LOCAL = "ollama/"
LOOK_SECONDS = 1.0
# What is worth showing of a run's parameters; the rest is in its row, or means nothing to people.
INPUTS = (
    "prompt", "context", "instructions", "model", "tools", "yes", "limits", "num_ctx", "interactive", "review",
    "actor", "tool", "arguments", "workflow", "version", "parameters", "trigger", "policy", "dry", "start",
)  # fmt: skip
SUMMED = ("prompt_tokens", "completion_tokens", "usd", "seconds", "model_seconds", "turns", "tool_calls", "cpu_seconds")


class Details:
    """Gathers what there is to see of a run.

    Args:
        store: Where runs are kept.
        engine: Has what they were started with.
        journal: Has the steps of workflows.
        doing: Returns what a run does now; None when it is not known here.
        call: Calls a tool for a person; asked for the files that a run changed.
        changes: Whether there is the tool that tells them.
        loaded: Returns the local models in memory.
    """

    def __init__(
        self,
        store: RunStore,
        engine: Engine,
        journal: Journal,
        doing: Callable[[str], Doing | None],
        call: CallTool,
        changes: Callable[[], bool],
        loaded: Callable[[], Awaitable[Sequence[ModelInfo]]],
    ) -> None:
        self._store = store
        self._engine = engine
        self._journal = journal
        self._doing = doing
        self._call = call
        self._changes = changes
        self._loaded = loaded

    async def inputs(self, run: Run) -> Json:
        """Return what a run was given: its prompt or arguments, and the context that it used."""
        try:
            given = await self._engine.parameters(run.id)
        except HomeportError:  # it was forgotten by the engine, or never reached it
            return {"prompt": run.prompt}
        shown = {name: given[name] for name in INPUTS if given.get(name) not in (None, "", [], {})}
        if history := cast("list[Any]", given.get("history") or []):
            shown["history"] = history
        return shown

    async def progress(self, run: Run) -> Json:
        """Return how far a run is: percent, ETA, the step under way, all steps, and when what was reached."""
        brief = await self.brief(run)
        events = await self._store.events(run.id, limit=LONGEST_LOG)
        steps = await self._journal.steps(run.id) if run.kind == "workflow" else []
        shown = [_of_step(run.id, step) for step in steps] if steps else _of_events(events)
        doing = self._doing(run.id)
        updated = max((at for at in (events[-1].at if events else "", doing.at if doing else "") if at), default="")
        return {**brief, "substeps": shown, "updated": updated or run.created, "timeline": _timeline(events)}

    async def brief(self, run: Run) -> Json:
        """Return percent, ETA and the step under way, for a list."""
        if run.finished or not run.started:
            return {**estimate(run, None, None, None), "text": ""}
        doing, seconds = self._doing(run.id), seconds_between(run.started, self._store.now())
        typical = None if doing and doing.total else await self._store.typical(run)
        return {**estimate(run, doing, typical, seconds), "text": doing.text if doing else ""}

    async def resources(self, run: Run) -> Json:
        """Return what a run used, alone and with the tasks below it; see `Spent.as_usage` for the units."""
        events = [] if run.usage else await self._store.events(run.id, limit=LONGEST_LOG)
        told = [event.data for event in events if event.kind == "usage"]
        used = run.usage or (told[-1] if told else {})
        turns = float(used.get("turns", 0))
        total = {name: float(used.get(name, 0)) for name in SUMMED}
        for child in await self._below(run):
            for name in SUMMED:
                total[name] += float(child.usage.get(name, 0))
        latency = round(float(used.get("model_seconds", 0)) / turns, 3) if turns else None
        gpu = await self._gpu(run)
        return {**used, "model_latency_seconds": latency, "gpu_mib": gpu, "with_subtasks": total}

    async def artifacts(self, run: Run) -> list[Json]:
        """Return what a run and the tasks below it made: files, resources that tools point to, and the answer."""
        found: dict[str, Json] = {}
        for each in (run, *await self._below(run)):
            for made in [*await self._files(each.id), *_links(await self._store.events(each.id, limit=LONGEST_LOG))]:
                found.setdefault(made["uri"], {**made, "run": each.id})
        if run.answer:
            found["answer"] = {"uri": f"task://{run.id}/answer", "name": "answer.md", "kind": "answer",
                               "mime_type": "text/markdown", "text": run.answer, "run": run.id}  # fmt: skip
        return list(found.values())

    async def relations(self, run: Run) -> Json:
        """Return the tasks around a run: parent, children, those it waits for and those that wait for it."""
        children = await self._store.latest(Wanted(parent=run.id), limit=MOST_RELATED)
        parent = await self._found(run.parent)
        steps = await self._journal.steps(run.id) if run.kind == "workflow" else []
        after = [found for one in run.after if (found := await self._found(one))]
        return {
            "parent": _brief(parent) if parent else None,
            "children": [_brief(child) for child in reversed(children)],
            "steps": [_of_step(run.id, step) for step in steps],
            "after": [_brief(one) for one in after],
            "followers": [_brief(one) for one in await self._store.waiting_for(run.id)],
        }

    async def tree(self, run: Run) -> Json:
        """Return the whole hierarchy that a run belongs to, from its topmost task down, with what each waits for."""
        top, seen = run, {run.id}
        while top.parent not in seen and len(seen) < DEEPEST and (above := await self._found(top.parent)):
            top = above
            seen.add(top.id)
        return await self._branch(top, {top.id})

    async def problem(self, run: Run) -> Json | None:
        """Return the category of a run's error, what to try, and its stack trace; None without an error."""
        if run.error is None:
            return None
        category, suggestions = category_of(run.error.get("code", ""))
        traces = [e.data["text"] for e in await self._store.events(run.id, limit=LONGEST_LOG) if e.kind == "trace"]
        first = [run.error["hint"]] if run.error.get("hint") else []
        return {"category": category, "suggestions": [*first, *suggestions], "trace": traces[-1] if traces else ""}

    async def step(self, task: str) -> Json:
        """Return a step of a workflow's run as the task that it is inside it.

        Raises:
            HomeportError: `not_found`.
        """
        run, _, path = task.partition(STEP)
        row = await self._store.get(run)
        step = next((step for step in await self._journal.steps(run) if step.path == path), None)
        if step is None:
            raise HomeportError("not_found", f"The run {run} has no step {path[:64]!r}.", "Open the run.")
        return {
            **_of_step(run, step), "kind": "step", "type": "workflow", "agent": "", "model": "", "prompt": "",
            "answer": "", "output": step.output, "inputs": step.input, "error": step.error, "origin": row.origin,
            "priority": row.priority, "parent": run, "parent_title": row.title, "created": step.started, "tags": [],
            "own_tags": [step.kind], "attempts": step.attempts, "waits_for": "", "session_id": "",
            "below": step.notes.get("run", ""),
        }  # fmt: skip

    async def _branch(self, run: Run, seen: set[str]) -> Json:
        children = await self._store.latest(Wanted(parent=run.id), limit=MOST_RELATED)
        shown: list[Json] = []
        for child in reversed(children):
            if child.id not in seen and len(seen) < MOST_RELATED:
                seen.add(child.id)
                shown.append(await self._branch(child, seen))
        return {**_brief(run), "after": run.after, "children": shown}

    async def _below(self, run: Run) -> list[Run]:
        """Return the tasks that a run started; a repetition is no part of what it repeats."""
        children = await self._store.latest(Wanted(parent=run.id), limit=MOST_RELATED)
        ended = run.finished or "9999"
        return [child for child in children if child.created <= ended]

    async def _gpu(self, run: Run) -> float | None:
        """Return how many MiB of graphics memory a run's model holds now; None when it holds none, or is not local."""
        if not run.model.startswith(LOCAL):
            return None
        with anyio.move_on_after(LOOK_SECONDS):
            try:
                held = {model.name: model.gpu_bytes for model in await self._loaded()}
            except ProviderError:
                return None
            return round(held[run.model] / MIB, 1) if held.get(run.model) else None
        return None

    async def _files(self, run: str) -> list[Json]:
        if not self._changes():
            return []
        try:
            found = await self._call("files__changes", {"change_set": run})
        except HomeportError:
            return []  # the run changed no file
        rows = cast("list[dict[str, str]]", found.get("files") or [])
        return [
            {"uri": f"files://{quote(row['path'])}", "name": row["path"].rpartition("/")[2], "path": row["path"],
             "kind": "file", "change": row["kind"], "mime_type": ""}
            for row in rows if row["kind"] != "delete"
        ]  # fmt: skip

    async def _found(self, run: str) -> Run | None:
        """Return a run; None when it was deleted, or there never was one."""
        try:
            return await self._store.get(run) if run else None
        except HomeportError as error:
            if error.code != "not_found":
                raise
            return None


def _brief(run: Run) -> Json:
    return {"id": run.id, "title": run.title, "state": run.state, "type": run.type}


def _of_step(run: str, step: Step) -> Json:
    shown = {name: value for name, value in asdict(step).items() if name in {"path", "state", "started", "finished",
                                                                             "milliseconds"}}  # fmt: skip
    return {"id": f"{run}{STEP}{step.path}", "title": step.node, **shown}


def _of_events(events: Sequence[RunEvent]) -> list[Json]:
    """Return the answers of the model and the calls of tools as steps, each as it was told last."""
    steps: dict[str, Json] = {}
    for event in events:
        if event.kind == "usage":
            number = event.data["turns"]
            steps[f"turn {number}"] = {"title": f"answer {number} of the model", "state": "completed", "at": event.at}
        elif event.kind == "call":
            state = {"ok": "completed", "error": "failed", "denied": "cancelled"}.get(
                event.data["state"], event.data["state"]
            )
            shown = {"title": event.data["tool"], "state": state, "at": event.at}
            steps[f"call {event.data['id']}"] = {**shown, "milliseconds": event.data["milliseconds"]}
    return list(steps.values())


def _timeline(events: Sequence[RunEvent]) -> list[Json]:
    """Return when a run reached what: its states, and how many steps were done."""
    rows: list[Json] = []
    done = 0
    for event in events:
        if event.kind == "state":
            rows.append({"at": event.at, "steps": done, "text": event.data["state"]})
        elif event.kind == "usage" or (event.kind == "call" and event.data["state"] in {"ok", "error"}):
            done += 1
            text = event.data["tool"] if event.kind == "call" else f"answer {event.data['turns']} of the model"
            rows.append({"at": event.at, "steps": done, "text": text})
        elif event.kind == "step" and event.data["state"] not in {"running", "waiting"}:
            done += 1
            rows.append({"at": event.at, "steps": done, "text": f"{event.data['path']} {event.data['state']}"})
    return rows


def _links(events: Sequence[RunEvent]) -> list[Json]:
    found = [link for event in events if event.kind == "call" for link in event.data.get("links") or ()]
    return [{**link, "kind": "resource"} for link in found]
