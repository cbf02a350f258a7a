"""How the pages name and draw states, progress and lengths of time."""

from __future__ import annotations

import re
from typing import Any

import pytest

from homeport_dashboard.connection import Connection
from homeport_dashboard.pages.tasks import STATES
from homeport_dashboard.rendering import Pages, seconds


@pytest.fixture
def ui() -> Any:
    """The macros of all pages."""
    return Pages(Connection(lambda: None), "1")._environment.globals["ui"]  # type: ignore[arg-type,return-value]


def test_each_state_has_a_label_and_an_icon_of_its_own(ui: Any) -> None:
    drawn = [ui.task_state(state) for state in STATES]
    assert set(STATES) == {"queued", "running", "waiting", "paused", "completed", "failed", "cancelled"}
    icons = [re.search(r"icons.svg#([a-z]+)", text)[1] for text in drawn]  # type: ignore[index]
    assert len(set(icons)) == len(STATES)
    assert all(
        f">{state}</span>" in re.sub(r"<svg.*?</svg>", "", text) for state, text in zip(STATES, drawn, strict=True)
    )


def test_progress_is_said_in_one_line(ui: Any) -> None:
    known = {"percent": 41.6, "text": "rag__search", "eta_seconds": 75.0}
    assert str(ui.progress_text(known)) == "42 % · rag__search · about 75 s left"
    assert str(ui.progress_text({"percent": None, "text": "", "eta_seconds": None})) == ""
    assert 'value="41.6"' in str(ui.bar(known, "running"))


@pytest.mark.parametrize(("length", "said"), [(0.44, "0.4 s"), (75, "75 s"), (150, "2 min"), (7_500, "2 h 5 min")])
def test_lengths_of_time_are_said_as_people_do(length: float, said: str) -> None:
    assert seconds(length) == said
