"""A database that refuses a record does not end a run: the engine is told, and goes on later."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from homeport_host.database import Database
from homeport_host.workflows.journal import Journal, Step

pytestmark = pytest.mark.anyio


async def test_a_record_that_cannot_be_written_raises_what_the_driver_said(tmp_path: Path) -> None:
    database = Database(tmp_path / "host.db")
    await database.open()
    journal, step = Journal(database), Step("a", "a", "tool", started="2026-11-21T08:00:00Z")
    await journal.put("r", step)
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE workflow_steps RENAME TO gone") and None)
    with pytest.raises(DBAPIError):
        await journal.put("r", step)
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE gone RENAME TO workflow_steps") and None)
    assert await journal.steps("r") == [step]
    await database.aclose()
