"""What robots.txt asks, by RFC 9309."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_web.robots import allowed, rules_for

FILE = """\
# a comment
User-agent: other
User-agent: Homeport-Web/1.0
Disallow: /ours   # another
Allow: /ours/but

User-Agent: *
Disallow: /all
Sitemap: https://example.org/map.xml
Disallow: /*.pdf$
"""


@pytest.mark.parametrize(
    ("program", "path", "expected"),
    [
        ("homeport-web", "/ours", False),
        ("homeport-web", "/ours/but", True),
        ("homeport-web", "/all", True),
        ("somebody", "/all/of/it", False),
        ("somebody", "/ours", True),
        ("somebody", "/paper.pdf", False),
        ("somebody", "/paper.pdf?page=2", True),
        ("somebody", "/%61ll", False),
    ],
)
def test_the_group_of_the_program_decides_and_in_it_the_longest_rule(program: str, path: str, expected: bool) -> None:
    assert allowed(rules_for(FILE, program), path) is expected


@pytest.mark.parametrize(
    "text", ["", "<html>Not found</html>", "Disallow: /\n", "User-agent: *\nDisallow:\n", "\x00\xff:"]
)
def test_what_forbids_nothing_allows_everything(text: str) -> None:
    assert allowed(rules_for(text, "homeport-web"), "/x")


def test_a_hostile_pattern_is_compared_in_no_time() -> None:
    rules = rules_for("User-agent: *\nDisallow: /" + "*a" * 2000 + "$\n", "homeport-web")
    assert allowed(rules, "/" + "a" * 5000 + "b")


@given(st.text(alphabet="/ab*$%2Ff", max_size=12), st.text(alphabet="/ab%2Ff", max_size=12))
def test_a_pattern_fits_what_it_spells(pattern: str, path: str) -> None:
    rules = rules_for(f"User-agent: *\nDisallow: /{pattern}\n", "homeport-web")
    allowed(rules, f"/{path}")
    assert allowed(rules_for(f"User-agent: *\nDisallow: /{path}\n", "homeport-web"), f"/{path}x") is False
