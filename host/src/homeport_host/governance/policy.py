"""The default policy: one table, from who calls and what the tool does to allow, ask, confirm or deny; and the mode."""

from __future__ import annotations

import fnmatch
from typing import Literal

from homeport_host.governance.calls import Caller, CallerKind, Decision, Effect, Tool
from homeport_host.providers.settings import Mode

Row = Literal["read", "reversible", "lasting", "destructive", "tainted"]
Remembered = Literal["always", "never"]

STRICT: frozenset[Row] = frozenset({"tainted", "lasting"})  # what was said beforehand does not count here
# The columns of the table. What "ask" means for a caller that nobody can ask is decided below.
TABLE: dict[Row, dict[CallerKind, Effect]] = {
    "read": {"person": "allow", "chat": "allow", "ask": "allow", "client": "allow", "job": "allow"},
    "reversible": {"person": "allow", "chat": "allow", "ask": "allow", "client": "allow", "job": "deny"},
    "lasting": {"person": "allow", "chat": "ask", "ask": "ask", "client": "allow", "job": "deny"},
    "destructive": {"person": "confirm", "chat": "ask", "ask": "ask", "client": "ask", "job": "deny"},
    "tainted": {"person": "confirm", "chat": "ask", "ask": "deny", "client": "ask", "job": "deny"},
}
INTERNET_OFF = "Internet access is off for agents. A person switches it on: homeport internet on."
REASONS: dict[Row, str] = {
    "read": "It only reads.",
    "reversible": "It changes something that can be taken back.",
    "lasting": "Later conversations are told what it keeps, and this one has read what others wrote.",
    "destructive": "It changes or sends something that cannot be taken back.",
    "tainted": "It sends something out after private data and untrusted content were read in the same run.",
}


def row_of(tool: Tool, *, tainted: bool, untrusted: bool) -> Row:
    """Return the row of the table for a call of `tool`.

    Args:
        tool: The tool.
        tainted: The run has read both private data and untrusted content.
        untrusted: The run has read untrusted content.
    """
    if tainted and "outward" in tool.labels:
        return "tainted"
    if "read-only" in tool.labels:
        return "read"
    if "can-be-taken-back" in tool.labels and "outward" not in tool.labels:
        return "lasting" if untrusted and "instructs-agents" in tool.labels else "reversible"
    return "destructive"


def decide(
    caller: Caller,
    tool: Tool,
    digest: str,
    *,
    tainted: bool = False,
    untrusted: bool = False,
    remembered: Remembered | None = None,
    internet: bool = False,
) -> Decision:
    """Decide on one call.

    Args:
        caller: Who makes it.
        tool: What is called.
        digest: Of the tool and the exact arguments, for a job's pre-approval.
        tainted: The run has read both private data and untrusted content.
        untrusted: The run has read untrusted content.
        remembered: What a person said once for all about this tool and this kind of caller.
        internet: Agents and other programs may use the internet.
    """
    if only_for_others(caller, tool):
        return Decision("deny", "person-only", f"{tool.name} is only for a person at the dashboard or command line.")
    if "internet" in tool.labels and not internet and caller.kind != "person":
        return Decision("deny", "internet-off", INTERNET_OFF)
    if remembered == "never":
        return Decision("deny", "never", f"A person said that {tool.name} is never to be used here.")
    row = row_of(tool, tainted=tainted, untrusted=untrusted)
    policy = f"default/{row}/{caller.kind}"
    effect = TABLE[row][caller.kind]
    if (
        effect in {"ask", "confirm"}
        and row not in STRICT
        and (remembered == "always" or _approved(caller, tool, digest))
    ):
        return Decision("allow", f"approved/{row}/{caller.kind}", "It was approved beforehand.")
    if caller.kind == "job" and effect == "deny" and _job_allows(caller, tool, digest, row):
        return Decision("allow", f"approved/{row}/job", "The job names it.")
    if effect == "ask" and not caller.interactive:
        way = "." if row in STRICT else f": allow it with --yes {tool.name}."
        return Decision("deny", policy, f"{REASONS[row]} Nobody is there to ask{way}")
    return Decision(effect, policy, REASONS[row])


def only_for_others(caller: Caller, tool: Tool) -> bool:
    """Say whether a tool is for persons and `caller` is none.

    What is made for a page costs models no context: a client that shows pages calls it for its person, and a job where
    a person saved it with just this tool.
    """
    if caller.kind == "person" or not tool.labels & {"person-only", "page-only"}:
        return False
    shows = caller.kind == "client" and caller.views
    saved = caller.kind == "job" and any(each.startswith(f"{tool.name}#") for each in caller.approved)
    return "person-only" in tool.labels or not (shows or saved)


def decide_model(mode: Mode, name: str, *, cloud: bool) -> Decision:
    """Decide on one model call.

    Args:
        mode: Where models may run.
        name: The model with its provider, such as `ollama/qwen3:8b`.
        cloud: What is sent to it leaves this machine.
    """
    policy = f"mode/{mode}"
    if mode == "HYBRID" or cloud == (mode == "CLOUD"):
        return Decision("allow", policy, "The mode allows it.")
    where = "a cloud provider" if cloud else "not a cloud provider"
    return Decision("deny", policy, f"The mode {mode} does not allow {name}: {name.partition('/')[0]} is {where}.")


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Say whether a tool's name matches one of `patterns` such as `files__*`."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _approved(caller: Caller, tool: Tool, digest: str) -> bool:
    return tool.name in caller.approved or f"{tool.name}#{digest}" in caller.approved


def _job_allows(caller: Caller, tool: Tool, digest: str, row: Row) -> bool:
    if row in {"reversible", "lasting"}:
        return matches(caller.tools, tool.name) or _approved(caller, tool, digest)
    return row == "destructive" and f"{tool.name}#{digest}" in caller.approved
