"""How tasks went: success, length, errors, what they used day by day, and where time is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from homeport_host.agents.runs import PRIORITIES, Run, seconds_between
from homeport_host.engine.protocol import FINAL

Group = Literal["state", "type", "agent", "priority", "origin", "tag", "parent"]
SLOW_QUEUE = 5.0  # seconds of waiting before the beginning, on average, from which on it is worth telling
MOSTLY = 0.7  # share of the working time from which on one thing is named as its cause
OFTEN = 0.3  # share of failures from which on an agent is named
FEW = 3  # of fewer runs nothing general is said
KEYS: Mapping[Group, Callable[[Run], Sequence[str]]] = {
    "state": lambda run: [run.state],
    "type": lambda run: [run.type],
    "agent": lambda run: [run.agent or "none"],
    "priority": lambda run: [PRIORITIES[run.priority]],
    "origin": lambda run: [run.origin],
    "tag": lambda run: run.tags or ["none"],
    "parent": lambda run: [run.parent or "none"],
}


def statistics(runs: Sequence[Run], group_by: Group = "type") -> dict[str, Any]:
    """Return figures over `runs`: rates 0 to 1, times in seconds, costs in US dollars; None where there is no basis."""
    return {
        **_figures(runs),
        "groups": groups(runs, group_by),
        "trend": _trend(runs),
        "errors": _errors(runs),
        "bottlenecks": bottlenecks(runs),
    }


def groups(runs: Iterable[Run], group_by: Group) -> list[dict[str, Any]]:
    """Return each group with its progress: done of all, and in percent."""
    found = defaultdict[str, list[Run]](list)
    for run in runs:
        for key in KEYS[group_by](run):
            found[key].append(run)
    rows: list[dict[str, Any]] = []
    for name, members in sorted(found.items()):
        done = sum(run.state == "completed" for run in members)
        share = round(100 * done / len(members), 1)
        rows.append({"group": name, "done": done, "all": len(members), "percent": share, **_figures(members)})
    return rows


def bottlenecks(runs: Sequence[Run]) -> list[str]:
    """Say in sentences where time is lost, the most expensive first; empty when nothing stands out."""
    found: list[tuple[float, str]] = []
    begun = [run for run in runs if run.started]
    waits = [seconds_between(run.created, run.started) for run in begun]
    if len(waits) >= FEW and (mean := fmean(waits)) >= SLOW_QUEUE:
        found.append((sum(waits), f"Tasks wait {mean:.0f} s on average before they begin: more may run at once."))
    worked = sum(float(run.usage.get("seconds", 0)) for run in runs)
    model = sum(float(run.usage.get("model_seconds", 0)) for run in runs)
    if len(begun) >= FEW and worked and model / worked >= MOSTLY:
        found.append((model, f"{model / worked:.0%} of the working time goes into waiting for models."))
    for row in groups([run for run in runs if run.agent], "agent"):
        if row["ended"] >= FEW and row["error_rate"] >= OFTEN:
            text = f"{row['error_rate']:.0%} of the tasks of {row['group']} fail."
            found.append((float(row["seconds"]), text))
    return [text for _, text in sorted(found, reverse=True)]


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    ended = [run for run in runs if run.state in FINAL]
    completed = [run for run in ended if run.state == "completed"]
    lengths = [seconds_between(run.started, run.finished) for run in completed if run.started]
    failed = sum(run.state == "failed" for run in ended)
    return {
        "tasks": len(runs),
        "ended": len(ended),
        "success_rate": round(len(completed) / len(ended), 3) if ended else None,
        "error_rate": round(failed / len(ended), 3) if ended else None,
        "mean_seconds": round(fmean(lengths), 3) if lengths else None,
        **_used(runs),
    }


def _used(runs: Iterable[Run]) -> dict[str, float]:
    used = dict.fromkeys(("seconds", "cpu_seconds", "prompt_tokens", "completion_tokens", "usd", "tool_calls"), 0.0)
    for run in runs:
        for name in used:
            used[name] += float(run.usage.get(name, 0))
    return {name: round(value, 4) for name, value in used.items()}


def _trend(runs: Iterable[Run]) -> list[dict[str, Any]]:
    days = defaultdict[str, list[Run]](list)
    for run in runs:
        days[run.created[:10]].append(run)
    return [{"day": day, "tasks": len(members), **_used(members)} for day, members in sorted(days.items())]


def _errors(runs: Iterable[Run]) -> dict[str, int]:
    counted = defaultdict[str, int](int)
    for run in runs:
        if run.error:
            counted[run.error.get("code", "internal")] += 1
    return dict(sorted(counted.items(), key=lambda item: -item[1]))
