"""How a server has work done that is not its own: a tool, an agent or a workflow of somebody else does it.

In a host that is the host's business, under its policy. A server that runs alone calls the servers of its own
configuration: `homeport_shared.peers`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """One piece of work.

    Attributes:
        id: The same id is carried out once, whoever asks again.
        title: What people see.
        tool: The public name of a tool, `server__tool`; empty for an agent's task.
        arguments: Of the tool, or the workflow's parameters.
        agent: The agent's name; empty = the host's assistant.
        prompt: The agent's task.
        tools: Tools that the agent may change things with.
        stated: The tool's arguments as a person saw them; only a call with exactly these was agreed to.
        agreed: A person wrote or confirmed this order: what cannot be taken back may be done with it.
        again: The process that began it died: nobody knows how far it came.
        origin: What began it: a `schedule`, an `event` or the `user`.
        sources: Whose words are in it (runs, clients): what they have read counts as read by this work.
        workflow: The name of a workflow; empty for anything else.
        event: The event that started it, as data.
        priority: 0 low, 1 normal, 2 high, 3 critical.
        correlation: The same for all that one event led to; empty = nothing led to this.
    """

    id: str
    title: str
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    agent: str = ""
    prompt: str = ""
    tools: tuple[str, ...] = ()
    stated: dict[str, Any] = field(default_factory=dict[str, Any])
    agreed: bool = False
    again: bool = False
    origin: Literal["schedule", "event", "user"] = "schedule"
    priority: int = 1
    correlation: str = ""
    sources: tuple[str, ...] = ()
    workflow: str = ""
    event: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended well: the result as text, and the host's run, where there is one."""

    text: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the host: `seq` grows from one to the next, `at` is RFC 3339, `correlation` leads to its cause."""

    seq: int
    at: str
    kind: str
    subject: str
    data: dict[str, Any]
    correlation: str = ""


class Gateway(Protocol):
    """Who has work done."""

    async def carry_out(self, order: Order) -> Outcome:
        """Do it and return how it ended; a cancelled wait does not stop it.

        Raises:
            HomeportError: Why it did not end well.
        """
        ...

    async def abandon(self, order: str) -> None:
        """Stop the order with this id for good."""
        ...

    async def problems(self, order: Order) -> list[str]:
        """Return what speaks against an order, without doing anything."""
        ...

    async def states(self, tasks: Sequence[str]) -> dict[str, str]:
        """Return the state of tasks by their addresses, `run://ID`; `gone` for one that there is not."""
        ...

    async def follow(self, after: int | None, handle: Callable[[list[Happened]], Awaitable[None]]) -> None:
        """Hand over the events with a number above `after`, batch by batch, until cancelled; None = from now on."""
        ...
