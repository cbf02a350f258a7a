"""A call on its way through the dispatch path: who makes it, what it is, what was decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from homeport_shared.identity import Identity

CallerKind = Literal["person", "chat", "ask", "client", "job"]
Label = Literal[
    "reads-private",
    "untrusted-content",
    "outward",
    "internet",
    "can-be-taken-back",
    "destructive",
    "read-only",
    "person-only",
    "page-only",
    "instructs-agents",
]
Effect = Literal["allow", "ask", "confirm", "deny"]
Progress = Callable[[float, float | None, str | None], Awaitable[None]]
Question = Callable[["Hold"], Awaitable[bool | None]]
THE_PERSON = "person"  # who has no account is the same person at the dashboard and at the command line


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, as the host knows it from the credential and the run, never from the call itself.

    Attributes:
        kind: `person` = the page or `homeport call`; `chat` and `ask` = an agent that answers a person there;
            `client` = a foreign MCP client such as Claude Desktop; `job` = a schedule, an event or a workflow.
        name: The credential's holder, such as `dashboard` or `claude-desktop`.
        exposure: `all`, `search` or `profile:NAME`: what this caller is shown, and so may call.
        tools: Patterns such as `files__*` that narrow what may be called; empty = no narrowing.
        approved: Tools whose questions were answered beforehand: `--yes TOOL`, or for a job `TOOL#digest`, which also
            fixes the arguments.
        views: It is a client that shows the pages of servers (MCP Apps), whose buttons call tools.
        interactive: A person waits for this call and can be asked; False for `ask` without a terminal.
        ask: Puts a held call to the person who waits, where there is one: True, False, or None = cannot ask.
    """

    kind: CallerKind
    name: str
    identity: Identity = field(default_factory=Identity)
    exposure: str = "all"
    tools: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    views: bool = False
    interactive: bool = True
    ask: Question | None = None

    @property
    def speaks_as(self) -> Identity:
        """The identity that servers are told."""
        name = THE_PERSON if self.kind == "person" else self.name
        return replace(self.identity, actor=self.identity.actor or name, caller=self.kind)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the host knows it.

    Attributes:
        name: The public name, `server__tool`.
        server: The upstream's key.
        own: The name the upstream gave it.
        definition: The upstream's entry of `tools/list`, as it came, under its own name.
        labels: From annotations and `io.homeport/labels`; a third-party tool without any counts as destructive,
            outward and untrusted.
    """

    name: str
    server: str
    own: str
    definition: Mapping[str, Any]
    labels: frozenset[Label]


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy says about a call.

    Attributes:
        effect: `confirm` = a person made the call and must say yes in place; `ask` = somebody must approve it.
        policy: The name of the rule that decided, shown in a denial.
        reason: One plain sentence.
    """

    effect: Effect
    policy: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A call that waits for a person: the approval as it is stored and shown.

    Attributes:
        id: Unguessable.
        tool: The public name of the tool.
        arguments: Exactly what will be run.
        digest: SHA-256 over tool and canonical arguments: only this call may use the approval.
        expires: RFC 3339; after it the approval is worth nothing.
    """

    id: str
    tool: str
    arguments: Mapping[str, Any]
    digest: str
    caller: str
    run: str
    reason: str
    created: str
    expires: str
    state: Literal["pending", "approved", "denied", "used", "expired"] = "pending"


def digest(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return SHA-256 over a tool's name and its arguments as canonical JSON: the same call has the same digest."""
    canonical = json.dumps([tool, arguments], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
