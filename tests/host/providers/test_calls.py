"""Tool calls as models write them: mended only where the meaning is certain."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_host.providers.calls import calls_in_text, parse_arguments, with_own_ids
from homeport_host.providers.protocol import ToolCall, ToolSpec

READ = ToolSpec("read", "", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(), values, max_size=4)


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"a": {"b": [1', {"a": {"b": [1]}}),
        ('{"a": 1,', {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"text": "keep ,} this",}', None),  # the comma may be meant
        ("", {}),
        ('{"path": "unfinis', None),
        ("{'a': 1}", None),
        ("a = 1", None),
        ("[1, 2]", None),
        ("null", None),
        (None, None),
        ("[" * 100_000, None),
    ],
)
def test_arguments_are_mended_only_where_the_meaning_is_certain(raw: Any, arguments: dict[str, Any] | None) -> None:
    assert parse_arguments(raw) == arguments


def test_mending_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    parse_arguments('{"a": 1}')
    assert caplog.text == ""
    parse_arguments('{"a": 1,}')
    assert "Mended the arguments" in caplog.text


def test_an_answer_cut_by_its_limit_is_not_closed_by_guessing() -> None:
    assert parse_arguments('{"a": [1', whole=False) is None


@given(arguments=objects)
def test_whole_arguments_come_back_as_they_are(arguments: dict[str, Any]) -> None:
    assert parse_arguments(json.dumps(arguments)) == arguments
    assert parse_arguments(json.dumps(json.dumps(arguments))) == arguments


@given(arguments=objects, cut=st.integers(min_value=1))
def test_a_cut_never_changes_a_value_only_drops_what_is_missing(arguments: dict[str, Any], cut: int) -> None:
    text = json.dumps({"first": "kept", **arguments})
    mended = parse_arguments(text[: max(1, cut % len(text))])
    assert mended is None or mended.get("first", "kept") == json.loads(text)["first"]


@given(text=st.text())
def test_no_text_is_ever_a_crash(text: str) -> None:
    result = parse_arguments(text)
    assert result is None or isinstance(result, dict)
    calls_in_text(text, [READ])


def test_ids_are_made_where_they_miss_or_repeat() -> None:
    calls = with_own_ids([ToolCall(identity, "t", {}) for identity in ("", "x", "x", "y")])
    assert [call.id for call in calls][1::2] == ["x", "y"]
    assert len({call.id for call in calls}) == 4
    assert all(call.id for call in calls)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "read", "arguments": {"path": "a"}}',
        '{"name": "read", "parameters": {"path": "a"}}',
        '{"type": "function", "function": {"name": "read", "arguments": "{\\"path\\": \\"a\\"}"}}',
        '[{"name": "read", "arguments": {"path": "a"}}]',
        '```json\n{"name": "read", "arguments": {"path": "a"}}\n```',
        '<tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>',
    ],
)
def test_a_text_that_is_nothing_but_a_call_is_one(text: str) -> None:
    (call,) = calls_in_text(text, [READ])
    assert (call.name, call.arguments) == ("read", {"path": "a"})


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        '{"name": "remove", "arguments": {"path": "a"}}',
        '{"name": "read", "arguments": {"path": 1}}',
        '{"name": "read"}',
        'Call it like this: {"name": "read", "arguments": {"path": "a"}}',
        'So: <tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>',
        '[{"name": "read", "arguments": {"path": "a"}}, 1]',
        "[]",
    ],
)
def test_any_other_text_stays_text(text: str) -> None:
    assert calls_in_text(text, [READ]) == ()
