"""Tool schemas for models: nothing that Ollama drops is lost, only said in words."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from homeport_host.providers.protocol import ToolSpec
from homeport_host.providers.schemas import for_model, simplified


class Range(BaseModel):
    first: int = Field(1, ge=1, description="First line.")
    last: int | None = None


class Arguments(BaseModel):
    path: str = Field(min_length=1, description="The file.")
    lines: Range | None = None
    many: list[Range] = []


def test_a_pydantic_schema_comes_out_without_references_and_nulls() -> None:
    spec = ToolSpec("read", "Read a file.", Arguments.model_json_schema())
    parameters = for_model(spec)["function"]["parameters"]
    lines = {
        "type": "object",
        "properties": {
            "first": {"type": "integer", "description": "First line. (at least 1, default 1)"},
            "last": {"type": "integer"},
        },
    }
    assert parameters == {
        "type": "object",
        "required": ["path"],
        "properties": {
            "path": {"type": "string", "description": "The file. (at least 1 characters)"},
            "lines": lines,
            "many": {"type": "array", "items": lines},
        },
    }


def test_a_schema_that_refers_to_itself_ends() -> None:
    tree: dict[str, Any] = {
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {"type": "object", "properties": {"child": {"$ref": "#/$defs/Node"}}}},
    }
    assert "$ref" not in str(simplified(tree))


@pytest.mark.parametrize(
    ("schema", "simple"),
    [
        ({"type": ["string", "null"]}, {"type": "string"}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"$ref": "#/$defs/A~1B", "$defs": {"A/B": {"type": "integer"}}}, {"type": "integer"}),
        ({"$ref": "https://elsewhere/x.json"}, {}),
        ({"enum": ["a", "b"], "default": "a"}, {"enum": ["a", "b"], "description": "(default a)"}),
        ({"type": "array", "items": True, "maxItems": 3}, {"type": "array", "description": "(at most 3 items)"}),
        (
            {"type": "object", "additionalProperties": {"type": "number", "maximum": 1}},
            {"type": "object", "additionalProperties": {"type": "number", "description": "(at most 1)"}},
        ),
    ],
)
def test_each_form_has_its_simple_one(schema: dict[str, Any], simple: dict[str, Any]) -> None:
    assert simplified(schema) == simple


def test_a_tool_without_arguments_still_has_an_object() -> None:
    assert for_model(ToolSpec("now", "", {}))["function"]["parameters"] == {"type": "object", "properties": {}}


leaves = st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 0}, {"type": ["boolean", "null"]}])
schemas = st.recursive(
    leaves,
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda p: {"type": "object", "properties": p})
        | inner.map(lambda each: {"anyOf": [each, {"type": "null"}]})
        | inner.map(lambda each: {"type": "array", "items": each, "default": []})
    ),
    max_leaves=8,
)


@given(schema=schemas)
def test_what_comes_out_is_a_schema_and_comes_out_the_same_again(schema: dict[str, Any]) -> None:
    simple = simplified(schema)
    jsonschema.Draft202012Validator.check_schema(simple)
    assert "null" not in str(simple)
    if "minimum" not in str(schema):
        assert simplified(simple) == simple
