"""SQLite stores: all or nothing, several processes, damage in one sentence."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import Schema, SqliteFile, statements

COUNT = Schema("test.count", ("CREATE TABLE numbers (n INTEGER NOT NULL)",))


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY rowid")]


@pytest.mark.anyio
async def test_a_write_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "deep" / "a.db", COUNT)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (1)")
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        await file.write(half)
    assert await file.read(numbers) == []
    await file.aclose()


@pytest.mark.anyio
async def test_a_closed_file_opens_again_at_the_next_use(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "a.db", COUNT)
    await file.write(lambda connection: connection.execute("INSERT INTO numbers VALUES (7)"))
    await file.aclose()
    assert await file.read(numbers) == [7]
    await file.aclose()


@pytest.mark.anyio
async def test_an_older_file_is_brought_to_the_newest_version_and_keeps_its_rows(tmp_path: Path) -> None:
    older, broken, newer = (
        Schema("test.count", (*COUNT.versions, *more))
        for more in (
            (),
            ("CREATE TABLE more (n); SELECT no_such_function()",),
            ("ALTER TABLE numbers ADD COLUMN more",),
        )
    )
    for schema in (older, broken, newer, newer):
        file = SqliteFile(tmp_path / "a.db", schema)
        if schema is broken:
            with pytest.raises(HomeportError, match="no_such_function"):
                await file.read(numbers)
        else:
            await file.write(lambda connection: connection.execute("INSERT INTO numbers (n) VALUES (7)"))
        await file.aclose()
    file = SqliteFile(tmp_path / "a.db", newer)
    assert await file.read(numbers) == [7, 7, 7]
    assert await file.read(lambda connection: connection.execute("SELECT name FROM sqlite_master").fetchall()) == [
        ("schema_versions",),
        ("sqlite_autoindex_schema_versions_1",),
        ("numbers",),
    ]
    await file.aclose()


@pytest.mark.anyio
async def test_two_stores_share_a_file(tmp_path: Path) -> None:
    files = [
        SqliteFile(tmp_path / "a.db", COUNT),
        SqliteFile(tmp_path / "a.db", Schema("test.words", ("CREATE TABLE words (w TEXT)", "DROP TABLE words"))),
    ]
    for file in files:
        assert await file.read(lambda _: True)
        await file.aclose()


def test_a_script_is_taken_apart_between_statements_only() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM b;\n  DELETE FROM c;\nEND;"
    text = "INSERT INTO a VALUES ('one; two');"
    assert [part.strip() for part in statements(f"{text}\n{trigger}\n{text[:-1]}\n")] == [text, trigger, text]


@pytest.mark.anyio
async def test_a_damaged_file_gives_one_sentence_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(HomeportError, match=r"a\.db is damaged .*move that file away") as caught:
        await SqliteFile(path, COUNT).read(numbers)
    assert caught.value.code == "damaged"


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_two_processes_lose_no_write(tmp_path: Path) -> None:
    program = tmp_path / "writer.py"
    program.write_text(
        "import sys, anyio\n"
        "from pathlib import Path\n"
        "from homeport_shared.sqlite import Schema, SqliteFile\n"
        "m = Schema('test.count', ('CREATE TABLE numbers (n INTEGER NOT NULL)',))\n"
        "async def main():\n"
        "    file = SqliteFile(Path(sys.argv[1]), m)\n"
        "    for n in range(100):\n"
        "        await file.write(lambda db: db.execute('INSERT INTO numbers VALUES (?)', (n,)))\n"
        "    await file.aclose()\n"
        "anyio.run(main)\n",
        encoding="utf-8",
    )
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(anyio.run_process, [sys.executable, str(program), str(tmp_path / "a.db")])
    file = SqliteFile(tmp_path / "a.db", COUNT)
    assert sorted(await file.read(numbers)) == sorted([*range(100), *range(100)])
    await file.aclose()


@pytest.mark.subprocess
def test_a_killed_process_keeps_every_write_that_returned(tmp_path: Path) -> None:
    program = (
        "import os, sys, anyio\n"
        "from pathlib import Path\n"
        "from homeport_shared.sqlite import SqliteFile\n"
        "async def main():\n"
        "    file = SqliteFile(Path(sys.argv[1]))\n"
        "    await file.write(lambda db: db.execute('CREATE TABLE numbers (n INTEGER)'))\n"
        "    for n in range(5):\n"
        "        await file.write(lambda db: db.execute('INSERT INTO numbers VALUES (?)', (n,)))\n"
        "    os.kill(os.getpid(), 9)\n"
        "anyio.run(main)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.db")], check=False, timeout=PATIENCE)
    file = SqliteFile(tmp_path / "a.db")
    assert anyio.run(file.read, numbers) == [0, 1, 2, 3, 4]
    anyio.run(file.aclose)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(st.lists(st.integers(-(2**62), 2**62), max_size=4), st.booleans()), max_size=6))
def test_a_store_holds_exactly_the_batches_that_succeeded(
    batches: list[tuple[list[int], bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def run() -> list[int]:
        file = SqliteFile(tmp_path_factory.mktemp("p") / "a.db", COUNT)
        for batch, fails in batches:

            def work(connection: sqlite3.Connection, batch: list[int] = batch, fails: bool = fails) -> None:
                connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in batch])
                if fails:
                    raise LookupError

            try:
                await file.write(work)
            except LookupError:
                assert fails
        kept = await file.read(numbers)
        await file.aclose()
        return kept

    assert anyio.run(run) == [n for batch, fails in batches if not fails for n in batch]
