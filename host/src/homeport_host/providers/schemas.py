"""Tool schemas in the form that model servers keep: no references, no null alternatives, limits said in words.

Ollama's server drops `default` and every limit, and many models fail on `$ref`. The arguments are checked against the
original schema when the call comes, so what is lost here is only how the model is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from homeport_host.providers.protocol import ToolSpec

_LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}",
    "exclusiveMaximum": "less than {}", "multipleOf": "a multiple of {}", "minLength": "at least {} characters",
    "maxLength": "at most {} characters", "pattern": "matching {}", "format": "as {}", "minItems": "at least {} items",
    "maxItems": "at most {} items",
}  # fmt: skip
_KEPT = ("type", "description", "enum", "const", "required", "additionalProperties")
_DEEPEST = 12  # a schema that refers to itself has no end


def for_model(tool: ToolSpec) -> dict[str, Any]:
    """Return `tool` as an entry of a request's `tools`, in the form that Ollama and OpenAI share."""
    schema = simplified(tool.input_schema)
    schema.setdefault("type", "object")
    schema.setdefault("properties", {})
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def simplified(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` with `$ref` inlined, `anyOf` with null collapsed, defaults and limits in the descriptions."""
    return _simplify(schema, schema, 0)


def _simplify(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        return {}
    schema = _resolved(schema, root)
    result = {name: schema[name] for name in _KEPT if name in schema}
    if words := _in_words(schema):
        result["description"] = f"{result.get('description', '')} ({words})".strip()
    if "properties" in schema:
        properties = cast("Mapping[str, Any]", schema["properties"])
        result["properties"] = {name: _child(value, root, depth) for name, value in properties.items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            result[name] = _child(schema[name], root, depth)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            result[name] = [_child(each, root, depth) for each in schema[name]]
    return result


def _child(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    return _simplify(cast("Mapping[str, Any]", schema), root, depth + 1) if isinstance(schema, Mapping) else schema


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references and take the only alternative beside null, until neither is left."""
    for _ in range(_DEEPEST):
        here = {name: value for name, value in schema.items() if name not in ("$ref", "anyOf", "oneOf", "allOf")}
        if "$ref" in schema:
            schema = {**_at(root, str(schema["$ref"])), **here}
            continue
        name = next((each for each in ("anyOf", "oneOf", "allOf") if each in schema), "")
        options = [each for each in cast("list[Any]", schema.get(name, [])) if each != {"type": "null"}]
        if len(options) != 1 or not isinstance(options[0], Mapping):
            break
        schema = {**options[0], **here}
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [each for each in cast("list[str]", kind) if each != "null"]
        schema = {**schema, "type": kinds[0] if len(kinds) == 1 else kinds}
    return schema


def _at(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    """Return what `#/$defs/Name` points at; nothing where it points out of this schema."""
    value: Any = root if reference.startswith("#") else {}
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = cast("Mapping[str, Any]", value).get(name, {}) if isinstance(value, Mapping) else {}
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _in_words(schema: Mapping[str, Any]) -> str:
    words = [words.format(schema[name]) for name, words in _LIMITS.items() if name in schema]
    if schema.get("default") not in (None, "", [], {}):
        words.append(f"default {schema['default']}")
    return ", ".join(words)
