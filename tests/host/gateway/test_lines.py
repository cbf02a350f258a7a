"""What stdio servers write arrives in whole lines, and nothing that is too long arrives at all."""

from __future__ import annotations

import codecs
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_host.gateway.lines import ENCODING, LONGEST_LINE, LineDecoder


def decoded(data: bytes, size: int) -> list[str]:
    decoder = LineDecoder()
    parts = [decoder.decode(data[at : at + size]) for at in range(0, len(data), size)]
    return [*parts, decoder.decode(b"", final=True)]


@given(text=st.text(), size=st.integers(1, 9))
def test_any_text_comes_out_as_it_went_in_and_in_whole_lines(text: str, size: int) -> None:
    *begun, rest = decoded(text.encode(), size)
    assert "".join([*begun, rest]).removesuffix("\n") == text.removesuffix("\n")
    assert all(not part or part.endswith("\n") for part in begun)


def test_the_encoding_is_found_by_its_name() -> None:
    assert "Grüße\n".encode(ENCODING) == "Grüße\n".encode()
    assert codecs.getincrementaldecoder(ENCODING)().decode(b"\xff{}\n") == "\ufffd{}\n", "no byte ends the reading"


@pytest.mark.parametrize("chunk", [65_536, 1 << 30])
@pytest.mark.parametrize(
    ("start", "end", "number"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"text":"', b'"}}', 7),
        (b'{"id": "a-7", "result": {"text": "', b'"}}', "a-7"),
        (b'{"result":{"text":"', b'"},"jsonrpc":"2.0","id":7}', 7),
    ],
)
def test_an_answer_that_is_too_long_becomes_an_error_of_its_call(
    start: bytes, end: bytes, number: object, chunk: int
) -> None:
    long = start + b"x" * (LONGEST_LINE + (1 << 20)) + end
    first, second = "".join(decoded(long + b'\n{"next": 1}\n', chunk)).splitlines()
    assert json.loads(first)["id"] == number
    assert "at most 16 MiB are accepted" in json.loads(first)["error"]["message"]
    assert second == '{"next": 1}', "what follows is read as before"


def test_a_message_that_is_too_long_and_answers_nothing_is_dropped_and_noted(caplog: pytest.LogCaptureFixture) -> None:
    long = b'{"method":"notifications/message","params":"' + b"x" * LONGEST_LINE + b'"}'
    assert "".join(decoded(long + b"\n{}\n", 65_536)) == "{}\n"
    assert "it was dropped" in caplog.text
