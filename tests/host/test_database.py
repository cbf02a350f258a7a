"""The host's database over the versions of Homeport."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select

import homeport_host.host  # noqa: F401 (every table is known then)
from homeport_host import migrations
from homeport_host.chat.store import sessions
from homeport_host.database import Database, metadata, sqlite_engine
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
LATER = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9001", "0003"
def upgrade():
    op.create_table("later", sa.Column("id", sa.Integer))
"""
DUMPS = sorted(Path(__file__).with_name("fixtures").glob("host_*.sql"))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_database_of_any_version_comes_up_with_its_rows(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "host.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(dump.read_text(encoding="utf-8"))
    database = Database(path)
    await database.open()
    titles = await database.read(lambda connection: connection.scalars(select(sessions.c.title)).all())
    await database.aclose()
    assert titles == ["The shed"]
    with sqlite_engine(path).connect() as connection:
        assert migrations.version_of(connection) == migrations.HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_every_version_has_its_script_and_its_dump() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == migrations.HEAD
    assert [dump.stem.removeprefix("host_") for dump in DUMPS] == sorted(
        script.revision for script in scripts.walk_revisions()
    )


async def test_an_older_database_is_led_up_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, later)
    script = later / "versions" / "9001_later.py"
    database = Database(tmp_path / "host.db")
    await database.open()
    monkeypatch.setattr(migrations, "FOLDER", later)
    monkeypatch.setattr(migrations, "HEAD", "9001")
    script.write_text(LATER + '    op.execute("NO SQL")\n', encoding="utf-8")
    with pytest.raises(HomeportError):
        await database.open()
    assert await database.read(lambda c: (migrations.version_of(c), inspect(c).has_table("later"))) == ("0003", False)
    script.write_text(LATER, encoding="utf-8")
    await database.open()
    assert await database.read(lambda c: (migrations.version_of(c), inspect(c).has_table("later"))) == ("9001", True)
    await database.aclose()


async def test_a_database_of_a_newer_homeport_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "host.db"
    database = Database(path)
    await database.open()
    await database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'") and None)
    with pytest.raises(HomeportError, match="newer Homeport") as refused:
        await database.open()
    assert refused.value.code == "conflict"
    await database.aclose()
