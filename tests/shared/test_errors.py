"""The one form of every failure."""

from __future__ import annotations

import pytest

from homeport_shared.errors import LONGEST_MESSAGE, HomeportError, foreseen_in, refuse_broken_text


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


def test_a_message_that_repeats_a_long_input_is_cut_in_its_middle() -> None:
    error = HomeportError("not_found", f"There is no file {'x' * 100_000!r} here.")
    assert len(error.message) < LONGEST_MESSAGE
    assert error.message.startswith("There is no file")
    assert error.message.endswith("here.")


def test_text_with_half_a_character_is_refused_wherever_it_is() -> None:
    refuse_broken_text({"a": ["whole \U0001f600"]}, "files__write")
    for broken in ({"a": ["\ud83d"]}, {"\ud83d": 1}):
        with pytest.raises(HomeportError, match=r"files__write was given text with half a character"):
            refuse_broken_text(broken, "files__write")
