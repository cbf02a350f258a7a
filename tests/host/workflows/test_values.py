"""Templates and conditions: what they give, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport_host.workflows.values import holds, names_in, names_of_condition, reference_of, render
from homeport_shared.errors import HomeportError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SCOPE: dict[str, Any] = {"n": 3, "words": ["a", "b"], "mail": {"items": [1, 2], "from": "Ada"}, "none": None}


@settings(max_examples=60)
@given(JSON)
def test_a_whole_reference_keeps_any_value_as_it_is(value: Any) -> None:
    assert render("{{ value }}", {"value": value}) == value
    assert render({"a": ["{{ value }}"]}, {"value": value}) == {"a": [value]}


@settings(max_examples=60)
@given(JSON)
def test_a_value_is_never_read_as_a_template(value: Any) -> None:
    hidden = {"text": "{{ secret }}", "more": value}
    assert render("{{ value | tojson }}", {"value": hidden, "secret": "x"}).find("{{ secret }}") > 0
    assert render("got {{ value.text }}", {"value": hidden, "secret": "x"}) == "got {{ secret }}"


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_any_text_is_rendered_or_refused_in_words(text: str) -> None:
    for work in (
        lambda: render("{{" + text + "}}", SCOPE),
        lambda: holds(text, SCOPE),
        lambda: names_of_condition(text),
    ):
        try:
            json.dumps(work() if not isinstance(work, set) else None, default=str)
        except HomeportError as error:
            assert error.code in {"invalid", "limit"}


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("{{ n + 1 }}", 4),
        ("{{ mail.items | length }}", 2),
        ("{{ mail['items'] }}", [1, 2]),
        ("{{ words | map('upper') | list }}", ["A", "B"]),
        ("{{ missing | default('none') }}", "none"),
        ("{{ n if n > 2 else 0 }}", 3),
        ("{{ n }} of {{ words | join(', ') }}", "3 of a, b"),
    ],
)
def test_templates_give(template: str, result: Any) -> None:
    assert render(template, SCOPE) == result


@pytest.mark.parametrize(
    "template",
    [
        "{{ missing }}",
        "{{ mail.missing }}",
        "{{ ''.__class__ }}",
        "{{ words.__class__.__mro__ }}",
        "{{ mail.from.format('x') }}",
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9 ** 99999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ range(9) }}",
        "{% for a in words %}{{ a }}{% endfor %}",
        "{{ open }",
        "{{ words | pprint }}",
    ],
)
def test_templates_refuse(template: str) -> None:
    with pytest.raises(HomeportError) as refused:
        render(template if "{{" in template and "}}" in template else "{{ x }}" + template, SCOPE)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ("n > 2", True),
        ("n > 2 and (mail['from'] == 'Bob' or len(mail.items) == 2)", True),
        ("'a' in words", True),
        ("not startswith(lower(mail['from']), 'ad')", False),
        ("none == None", True),
        ("words[1] == 'b'", True),
    ],
)
def test_conditions_hold(condition: str, result: bool) -> None:
    assert holds(condition, SCOPE) is result


@pytest.mark.parametrize(
    "condition",
    ["missing > 1", "n >", "mail.from.upper() == 'ADA'", "__import__('os')", "9 ** 9 ** 9", "'a' * 10**9", "n / 0",
     "words[9]", "(lambda: 1)()", "().__class__", "open('x')"],
)  # fmt: skip
def test_conditions_refuse(condition: str) -> None:
    with pytest.raises(HomeportError) as refused:
        holds(condition, SCOPE)
    assert refused.value.code == "invalid"


def test_what_they_refer_to_is_known_before_a_run() -> None:
    assert names_in({"a": ["{{ x.y }} {{ z | default(w) }}"], "b": "plain"}) == {"x", "z", "w"}
    assert names_of_condition("len(a.b) > c and true") == {"a", "c"}
    assert reference_of("{{ a.b }}") == ("a", "b")
    assert reference_of("{{ a }}!") is None


def test_a_filter_that_there_is_not_is_named() -> None:
    with pytest.raises(HomeportError, match="No filter named 'shout'"):
        names_in("{{ a | shout }}")
