"""SQLite stores: all or nothing, several processes, damage in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database, Migrations

from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import SqliteFile

COUNT = Migrations("test.count")


@COUNT()
def create(database: Database) -> None:
    database.conn.execute("CREATE TABLE numbers (n INTEGER NOT NULL)")


def numbers(database: Database) -> list[int]:
    return [row[0] for row in database.conn.execute("SELECT n FROM numbers ORDER BY rowid")]


@pytest.mark.anyio
async def test_a_write_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "deep" / "a.db", COUNT)

    def half(database: Database) -> None:
        database.conn.execute("INSERT INTO numbers VALUES (1)")
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        await file.write(half)
    assert await file.read(numbers) == []
    await file.aclose()


@pytest.mark.anyio
async def test_a_closed_file_opens_again_at_the_next_use(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "a.db", COUNT)
    await file.write(lambda database: database.conn.execute("INSERT INTO numbers VALUES (7)"))
    await file.aclose()
    assert await file.read(numbers) == [7]
    await file.aclose()


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
        "from sqlite_utils import Database, Migrations\n"
        "from homeport_shared.sqlite import SqliteFile\n"
        "m = Migrations('test.count')\n"
        "@m()\n"
        "def create(db): db.conn.execute('CREATE TABLE numbers (n INTEGER NOT NULL)')\n"
        "async def main():\n"
        "    file = SqliteFile(Path(sys.argv[1]), m)\n"
        "    for n in range(100):\n"
        "        await file.write(lambda db: db.conn.execute('INSERT INTO numbers VALUES (?)', (n,)))\n"
        "    await file.aclose()\n"
        "anyio.run(main)\n",
        encoding="utf-8",
    )
    with anyio.fail_after(50):
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
        "    await file.write(lambda db: db.conn.execute('CREATE TABLE numbers (n INTEGER)'))\n"
        "    for n in range(5):\n"
        "        await file.write(lambda db: db.conn.execute('INSERT INTO numbers VALUES (?)', (n,)))\n"
        "    os.kill(os.getpid(), 9)\n"
        "anyio.run(main)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.db")], check=False, timeout=50)
    file = SqliteFile(tmp_path / "a.db")
    assert anyio.run(file.read, numbers) == [0, 1, 2, 3, 4]
    anyio.run(file.aclose)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(st.lists(st.integers(-(2**62), 2**62), max_size=4), st.booleans()), max_size=6))
def test_a_store_holds_exactly_the_batches_that_succeeded(
    batches: list[tuple[list[int], bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def run() -> list[int]:
        file = SqliteFile(tmp_path_factory.mktemp("p") / "a.db", COUNT)
        for batch, fails in batches:

            def work(database: Database, batch: list[int] = batch, fails: bool = fails) -> None:
                database.conn.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in batch])
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
