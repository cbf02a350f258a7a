"""A workflow as it is written down: nodes by id, each with where it goes next, in the shape of Amazon States Language.

A loop, a map and a parallel node name the first node of each part that they repeat or run beside each other; such a
part ends at a node without `next`. The schema of the whole is `Graph.model_json_schema()`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from homeport_shared.errors import HomeportError

FORMAT = "homeport.workflow/1"
MOST_NODES, MOST_ROUNDS, MOST_ITEMS, MOST_AT_ONCE = 500, 50, 1_000, 16
LARGEST = 512 * 1024  # bytes of one graph
BREAK, CONTINUE = "break", "continue"
NAME = r"^[a-z][a-z0-9_]{0,39}$"
RESERVED = frozenset({BREAK, CONTINUE, "trigger", "index", "last", "error", "true", "false", "none", "and", "or", "not",
                      "in", "is", "if", "else"})  # fmt: skip
KEY = r"[A-Z][A-Z0-9_]{0,79}"
Type = Literal["text", "number", "boolean", "list", "object", "any"]
ParameterType = Literal[Type, "key", "model", "file"]
Id = Annotated[str, Field(pattern=NAME)]
Next = Annotated[str, Field(description="the node after it; empty = the end of this part; in a loop break or continue")]
Seconds = Annotated[float, Field(gt=0, le=30 * 86_400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retry(_Strict):
    """How often a step is tried, and how long it waits before the second time; doubled each time after."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 1
    seconds: Annotated[float, Field(ge=0, le=3_600)] = 2


class Undo(_Strict):
    """The call that takes a step back when the workflow fails later."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Limits(_Strict):
    """The most that a step may use, with all that is done inside of it; None = no limit.

    Turns, seconds, and tokens by direction are only for the step of an agent, and then replace the agent's own.
    """

    tool_calls: Annotated[int | None, Field(ge=1)] = None
    tokens: Annotated[int | None, Field(ge=1, description="prompt and answers together")] = None
    usd: Annotated[float | None, Field(gt=0, description="US dollars")] = None
    bytes: Annotated[int | None, Field(ge=1, description="of its output as JSON")] = None
    turns: Annotated[int | None, Field(ge=1, le=1_000, description="answers of the model")] = None
    tokens_in: Annotated[int | None, Field(ge=1)] = None
    tokens_out: Annotated[int | None, Field(ge=1)] = None
    seconds: Annotated[float | None, Field(gt=0, description="of work; waiting is free")] = None


class _Node(_Strict):
    title: str = ""
    next: Next = ""
    catch: Annotated[str, Field(description="the node to go on with after an error")] = ""
    retry: Retry = Retry()
    limit: Annotated[Seconds | None, Field(description="seconds that it may take")] = None
    limits: Limits = Limits()
    undo: Undo | None = None
    position: tuple[float, float] | None = None


class ToolNode(_Node):
    """Calls a tool. A `tool` with `{{ }}` is chosen at run time, among those that `allowed` names."""

    kind: Literal["tool"]
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    allowed: tuple[str, ...] = ()


class AgentNode(_Node):
    """Gives an agent a task. Without `wait` the task is only created."""

    kind: Literal["agent"]
    prompt: str
    agent: str = ""
    model: Annotated[str, Field(description="empty = the agent's")] = ""
    tools: Annotated[tuple[str, ...], Field(description="patterns that narrow its tools")] = ()
    to: Annotated[tuple[Id, ...], Field(description="agent nodes that it may write messages to")] = ()
    wait: bool = True


class RagNode(_Node):
    """Finds passages in the knowledge base, with their sources."""

    kind: Literal["rag"]
    query: str
    collections: tuple[str, ...] = ()
    most: Annotated[int, Field(ge=1, le=100)] = 8


class Choice(_Strict):
    """Where to go when `when` holds."""

    when: str
    next: Id


class ConditionNode(_Node):
    """Goes where the first choice that holds says, else to `next`."""

    kind: Literal["condition"]
    choices: Annotated[tuple[Choice, ...], Field(min_length=1, max_length=50)]


class LoopNode(_Node):
    """Repeats its body for each item of `over`, or as long as `while` holds, one after the other."""

    kind: Literal["loop"]
    body: Id
    over: Any = None
    while_: Annotated[str, Field(alias="while")] = ""
    item: Id = "item"
    most: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] = MOST_ROUNDS

    @model_validator(mode="after")
    def _one_of(self) -> LoopNode:
        if (self.over is None) == (not self.while_):
            raise ValueError("a loop has either `over` or `while`")
        return self


class MapNode(_Node):
    """Does its body for each item of `over`, several at once."""

    kind: Literal["map"]
    body: Id
    over: Any
    item: Id = "item"
    at_once: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 4
    most: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 100


class ParallelNode(_Node):
    """Does several parts at the same time and goes on when all have ended."""

    kind: Literal["parallel"]
    branches: Annotated[tuple[Id, ...], Field(min_length=2, max_length=MOST_AT_ONCE)]


class TimerNode(_Node):
    """Waits some seconds, until a moment (RFC 3339), or until a task has ended."""

    kind: Literal["timer"]
    seconds: float | str | None = None
    until: str = ""
    task: str = ""

    @model_validator(mode="after")
    def _one_of(self) -> TimerNode:
        if sum((self.seconds is not None, bool(self.until), bool(self.task))) != 1:
            raise ValueError("a timer has one of `seconds`, `until` and `task`")
        return self


class ApprovalNode(_Node):
    """Waits for a person to agree; `refused` is where it goes when the answer is no, otherwise that is an error."""

    kind: Literal["approval"]
    question: str
    refused: str = ""
    hours: Annotated[float, Field(gt=0, le=24)] = 24


class WorkflowNode(_Node):
    """Runs another workflow and waits for its result."""

    kind: Literal["workflow"]
    workflow: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class EndNode(_Node):
    """Ends the workflow with a result: as text, in a file, summed up; with `failed` as a failure that says so."""

    kind: Literal["end"]
    result: Any = ""
    file: Annotated[str, Field(description="a file of the workspace that the result is written to as well")] = ""
    summary: Annotated[str, Field(description="how an agent sums it up: `in three sentences`")] = ""
    failed: bool = False


Node = Annotated[
    ToolNode | AgentNode | RagNode | ConditionNode | LoopNode | MapNode | ParallelNode | TimerNode | ApprovalNode
    | WorkflowNode | EndNode,
    Field(discriminator="kind"),
]  # fmt: skip


class Variable(_Strict):
    """A parameter of the whole workflow; without a default it must be given.

    Attributes:
        type: Steps get a `model` and a `file` as text, and of a `key` its name in the vault, never its value.
    """

    type: ParameterType = "text"
    default: Any = None
    required: bool = False
    description: str = ""

    @model_validator(mode="after")
    def _no_value_of_a_key(self) -> Variable:
        if self.type == "key" and self.default is not None and not re.fullmatch(KEY, str(self.default)):
            raise ValueError("a key is written as its name in the vault, such as SHOP_API_KEY; never its value")
        return self


class Trigger(_Strict):
    """What starts the workflow, as the scheduler's jobs have it; without any of it a person does.

    Attributes:
        cron: Such as `0 9 * * 1-5`.
        every: Such as `15m`.
        at: A moment.
        event: Such as `file.*`.
        where: Which events: a field to a pattern.
        parameters: What the variables get then; `{{event.data.path}}` is filled in.
    """

    cron: str = ""
    every: str = ""
    at: str = ""
    event: str = ""
    where: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[Id, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of(self) -> Trigger:
        if sum(map(bool, (self.cron, self.every, self.at, self.event))) > 1:
            raise ValueError("a trigger has one of `cron`, `every`, `at` and `event`")
        return self


class Graph(_Strict):
    """A whole workflow.

    Attributes:
        start: The entry point.
        trigger: What starts it besides a person; its job in the scheduler is made of it.
        visibility: A `private` one is for people and their jobs; a `shared` one also for agents and programs.
        variables: The global parameters, by name.
        limit: Seconds that a run may take, waiting included.
        needs: Servers without which it cannot work, for people.
    """

    format: Literal["homeport.workflow/1"] = FORMAT
    name: Annotated[str, Field(min_length=1, max_length=120)]
    description: str = ""
    tags: tuple[str, ...] = ()
    start: Id
    trigger: Trigger = Trigger()
    visibility: Literal["private", "shared"] = "shared"
    variables: Annotated[dict[Id, Variable], Field(max_length=100)] = Field(default_factory=dict)
    nodes: Annotated[dict[Id, Node], Field(min_length=1, max_length=MOST_NODES)]
    limit: Seconds | None = None
    needs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored and exported: without what says nothing."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
            "format": self.format,
            "nodes": {
                id: {"kind": node.kind, **node.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
                for id, node in self.nodes.items()
            },
        }


def parts_of(node: Node) -> tuple[str, ...]:
    """Return the first nodes of the parts that a node repeats or runs beside each other."""
    if isinstance(node, LoopNode | MapNode):
        return (node.body,)
    return node.branches if isinstance(node, ParallelNode) else ()


def exits_of(node: Node) -> Iterator[tuple[str, str]]:
    """Yield each way out of a node as the field that names it and the node that it names."""
    if node.next:
        yield "next", node.next
    if node.catch:
        yield "catch", node.catch
    if isinstance(node, ConditionNode):
        for choice in node.choices:
            yield "choices", choice.next
    if isinstance(node, ApprovalNode) and node.refused:
        yield "refused", node.refused


def parsed(value: Any) -> Graph:
    """Return `value` as a graph.

    Raises:
        HomeportError: `invalid`, naming the place of each error.
    """
    try:
        graph = Graph.model_validate(value)
    except ValidationError as error:
        wrong = "; ".join(f"{_place(each['loc'])}: {_wrong(each)}" for each in error.errors()[:8])
        raise HomeportError("invalid", f"This is no workflow: {wrong}.", "Correct it; workflows://schema.") from error
    if len(graph.model_dump_json()) > LARGEST:
        raise HomeportError("invalid", f"A workflow has at most {LARGEST >> 10} KB.", "Divide it into several.")
    return graph


def _wrong(error: ErrorDetails) -> str:
    """Return what is wrong with a field, in words for people."""
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "it is missing"
        case "extra_forbidden":
            return "there is no such field"
        case "union_tag_invalid":
            return f"there is no kind {context['tag']!r}; there are {context['expected_tags']}"
        case "union_tag_not_found":
            return "its kind is missing"
        case _:
            return error["msg"].removeprefix("Value error, ")


def _place(location: tuple[int | str, ...]) -> str:
    """Return where an error is, as a path; the kind of a node, which pydantic puts in between, says nothing."""
    parts = [str(part) for at, part in enumerate(location) if not (at == 2 and location[0] == "nodes")]
    return ".".join(parts) or "workflow"
