"""What a run of a workflow leaves for people: its log, line by line, and its results as text, summaries and files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from homeport_host.agents.messages import Letter
from homeport_host.agents.runs import RunEvent
from homeport_host.workflows.acting import as_text
from homeport_host.workflows.journal import DONE, Step

Level = Literal["info", "warning", "error"]
STATES = {
    "waiting": "Waits.",
    "pinned": "Took the given output instead of doing it.",
    "shown": "Shown only: this is a dry run.",
    "undone": "Taken back.",
    "cancelled": "Stopped.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a run's log.

    Attributes:
        path: Of the step, `each[2]/send`; empty = the run as a whole.
    """

    at: str
    level: Level
    path: str
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A result of a run.

    Attributes:
        path: Of the step that gave it.
        text: The text or summary; of a file empty.
        file: The file in the workspace.
        uri: Where the file can be read.
    """

    kind: Literal["text", "summary", "file"]
    path: str
    text: str = ""
    file: str = ""
    uri: str = ""


def log(events: Iterable[RunEvent], letters: Iterable[Letter] = ()) -> list[Line]:
    """Return the log of a run, oldest first: what became of its steps, and the messages between its agents."""
    before: dict[str, tuple[str, int]] = {}
    lines: list[Line] = []
    for event in events:
        line = _line(event, before)
        if event.kind == "step":
            before[event.data["path"]] = (event.data["state"], event.data["attempt"])
        if line:
            lines.append(line)
    lines += [Line(one.sent, "info", one.sender, one.sender, f"To {one.receiver}: {one.text}") for one in letters]
    return sorted(lines, key=lambda line: line.at)


def _line(event: RunEvent, before: Mapping[str, tuple[str, int]]) -> Line | None:
    """Return the line of an event; None when it says nothing new. `before` is state and attempt of each step."""
    data = event.data
    match event.kind:
        case "step":
            state, attempt = before.get(data["path"], ("", 0))
            if (state, attempt) == (data["state"], data["attempt"]):
                return None
            level, text = ("info", "Goes on.") if state == "waiting" and data["state"] == "running" else _told(data)
            return Line(event.at, level, data["path"], data["node"], text)
        case "approval":
            arguments: dict[str, Any] = data["arguments"]
            return Line(event.at, "warning", str(arguments.get("step", "")), "", f"Asks a person: {data['reason']}")
        case "state":
            return Line(event.at, "error" if data["state"] == "failed" else "info", "", "", f"Run {data['state']}.")
        case "note":
            return Line(event.at, "warning", "", "", data["text"])
        case _:
            return None


def _told(data: dict[str, Any]) -> tuple[Level, str]:
    state, attempt = data["state"], data["attempt"]
    if state == "failed":
        return "error", f"Failed: {data['error']['message']} {data['error']['hint']}".strip()
    if state == "completed":
        return "info", f"Completed after {data['milliseconds']} ms."
    if state == "running":
        return ("warning", f"Attempt {attempt}.") if attempt > 1 else ("info", "Begun.")
    return "info", STATES.get(state, f"{state}.")


def artifacts(steps: Sequence[Step]) -> list[Artifact]:
    """Return what a run gave: the result of its end as text, as a summary, as a file, and the files its tools wrote."""
    found: list[Artifact] = []
    for step in steps:
        if step.state not in DONE or step.state == "shown":
            continue
        if step.kind == "end":
            found += _of_end(step)
        elif step.kind == "tool":
            found += [Artifact("file", step.path, file=file, uri=f"files://{file}") for file in _written(step.output)]
    return found


def _of_end(step: Step) -> Iterator[Artifact]:
    if step.input is None:  # an end that only has a result
        yield Artifact("text", step.path, as_text(step.output))
        return
    yield Artifact("text", step.path, as_text(step.output["result"]))
    if step.input["summary"]:
        yield Artifact("summary", step.path, step.output["text"])
    if file := step.output["file"]:
        yield Artifact("file", step.path, file=file, uri=f"files://{file}")


def _written(output: Any) -> Iterator[str]:
    """Yield the files that a tool says it wrote: a path with the version it has now, alone or in a list of files."""
    if not isinstance(output, dict):
        return
    fields = cast("dict[str, Any]", output)
    for change in [fields, *cast("list[Any]", fields.get("files") if isinstance(fields.get("files"), list) else [])]:
        if isinstance(change, dict) and {"path", "version", "sha256"} <= cast("dict[str, Any]", change).keys():
            yield str(cast("dict[str, Any]", change)["path"])
