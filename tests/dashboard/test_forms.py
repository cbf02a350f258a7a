"""Forms from input schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_dashboard import forms
from homeport_shared.errors import HomeportError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "limit": {"type": "integer", "minimum": 1, "default": 20},
        "path": {"type": "string", "description": "root/path"},
        "mode": {"enum": ["name", "content"], "default": "content"},
        "deep": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "edits": {"type": "array", "items": {"$ref": "#/$defs/Edit"}},
        "threshold": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "filter": {"$ref": "#/$defs/Filter"},
    },
    "required": ["path"],
    "$defs": {"Edit": {"type": "object"}, "Filter": {"type": "object"}},
}


def test_each_kind_of_value_gets_its_control_and_required_ones_come_first() -> None:
    made = forms.fields(SCHEMA)
    assert made[0].name == "path"
    assert {field.name: field.control for field in made} == {
        "path": "text",
        "limit": "integer",
        "mode": "choice",
        "deep": "switch",
        "tags": "lines",
        "edits": "json",
        "threshold": "number",
        "filter": "json",
    }


def test_a_filled_form_becomes_typed_arguments_without_what_was_left_empty() -> None:
    filled = {"path": "a/b", "limit": "5", "mode": "name", "deep": "on", "tags": "x\n\ny", "filter": '{"a": 1}'}
    assert forms.arguments(SCHEMA, filled) == {
        "path": "a/b",
        "limit": 5,
        "mode": "name",
        "deep": True,
        "tags": ["x", "y"],
        "filter": {"a": 1},
    }


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [("limit", "five", "a whole number"), ("filter", "{", "JSON"), ("threshold", "x", "a number")],
)
def test_what_cannot_be_read_is_named(name: str, text: str, words: str) -> None:
    with pytest.raises(HomeportError, match=words):
        forms.arguments(SCHEMA, {"path": "a", name: text})


@given(st.dictionaries(st.sampled_from(["limit", "tags", "deep", "filter", "path"]), st.text(max_size=20)))
def test_any_filled_form_gives_json_or_a_plain_refusal(filled: dict[str, str]) -> None:
    try:
        json.dumps(forms.arguments(SCHEMA, filled))
    except HomeportError as error:
        assert error.code == "invalid"


@given(st.integers(), st.text(max_size=30).filter(lambda text: text.strip()))
def test_values_shown_in_a_form_come_back_the_same(limit: int, path: str) -> None:
    shown = {field.name: field.value for field in forms.fields(SCHEMA, {"limit": limit, "path": path})}
    assert forms.arguments(SCHEMA, shown) == {"limit": limit, "path": path, "mode": "content", "deep": False}
