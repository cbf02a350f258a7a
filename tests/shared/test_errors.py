"""The one form of every failure."""

from __future__ import annotations

import pytest

from homeport_shared.errors import HomeportError, foreseen_in


def test_an_error_travels_as_data() -> None:
    sent = HomeportError("not_found", "There is no file 'a'.", "List the folder.")
    came = HomeportError.from_dict(sent.as_dict())
    assert (came.code, came.message, came.hint) == (sent.code, sent.message, sent.hint)
    assert str(came) == "There is no file 'a'. List the folder."


@pytest.mark.parametrize("told", [{}, {"code": "made up", "message": None}, {"hint": 3}])
def test_what_another_process_sends_badly_is_still_an_error(told: dict) -> None:
    came = HomeportError.from_dict(told, "It failed.")
    assert (came.code, came.message) == ("internal", "It failed.")


def test_the_foreseen_failure_is_found_in_nested_groups() -> None:
    meant = HomeportError("limit", "Enough.")
    group = BaseExceptionGroup("outer", [ValueError("noise"), ExceptionGroup("inner", [meant])])
    assert foreseen_in(group) is meant
    assert foreseen_in(ValueError("noise")) is None
