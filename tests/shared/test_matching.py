"""Filters and blanks of events: pure functions as examples and properties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_shared.matching import blanks, fill, matches, told

EVENT = {
    "kind": "file.created",
    "subject": "files://papers/a.pdf",
    "data": {"path": "papers/A.pdf", "size": 12, "tags": ["x"], "deep": {"er": True}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("event", "where", "fits"),
    [
        ("file.created", {}, True),
        ("file.*", {}, True),
        ("*", {}, True),
        ("file.deleted", {}, False),
        ("file.*", {"data.path": "*.PDF"}, True),
        ("file.*", {"data.path": "*.txt"}, False),
        ("file.*", {"data.path": ["*.txt", "papers/*"]}, True),
        ("file.*", {"data.size": 12}, True),
        ("file.*", {"data.size": "1?"}, True),
        ("file.*", {"data.size": 13}, False),
        ("file.*", {"data.deep.er": True}, True),
        ("file.*", {"data.none": "*"}, False),
        ("file.*", {"data.path.more": "*"}, False),
        ("file.*", {"subject": "files://papers/*", "data.size": 12}, True),
    ],
)
def test_an_event_fits_when_its_kind_and_every_named_field_do(event: str, where: dict[str, Any], fits: bool) -> None:
    assert matches(event, where, EVENT) is fits


def test_blanks_are_filled_with_the_fields_own_type() -> None:
    value = {
        "path": "{{event.data.path}}",
        "size": "{{ event.data.size }}",
        "all": ["{{event.data.tags}}"],
        "text": "{{event.kind}}: {{event.data.path}}{{event.data.none}}",
    }
    assert fill(value, EVENT) == {
        "path": "papers/A.pdf",
        "size": 12,
        "all": [["x"]],
        "text": "file.created: papers/A.pdf",
    }
    assert blanks(value)
    assert not blanks({"path": "{{secret}}", "n": 3})


@given(JSON)
def test_what_has_no_blank_stays_as_it_is_and_what_is_filled_is_not_filled_again(value: Any) -> None:
    if not blanks(value):
        assert fill(value, EVENT) == value
    event = {"data": {"text": "{{event.kind}}"}, "kind": "trick"}
    assert fill("{{event.data.text}}", event) == "{{event.kind}}"


def test_an_agents_task_gets_the_fields_it_names_or_the_whole_event() -> None:
    assert told("Read {{event.data.path}}.", EVENT) == "Read papers/A.pdf."
    assert told("Read it.", EVENT).startswith("Read it.\n\nThe event that started this, as data:\n{")
