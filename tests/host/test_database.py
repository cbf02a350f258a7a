"""The host's database over the versions of Homeport."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from tests.postgres import Postgres

import homeport_host.host  # noqa: F401 (every table is known then)
from homeport_host import migrations
from homeport_host.chat.store import sessions
from homeport_host.database import Database, metadata
from homeport_host.dialects import engine_for, parse
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
LATER = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9001", "0009"
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
    with engine_for(path).connect() as connection:
        assert migrations.version_of(connection) == migrations.HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_every_version_has_its_script_and_its_dump() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == migrations.HEAD
    assert [dump.stem.removeprefix("host_") for dump in DUMPS] == sorted(
        script.revision for script in scripts.walk_revisions()
    )


async def test_an_older_database_is_led_up_as_a_whole_or_not_at_all(
    tmp_path: Path, fresh_place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, later)
    script = later / "versions" / "9001_later.py"
    database = Database(fresh_place.database)
    await database.open()
    monkeypatch.setattr(migrations, "FOLDER", later)
    monkeypatch.setattr(migrations, "HEAD", "9001")
    script.write_text(LATER + '    op.execute("NO SQL")\n', encoding="utf-8")
    with pytest.raises(HomeportError):
        await database.open()
    assert await database.read(lambda c: (migrations.version_of(c), inspect(c).has_table("later"))) == ("0009", False)
    script.write_text(LATER, encoding="utf-8")
    await database.open()
    assert await database.read(lambda c: (migrations.version_of(c), inspect(c).has_table("later"))) == ("9001", True)
    await database.aclose()


async def test_every_step_between_versions_works_on_both_databases(fresh_place: Any) -> None:
    database = Database(fresh_place.database)
    await database.open()

    def down_and_up(connection: Connection) -> None:
        config = Config(attributes={"connection": connection, "tables": metadata})
        config.set_main_option("script_location", str(migrations.FOLDER))
        command.downgrade(config, "0001")
        migrations.bring_up(connection, metadata)

    await database.write(down_and_up)
    with database.engine.connect() as connection:
        assert migrations.version_of(connection) == migrations.HEAD
        found = compare_metadata(MigrationContext.configure(connection, opts={"include_schemas": False}), metadata)
        assert found == []
    await database.aclose()


async def test_a_database_of_a_newer_homeport_is_left_alone(fresh_place: Any) -> None:
    database = Database(fresh_place.database)
    await database.open()
    await database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'") and None)
    with pytest.raises(HomeportError, match="newer Homeport") as refused:
        await database.open()
    assert refused.value.code == "conflict"
    await database.aclose()


@pytest.mark.parametrize("url", ["nonsense", "mysql://somewhere/db", "postgresql://somewhere"])
def test_an_address_of_no_postgresql_database_is_refused(url: str) -> None:
    with pytest.raises(HomeportError, match="no address of a PostgreSQL database") as refused:
        parse(url)
    assert refused.value.hint


async def test_a_postgresql_that_is_not_there_is_named_without_its_password() -> None:
    database = Database(parse("postgresql://me:secret-word@127.0.0.1:1/name"))
    with pytest.raises(HomeportError, match="cannot be reached") as refused:
        await database.open()
    assert refused.value.code == "unavailable" and "secret-word" not in str(refused.value)


async def test_text_that_postgresql_cannot_store_is_refused_in_plain_words(postgres: Postgres) -> None:
    database = Database(parse(postgres.url("postgres")))
    with pytest.raises(HomeportError, match="cannot store this") as refused:
        await database.read(lambda connection: connection.execute(text("SELECT :x"), {"x": "a\x00b"}).all())
    assert refused.value.code == "invalid"
    await database.aclose()


@pytest.fixture
def private() -> Iterator[Postgres]:
    """A server that a test may stop without disturbing others."""
    server = Postgres()
    server.start()
    yield server
    server.remove()


async def test_what_was_under_way_when_postgresql_stopped_hard_is_done_once(private: Postgres) -> None:
    database = Database(parse(private.url("postgres")))
    await database.write(lambda connection: connection.execute(text("CREATE TABLE noted (word TEXT)")))

    def cut(connection: Connection, *, first: list[bool] = [True]) -> None:  # noqa: B006 - it is cut the first time
        connection.execute(text("INSERT INTO noted VALUES ('before')"))
        if first.pop() if first else False:
            private.stop(hard=True)
            private.start()

    await database.write(cut)
    assert await words(database) == ["before"]
    await database.aclose()


async def test_a_commit_whose_answer_was_lost_is_looked_up_and_not_repeated(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(parse(postgres.url(postgres.new())))
    await database.write(lambda connection: connection.execute(text("CREATE TABLE noted (word TEXT)")))
    lost: list[str] = []

    def commit(connection: Any) -> None:
        connection.commit()
        if not lost:
            lost.append("the answer")
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(database.engine.dialect, "do_commit", commit)
    await database.write(lambda connection: connection.execute(text("INSERT INTO noted VALUES ('once')")))
    assert lost and await words(database) == ["once"]
    await database.aclose()


async def words(database: Database) -> list[str]:
    return await database.read(lambda connection: list(connection.scalars(text("SELECT word FROM noted"))))
