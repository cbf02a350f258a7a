"""A form from a tool's input schema, and arguments from what was filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from homeport_shared.errors import HomeportError

Control = Literal["text", "area", "number", "integer", "switch", "choice", "lines", "json"]
LONG_TEXT = ("text", "content", "markdown", "prompt", "instructions", "body", "old_text", "new_text")


@dataclass(frozen=True)
class Field:
    """One input of a form.

    Attributes:
        control: What is drawn, and how the text that comes back is read.
        value: What stands in it at first, as text.
        choices: The allowed values of a `choice`.
    """

    name: str
    label: str
    control: Control
    required: bool
    about: str
    value: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def fields(schema: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> list[Field]:
    """Return the inputs for an object schema, required ones first; `given` fills them in.

    Whatever has no simple control (objects, unions, nested lists) becomes a JSON field, so every tool has a form.
    """
    properties = cast("dict[str, dict[str, Any]]", schema.get("properties", {}))
    required = set(cast("list[str]", schema.get("required", [])))
    made = [_field(name, _simple(part, schema), name in required, given or {}) for name, part in properties.items()]
    return sorted(made, key=lambda field: not field.required)


def arguments(schema: Mapping[str, Any], filled: Mapping[str, str]) -> dict[str, Any]:
    """Read the arguments out of a filled form; empty optional fields are left out.

    Raises:
        HomeportError: `invalid`, naming the field.
    """
    found: dict[str, Any] = {}
    for field in fields(schema):
        text = filled.get(field.name, "")
        if field.control == "switch":
            found[field.name] = text in {"on", "true", "1"}
        elif text.strip() or (field.required and field.control in {"text", "area"}):
            found[field.name] = _value(field, text)
        elif field.required:
            raise HomeportError("invalid", f"{field.label} is empty.", "Fill it in and try again.")
    return found


def _simple(part: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a reference, and drop the null of an optional type."""
    if "$ref" in part:
        definitions = cast("dict[str, dict[str, Any]]", schema.get("$defs", {}))
        return {**definitions.get(str(part["$ref"]).rpartition("/")[2], {}), **part}
    options = [option for option in cast("list[dict[str, Any]]", part.get("anyOf", [])) if option.get("type") != "null"]
    return {**_simple(options[0], schema), **part} if len(options) == 1 else part


def _control(name: str, part: Mapping[str, Any]) -> Control:
    if "enum" in part:
        return "choice"
    kind = part.get("type")
    if kind == "array":
        items = cast("dict[str, Any]", part.get("items") or {})
        return "lines" if items.get("type") == "string" else "json"
    if kind == "string":
        return "area" if name in LONG_TEXT else "text"
    plain: dict[Any, Control] = {"boolean": "switch", "integer": "integer", "number": "number"}
    return plain.get(kind, "json")


def _field(name: str, part: Mapping[str, Any], required: bool, given: Mapping[str, Any]) -> Field:
    control = _control(name, part)
    value = given.get(name, part.get("default"))
    return Field(
        name=name,
        label=name.replace("_", " ").capitalize(),
        control=control,
        required=required,
        about=str(part.get("description", "")),
        value=_as_text(control, value),
        choices=tuple(str(choice) for choice in part.get("enum", ())),
        minimum=part.get("minimum"),
        maximum=part.get("maximum"),
    )


def _as_text(control: Control, value: Any) -> str:
    if value is None:
        return ""
    if control == "switch":
        return "true" if value else ""
    if control == "lines" and isinstance(value, list):
        return "\n".join(str(item) for item in cast("list[Any]", value))
    if control == "json":
        return json.dumps(value, ensure_ascii=False) if value else ""
    return str(value)


def _value(field: Field, text: str) -> Any:
    try:
        match field.control:
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "lines":
                return [line for line in text.splitlines() if line.strip()]
            case "json":
                return json.loads(text)
            case _:
                return text
    except ValueError as error:
        expected = {"integer": "a whole number", "number": "a number"}.get(field.control, "JSON")
        raise HomeportError("invalid", f"{field.label} is not {expected}.", "Correct it and try again.") from error
