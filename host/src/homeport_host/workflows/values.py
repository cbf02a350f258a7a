"""`{{ }}` in the fields of nodes, and conditions: what they refer to, and what they give.

Templates are expressions of Jinja2 in its sandbox; conditions are expressions of simpleeval. Neither can loop, call
what it was not given, or make a value that is much larger than what it was made from. What a tool or a model returned
is only ever a value: it is never read as a template.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

LONGEST_TEXT = 1_000_000  # characters of a rendered field
LONGEST_TEMPLATE = 100_000
_WHOLE = re.compile(r"\A\s*\{\{(?P<inside>(?:(?!\}\}).)+)\}\}\s*\Z", re.DOTALL)
_PATH = re.compile(r"\A\s*(?P<name>[a-zA-Z_]\w*)(?:\.(?P<field>[a-zA-Z_]\w*))?\s*\Z")
_FILTERS = ("abs", "capitalize", "count", "default", "dictsort", "first", "float", "groupby", "int", "items", "join",
            "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse",
            "round", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim", "truncate", "unique",
            "upper", "wordcount")  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len, "min": min, "max": max, "abs": abs, "round": round, "sum": sum, "any": any, "all": all,
    "int": int, "float": float, "str": str,
    "lower": str.lower, "startswith": str.startswith, "endswith": str.endswith,
}  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "none": None, "True": True, "False": False, "None": None}


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return `value` with every `{{ }}` in it resolved; a text that is one `{{ }}` as a whole keeps the value's type.

    Args:
        value: A field of a node: any JSON.
        scope: The variables.

    Raises:
        HomeportError: `invalid`, when a variable is not there or an expression cannot be worked out.
    """
    if isinstance(value, str):
        return _rendered(value, scope) if "{{" in value else value
    if isinstance(value, Mapping):
        return {name: render(item, scope) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [render(item, scope) for item in cast("list[Any]", value)]
    return value


def holds(condition: str, scope: Mapping[str, Any]) -> bool:
    """Return whether a condition holds.

    Raises:
        HomeportError: `invalid`, when it cannot be worked out.
    """
    from simpleeval import EvalWithCompoundTypes, InvalidExpression

    names_of_condition(condition)  # refuses what is more than an expression
    names = {**_CONSTANTS, **{name: _record(value) for name, value in scope.items()}}
    evaluate: Any = EvalWithCompoundTypes(names=names, functions=_FUNCTIONS)
    try:
        return bool(evaluate.eval(condition.strip()))
    except (InvalidExpression, ArithmeticError, AttributeError, LookupError, SyntaxError, TypeError, ValueError,
            RecursionError, MemoryError) as error:  # fmt: skip
        raise HomeportError("invalid", f"The condition {condition!r} fails: {error}.", "Correct it.") from error


def names_in(value: Any) -> set[str]:
    """Return the variables that the templates in `value` refer to.

    Raises:
        HomeportError: `invalid` for a template that is none.
    """
    from jinja2 import TemplateError, meta

    try:
        return {name for text in texts_in(value) for name in meta.find_undeclared_variables(_parsed(text))}
    except TemplateError as error:  # such as a filter that there is not
        raise HomeportError("invalid", f"A template does not fit: {error}.", "Correct it.") from error


def names_of_condition(condition: str) -> set[str]:
    """Return the variables that a condition refers to.

    Raises:
        HomeportError: `invalid` for a condition that is none.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise HomeportError("invalid", f"{condition!r} is no condition: {error}.", "Write it like a > b.") from error
    if any(isinstance(node, ast.Call) and not isinstance(node.func, ast.Name) for node in ast.walk(tree)):
        raise HomeportError("invalid", f"{condition!r} calls a method.", "Use functions, such as lower(text).")
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    for name in called - _FUNCTIONS.keys():
        raise HomeportError("invalid", f"There is no function {name!r}.", f"Known: {', '.join(sorted(_FUNCTIONS))}.")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names - bound - called - _CONSTANTS.keys()


def reference_of(value: Any) -> tuple[str, str] | None:
    """Return variable and field when `value` is nothing but `{{ variable.field }}`; the field may be empty."""
    whole = _WHOLE.match(value) if isinstance(value, str) else None
    path = _PATH.match(whole["inside"]) if whole else None
    return (path["name"], path["field"] or "") if path else None


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text with a template in it."""
    if isinstance(value, str):
        if "{{" in value:
            yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from texts_in(item)


def _rendered(text: str, scope: Mapping[str, Any]) -> Any:
    from jinja2 import TemplateError
    from jinja2.runtime import Undefined

    _parsed(text)  # refuses what is more than expressions
    environment, whole = _environment(), _WHOLE.match(text)
    try:
        if whole:
            value = environment.compile_expression(whole["inside"], undefined_to_none=False)(**scope)
            if isinstance(value, Undefined):
                str(value)  # raises and says which variable it is
            result: Any = _plain(value)
        else:
            result = environment.from_string(text).render(**scope)
    except (
        TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise HomeportError(
            "invalid", f"{text[:200]!r} fails: {error}.", "Look at what the steps before gave."
        ) from error
    if isinstance(result, str) and len(result) > LONGEST_TEXT:
        raise HomeportError("limit", f"{text[:200]!r} gives more than {LONGEST_TEXT} characters.", "Pass less on.")
    return result


class _Record(dict[str, Any]):
    """A JSON object whose fields come before the methods of `dict` when an expression says `object.field`."""

    def __getattribute__(self, name: str) -> Any:
        return self[name] if name in self else super().__getattribute__(name)


def _record(value: Any) -> Any:
    if isinstance(value, dict):
        return _Record({name: _record(item) for name, item in cast("dict[str, Any]", value).items()})
    return [_record(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _split(text: Any, separator: str) -> list[str]:
    """Return the parts of a text between separators, without the blanks around them."""
    return [part.strip() for part in str(text).split(separator)]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: what filters give piece by piece becomes a list."""
    if not isinstance(value, str | int | float | bool | list | dict | None):
        value = list(value)
    return json.loads(json.dumps(value))  # raises TypeError for anything else


def _parsed(text: str) -> Any:
    from jinja2 import TemplateSyntaxError, nodes

    if len(text) > LONGEST_TEMPLATE:
        raise HomeportError("invalid", f"A field has at most {LONGEST_TEMPLATE} characters.", "Shorten it.")
    try:
        tree = _environment().parse(text)
    except (TemplateSyntaxError, RecursionError) as error:
        raise HomeportError("invalid", f"{text[:200]!r} is no template: {error}.", "Write {{ name }}.") from error
    if any(not isinstance(part, nodes.Output) for part in tree.body):
        raise HomeportError("invalid", f"{text[:200]!r} holds a statement.", "Use {{ }} only; a loop node repeats.")
    return tree


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class Sandbox(SandboxedEnvironment):
        """Jinja's sandbox without operators that make large values from small ones."""

        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
                raise TypeError(f"{operator} is only for numbers")
            return super().call_binop(context, operator, left, right)

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, dict):  # a field named `items` is not the method
                fields = cast("dict[str, Any]", obj)
                return fields[attribute] if attribute in fields else self.undefined(obj=obj, name=attribute)
            return super().getattr(obj, attribute)

        def is_safe_callable(self, obj: Any) -> bool:
            return False  # filters do what methods would

    environment = Sandbox(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    known: dict[str, Any] = environment.filters
    kept: dict[str, Any] = {**{name: known[name] for name in _FILTERS}, "split": _split}
    environment.filters = kept
    return environment
