"""Whether a workflow can run here: connections, variables, types, tools, agents and other workflows, node by node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, cast

from jsonschema import Draft202012Validator

from homeport_host.governance.calls import Tool
from homeport_host.governance.stages import describe
from homeport_host.workflows.graph import (
    KEY,
    RESERVED,
    AgentNode,
    ConditionNode,
    EndNode,
    Graph,
    LoopNode,
    MapNode,
    Node,
    ParallelNode,
    ParameterType,
    RagNode,
    ToolNode,
    Type,
    WorkflowNode,
    exits_of,
)
from homeport_host.workflows.parts import Part, Problem, parts
from homeport_host.workflows.values import names_in, names_of_condition, reference_of, texts_in
from homeport_shared.errors import HomeportError

RAG_TOOL, WRITE_TOOL = "rag__search", "files__write"
TYPES: dict[str, Type] = {
    "string": "text", "integer": "number", "number": "number", "boolean": "boolean", "array": "list",
    "object": "object",
}  # fmt: skip
Fields = Mapping[str, Type] | None


@dataclass(frozen=True)
class Known:
    """What there is around a workflow.

    Attributes:
        tool: The tool of a public name.
        near: The names of tools that are like a word.
        agents: The agents' names.
        workflows: The names of the other workflows.
    """

    tool: Callable[[str], Tool | None]
    near: Callable[[str], Sequence[str]]
    agents: AbstractSet[str]
    workflows: AbstractSet[str]


@dataclass(frozen=True)
class Value:
    """What is known of a variable before a run: its type, and its fields where they are known."""

    type: Type = "any"
    fields: Fields = None


@dataclass
class Seen:
    """The variables at a node: those on every way to it, and those on some way."""

    always: dict[str, Value]
    sometimes: dict[str, Value]

    def with_(self, **values: Value) -> Seen:
        """Return the same with more variables."""
        return Seen({**self.always, **values}, {**self.sometimes, **values})


def check(graph: Graph, known: Known) -> list[Problem]:
    """Return everything that speaks against running `graph`; an empty list means that it is valid."""
    found, problems = parts(graph)
    problems += _names(graph)
    for id, node in graph.nodes.items():
        problems += [Problem(id, problem.message, problem.field, problem.level) for problem in _needs(node, known)]
        for to in node.to if isinstance(node, AgentNode) else ():
            if not isinstance(graph.nodes.get(to), AgentNode):
                problems.append(Problem(id, f"It may write to {to!r}, which is no agent's node.", "to"))
    if not any(problem.level == "error" and "leads back" in problem.message for problem in problems):
        problems += _flow(graph, found, known)
    return sorted(problems, key=lambda problem: (problem.level, problem.node, problem.field))


OUTPUTS: dict[str, dict[str, Type]] = {
    "agent": {"text": "text", "run": "text", "citations": "list"},
    "loop": {"items": "list", "count": "number"},
    "map": {"items": "list", "count": "number"},
    "approval": {"approved": "boolean"},
    "timer": {"at": "text", "state": "text", "text": "text"},
    "workflow": {"result": "any", "run": "text"},
    "condition": {"taken": "text"},
}


def output_of(node: Node, known: Known) -> Value:
    """Return what a node gives to those after it."""
    match node:
        case ToolNode():
            return _tool_output(known.tool(node.tool))
        case RagNode():
            return _tool_output(known.tool(RAG_TOOL))
        case ParallelNode():
            return Value("object", dict.fromkeys(node.branches, "any"))
        case EndNode():
            return Value()
        case _:
            return Value("object", OUTPUTS[node.kind])


def _tool_output(tool: Tool | None) -> Value:
    """Return the fields of a tool's result; without a schema of it there is only the text."""
    if tool is None:
        return Value("object")
    schema = cast("dict[str, Any]", tool.definition.get("outputSchema") or {})
    properties = cast("dict[str, dict[str, Any]]", schema.get("properties") or {})
    open_ = not properties or schema.get("additionalProperties", False) is not False
    fields: dict[str, Type] = {name: TYPES.get(str(part.get("type")), "any") for name, part in properties.items()}
    return Value("object", None if open_ else fields)


# What a node needs of what is around it


@singledispatch
def _needs(node: Any, known: Known) -> Iterator[Problem]:
    yield from ()


@_needs.register
def _(node: ToolNode, known: Known) -> Iterator[Problem]:
    if "{{" in node.tool:
        if not node.allowed:
            yield Problem(
                "", "It chooses its tool at run time: `allowed` must name the tools it may choose.", "allowed"
            )
    else:
        yield from _call_problems(node.tool, node.arguments, known, "")
    yield from _undo_problems(node, known)


@_needs.register
def _(node: RagNode, known: Known) -> Iterator[Problem]:
    if known.tool(RAG_TOOL) is None:
        yield Problem("", "The knowledge base is not there: the server rag is missing or off.", "kind")


@_needs.register
def _(node: AgentNode, known: Known) -> Iterator[Problem]:
    if node.agent and node.agent not in known.agents:
        yield Problem("", f"There is no agent {node.agent!r}.", "agent")
    yield from _undo_problems(node, known)


@_needs.register
def _(node: EndNode, known: Known) -> Iterator[Problem]:
    if node.file and known.tool(WRITE_TOOL) is None:
        yield Problem("", "No file can be written: the server files is missing or off.", "file")


@_needs.register
def _(node: WorkflowNode, known: Known) -> Iterator[Problem]:
    if "{{" not in node.workflow and node.workflow not in known.workflows:
        yield Problem("", f"There is no workflow {node.workflow!r}.", "workflow")
    yield from _undo_problems(node, known)


def _undo_problems(node: Node, known: Known) -> Iterator[Problem]:
    if node.undo is not None:
        yield from _call_problems(node.undo.tool, node.undo.arguments, known, "undo.")


def _call_problems(name: str, arguments: Mapping[str, Any], known: Known, prefix: str) -> Iterator[Problem]:
    tool = known.tool(name)
    if tool is None:
        server = name.partition("__")[0]
        near = ", ".join(known.near(name)) or "none"
        missing = f"There is no tool {name!r}: perhaps the server {server} is missing or off. Like it: {near}."
        yield Problem("", missing, f"{prefix}tool")
        return
    if "person-only" in tool.labels:
        yield Problem("", f"{name} is only for a person.", f"{prefix}tool")
    schema = cast("dict[str, Any]", tool.definition.get("inputSchema") or {})
    fixed = {key: value for key, value in arguments.items() if not any(True for _ in texts_in(value))}
    lenient = {**schema, "required": [key for key in schema.get("required", []) if key not in arguments]}
    unknown = arguments.keys() - cast("dict[str, Any]", schema.get("properties", {})).keys()
    if schema.get("additionalProperties") is not True:
        yield from (Problem("", f"{name} has no argument {key!r}.", f"{prefix}arguments.{key}") for key in unknown)
    for error in Draft202012Validator(lenient).iter_errors(fixed):  # pyright: ignore[reportUnknownMemberType]
        if error.validator != "additionalProperties":
            yield Problem("", f"{name}: {describe(error)}.", f"{prefix}arguments")


# Variables


def _names(graph: Graph) -> Iterator[Problem]:
    for name in graph.variables.keys() & graph.nodes.keys():
        yield Problem(name, "A variable of the workflow has the same name.")
    items = {id: node.item for id, node in graph.nodes.items() if isinstance(node, LoopNode | MapNode)}
    for name in (graph.nodes.keys() | graph.variables.keys()) & RESERVED:
        yield Problem(name if name in graph.nodes else "", f"The name {name!r} has a meaning of its own.")
    for id, name in items.items():
        if name in graph.nodes or name in graph.variables or name in RESERVED:
            yield Problem(id, f"Its item cannot be called {name!r}: that name is taken.", "item")
    for name, variable in graph.variables.items():
        if variable.default is not None and not fits(variable.default, variable.type):
            yield Problem("", f"The default of {name} is no {variable.type}.", f"variables.{name}")


def _flow(graph: Graph, found: Sequence[Part], known: Known) -> Iterator[Problem]:
    """Follow the variables through the parts, outer ones first, and check every reference."""
    given = {name: Value(_seen_as(variable.type)) for name, variable in graph.variables.items()} | {
        "trigger": Value("object")
    }
    at: dict[str, Seen] = {}
    for part in found:
        owner = graph.nodes.get(part.owner)
        entry = Seen(given, given)
        if owner is not None:
            if part.owner not in at:
                continue
            entry = at[part.owner].with_(**_of_body(owner))
        incoming: dict[str, list[Seen]] = {part.start: [entry]}
        for id in part.nodes:
            ways = incoming.get(id)
            if not ways:
                continue
            seen = at[id] = _merged(ways)
            node = graph.nodes[id]
            yield from _references(id, node, seen, output_of(node, known))
            for name, target in exits_of(node):
                if target in graph.nodes:
                    more = {"error": Value("object")} if name == "catch" else {id: output_of(node, known)}
                    incoming.setdefault(target, []).append(seen.with_(**more))
            yield from _typed(id, node, seen, known)


def _seen_as(type: ParameterType) -> Type:
    """Return what a step sees of a parameter: names of keys and models, and paths, are texts."""
    return "text" if type in {"key", "model", "file"} else cast("Type", type)


def _of_body(owner: Node) -> dict[str, Value]:
    if isinstance(owner, LoopNode):
        named = {owner.item: Value()} if owner.over is not None else {}
        return {**named, "index": Value("number"), "last": Value()}
    return {owner.item: Value(), "index": Value("number")} if isinstance(owner, MapNode) else {}


def _merged(ways: Sequence[Seen]) -> Seen:
    shared = [name for name in ways[0].always if all(name in way.always for way in ways)]
    sometimes = {name: value for way in ways for name, value in way.sometimes.items()}
    return Seen({name: ways[0].always[name] for name in shared}, sometimes)


def _references(id: str, node: Node, seen: Seen, output: Value) -> Iterator[Problem]:
    for field, value, own in _fields(node):
        own = {**own, id: output} if field == "undo" else own
        available = Seen({**seen.always, **own}, {**seen.sometimes, **own})
        try:
            names = names_of_condition(value) if field in {"choices", "while"} else names_in(value)
        except HomeportError as error:
            yield Problem(id, error.message, field)
            continue
        for name in sorted(names - available.sometimes.keys()):
            yield Problem(id, f"There is no variable {name!r} here.", field)
        for name in sorted(names & (available.sometimes.keys() - available.always.keys())):
            if not any("default" in text for text in texts_in(value)):
                yield Problem(id, f"{name!r} is not there on every way to this node.", field, "warning")
        for text in () if field in {"choices", "while"} else texts_in(value):
            yield from _field_problems(id, field, text, available)


def _field_problems(id: str, field: str, text: str, seen: Seen) -> Iterator[Problem]:
    reference = reference_of(text)
    value = seen.sometimes.get(reference[0]) if reference else None
    if reference and value and reference[1] and value.fields is not None and reference[1] not in value.fields:
        has = ", ".join(sorted(value.fields)) or "none"
        yield Problem(id, f"{reference[0]!r} has no field {reference[1]!r}; it has: {has}.", field)


def _fields(node: Node) -> Iterator[tuple[str, Any, dict[str, Value]]]:
    """Yield each field that may refer to variables, its value, and the variables that only it has."""
    match node:
        case ConditionNode():
            yield from (("choices", choice.when, {}) for choice in node.choices)
        case LoopNode():
            yield "over", node.over, {}
            if node.while_:
                yield "while", node.while_, {"index": Value("number"), "last": Value()}
        case _:
            for name in ("tool", "arguments", "prompt", "model", "query", "over", "seconds", "until", "task",
                         "question", "workflow", "parameters", "result", "file", "summary"):  # fmt: skip
                if hasattr(node, name):
                    yield name, getattr(node, name), {}
    if node.undo is not None:
        yield "undo", node.undo.arguments, {}
        yield "undo.tool", node.undo.tool, {}


def _typed(id: str, node: Node, seen: Seen, known: Known) -> Iterator[Problem]:
    """Check the type of each reference that stands for a whole value."""
    if isinstance(node, LoopNode | MapNode) and node.over is not None:
        yield from _mismatch(id, "over", node.over, "list", seen)
    if isinstance(node, ToolNode) and (tool := known.tool(node.tool)):
        schema = cast("dict[str, Any]", tool.definition.get("inputSchema") or {})
        properties = cast("dict[str, dict[str, Any]]", schema.get("properties") or {})
        for name, value in node.arguments.items():
            wanted = TYPES.get(str(properties.get(name, {}).get("type")), "any")
            yield from _mismatch(id, f"arguments.{name}", value, wanted, seen)


def _mismatch(id: str, field: str, value: Any, wanted: Type, seen: Seen) -> Iterator[Problem]:
    reference = reference_of(value)
    if reference is None:
        if not any(True for _ in texts_in(value)) and not fits(value, wanted):
            yield Problem(id, f"It must be a {wanted}.", field)
        return
    there = seen.sometimes.get(reference[0], Value())
    given = (there.fields or {}).get(reference[1], "any") if reference[1] else there.type
    if "any" not in {given, wanted} and given != wanted:
        yield Problem(id, f"It needs a {wanted}, and {'.'.join(filter(None, reference))} is a {given}.", field)


def fits(value: Any, type: ParameterType) -> bool:
    """Say whether a value is of a type."""
    match type:
        case "any":
            return True
        case "key":
            return isinstance(value, str) and re.fullmatch(KEY, value) is not None
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return isinstance(value, {"boolean": bool, "list": list, "object": dict}.get(type, str))


def sample_of(node: Node, name: str, graph: Graph, known: Known) -> dict[str, Any]:
    """Return what a dry run takes for the output of a node that it does not do: the fields that others refer to."""
    made: dict[Type, Any] = {"number": 0, "boolean": True, "list": [], "object": {}}
    referred = re.findall(rf"\b{name}\.(\w+)", graph.model_dump_json())
    fields: dict[str, Type] = {**dict.fromkeys(referred, "any"), **(output_of(node, known).fields or {"text": "text"})}
    return {field: made.get(type, f"[{name}.{field}]") for field, type in fields.items()}


def errors_of(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems that keep a workflow from running."""
    return [problem for problem in problems if problem.level == "error"]


def told(problems: Sequence[Problem]) -> str:
    """Return problems as one line for people."""
    return "; ".join(f"{problem.node or 'workflow'}: {problem.message}" for problem in problems[:8])
