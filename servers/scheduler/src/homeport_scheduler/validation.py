"""What is wrong with a job before it is saved. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise

from homeport_scheduler.definitions import Definition
from homeport_scheduler.schedules import Schedule, schedule_of, upcoming, zone_of
from homeport_shared.errors import HomeportError
from homeport_shared.matching import blanks

_KIND = re.compile(r"[a-z0-9_*?-]+(\.[a-z0-9_*?-]+)+|\*", re.IGNORECASE)


def problems(definition: Definition, now: datetime, zone: str) -> list[str]:
    """Return what is wrong with a definition by itself, each as a sentence.

    Args:
        definition: The job.
        now: The time: a single date must still come.
        zone: Of a job that names none.
    """
    found = [*_action(definition), *_trigger(definition)]
    try:
        schedule = schedule_of(definition.trigger, zone_of(definition.time_zone or zone), definition.dst)
        if schedule is not None and schedule.after(now) is None:
            found.append(f"{definition.trigger.text} is never due again.")
    except HomeportError as error:
        found.append(str(error))
    return found


def warnings(definition: Definition, schedule: Schedule | None, now: datetime, usual_seconds: float) -> list[str]:
    """Return what will work but may surprise.

    Args:
        definition: The job.
        schedule: Its schedule; None when it has none.
        now: The time.
        usual_seconds: How long its runs take; 0 when it never ran.
    """
    times = upcoming(schedule, now, 20) if schedule else []
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    shortest = min(gaps, default=0.0)
    found: list[str] = []
    if shortest and usual_seconds > shortest:
        what = {"skip": "will be skipped", "queue": "will wait in a growing queue", "allow": "will run at once"}
        overlap = what[definition.overlaps]
        found.append(f"A run takes {usual_seconds:.0f} s, the next comes after {shortest:.0f} s: runs {overlap}.")
    elif shortest and definition.timeout > shortest and definition.overlaps == "allow":
        found.append(f"Its time limit of {definition.timeout} s is longer than the {shortest:.0f} s between two runs.")
    if definition.trigger.kind != "event" and blanks([definition.action.arguments, definition.action.prompt]):
        found.append("{{event.…}} stays empty when no event starts it.")
    if definition.jitter and shortest and definition.jitter >= shortest:
        found.append(f"Its jitter of {definition.jitter} s is longer than the {shortest:.0f} s between two runs.")
    return found


def circle(name: str, after: Iterable[str], others: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the circle of jobs that would wait for each other; empty when there is none.

    Args:
        name: The job.
        after: The jobs it comes after.
        others: Every job → the jobs that it comes after.
    """
    graph = {**{each: list(before) for each, before in others.items()}, name: list(after)}
    paths = [[name, each] for each in graph[name]]
    seen = set[str]()
    while paths:
        path = paths.pop()
        if path[-1] == name:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            paths += [[*path, each] for each in graph.get(path[-1], [])]
    return []


def _trigger(definition: Definition) -> list[str]:
    trigger = definition.trigger
    given = [name for name in ("cron", "every", "at", "event") if getattr(trigger, name)]
    found: list[str] = []
    if len(given) > 1:
        found.append(f"A job has one trigger, not {' and '.join(given)}.")
    if trigger.start and not trigger.every:
        found.append("start goes with every.")
    if trigger.where and not trigger.event:
        found.append("where goes with event.")
    if trigger.event and not _KIND.fullmatch(trigger.event):
        found.append(f"{trigger.event[:60]!r} is no kind of event, such as file.created or job.*.")
    return found


def _action(definition: Definition) -> list[str]:
    action = definition.action
    given = [name for name in ("tool", "prompt", "workflow", "event") if getattr(action, name)]
    if len(given) != 1:
        return [
            "A job calls a tool, gives an agent a prompt, runs a workflow, or emits an event: "
            f"{' and '.join(given) or 'none'} given."
        ]
    if action.kind == "tool" and "__" not in action.tool:
        return [f"{action.tool!r} is no tool; write server__tool, such as files__list."]
    if action.kind == "event" and not _KIND.fullmatch(action.event):
        return [f"{action.event[:60]!r} is no kind of event, such as report.wanted."]
    return []
