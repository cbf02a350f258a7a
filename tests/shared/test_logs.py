"""What a log line holds, and what it must not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from homeport_shared import logs


@pytest.fixture
def line(tmp_path: Path) -> dict:
    before = logging.getLogger().handlers[:]
    logs.configure("test", folder=tmp_path, stderr=False)
    letter = "Dear diary"
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("homeport_test").exception("unexpected failure")
    for handler in logging.getLogger().handlers:
        handler.close()
    logging.getLogger().handlers[:] = before
    text = (tmp_path / "test.log").read_text("utf-8")
    assert letter not in text
    return json.loads(text)


def test_a_failure_is_logged_with_its_place_and_without_the_values_of_variables(line: dict) -> None:
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert line["exception"][0]["frames"][-1]["filename"] == __file__
    assert "locals" not in line["exception"][0]["frames"][-1]


def test_a_program_that_writes_garbage_without_end_does_not_push_out_all_else(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:]
    logs.configure("test", folder=tmp_path, stderr=False)
    for number in range(1000):
        logging.getLogger("mcp.client.stdio").error("Failed to parse JSONRPC message %d", number)
    logging.getLogger("homeport_test").warning("still to be seen")
    for handler in logging.getLogger().handlers:
        handler.close()
    logging.getLogger().handlers[:] = before
    lines = [json.loads(each)["event"] for each in (tmp_path / "test.log").read_text("utf-8").splitlines()]
    assert len(lines) <= 2
    assert lines[-1] == "still to be seen"
