"""What must survive: kill -9 at any moment, two processes, a damaged database, a cancelled ingest, a restart."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from tests.patience import PATIENCE

from homeport_rag.server import build_server
from homeport_shared.testing.clients import connected, finished_job

PROGRAM = """
import sys, anyio
from pathlib import Path
from homeport_shared import jobs
from homeport_shared.context import open_context
from homeport_rag.knowledge import Knowledge

jobs.LEASE_SECONDS, jobs.BEAT_SECONDS = 0.5, 0.1

async def main(home, folder):
    async with open_context("rag", home=Path(home), flags={"folders": [folder]}) as context:
        knowledge = Knowledge(context)
        job = await knowledge.add_paths([folder], collection="default", metadata={}, prune=True)
        print("started", flush=True)
        await knowledge.jobs.wait(job.id)
        knowledge.meaning.wake()
        while any(c.embedded < c.chunks for c in (await knowledge.stats()).collections):
            await anyio.sleep(0.05)

anyio.run(main, *sys.argv[1:])
"""
KILLS = int(os.environ.get("HOMEPORT_KILLS", "4"))  # `make soak` asks for 50


def write_documents(folder: Path, count: int) -> None:
    folder.mkdir()
    words = ["amber", "basalt", "copper", "dune", "ember", "fjord", "glacier", "harbour", "island", "jetty", "kelp"]
    chooser = random.Random(7)
    for number in range(count):
        paragraphs = [" ".join(chooser.choices(words, k=80)) + "." for _ in range(3)]
        file = folder / f"{number:03}.md"
        file.write_text(f"# Number {number}\n\n" + "\n\n".join(paragraphs), "utf-8")
        os.utime(file, (1_700_000_000 + number, 1_700_000_000 + number))  # settled: its time can be relied on


def content(home: Path) -> dict[str, list[Any]]:
    """Everything but what differs between any two runs: ids of passages, and when they were stored."""
    with closing(sqlite3.connect(home / "rag" / "knowledge.db")) as connection:
        connection.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('integrity-check')")
        queries = {
            "documents": "SELECT id, uri, title, media_type, size, sha256, mtime_ns, modified, metadata, warnings,"
            " error, language, passages FROM documents ORDER BY uri",
            "texts": "SELECT document_id, text FROM texts ORDER BY document_id",
            "chunks": "SELECT document_id, ordinal, header, text, line, end_line, vector FROM chunks"
            " JOIN vectors ON chunk_id = id ORDER BY document_id, ordinal",
            "index": "SELECT document_id, ordinal FROM chunks_fts f JOIN chunks c ON c.id = f.rowid"
            " WHERE chunks_fts MATCH 'glacier' ORDER BY 1, 2",
            "counted": "SELECT * FROM counts ORDER BY 1, 2",
            "counts": "SELECT (SELECT count(*) FROM chunks), (SELECT count(*) FROM vectors),"
            " (SELECT count(*) FROM changes), (SELECT count(*) FROM chunks_fts)",
        }
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def start(home: Path, folder: Path, program: str = PROGRAM) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(home), str(folder)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == "started\n"
    return process


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(300 + 20 * KILLS)
@pytest.mark.usefixtures("model")
def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder, seed = tmp_path / "documents", random.randrange(10**6)
    write_documents(folder, 40)
    began = time.monotonic()
    assert start(tmp_path / "calm", folder).wait() == 0
    whole = time.monotonic() - began
    moments = random.Random(seed)
    for _ in range(KILLS):
        process = start(tmp_path / "rough", folder)
        try:
            process.wait(moments.uniform(0, whole / 6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert start(tmp_path / "rough", folder).wait() == 0
    calm, rough = content(tmp_path / "calm"), content(tmp_path / "rough")
    for name, rows in calm.items():
        assert rough[name] == rows, f"{name} differ with seed {seed}"
    with closing(sqlite3.connect(tmp_path / "rough" / "rag" / "jobs.db")) as connection:
        [new] = connection.execute(
            "SELECT json_extract(body, '$.counters.new') FROM jobs WHERE kind = 'ingest' ORDER BY seq LIMIT 1"
        ).fetchone()
    assert new == 40


REBUILD = PROGRAM.replace(
    'knowledge.add_paths([folder], collection="default", metadata={}, prune=True)', "knowledge.rebuild([], [])"
)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(300 + 20 * KILLS)
@pytest.mark.usefixtures("model")
def test_kill_9_in_a_rebuild_leaves_every_document_whole_and_the_rebuild_goes_on(tmp_path: Path) -> None:
    folder, home, seed = tmp_path / "documents", tmp_path / "home", random.randrange(10**6)
    write_documents(folder, 12)
    assert start(home, folder).wait() == 0
    before, moments = content(home), random.Random(seed)
    began = time.monotonic()
    assert start(home, folder, REBUILD).wait() == 0
    whole = time.monotonic() - began
    for _ in range(max(KILLS // 4, 1)):
        process = start(home, folder, REBUILD)
        try:
            process.wait(moments.uniform(0, whole))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        between = content(home)
        for name in ("documents", "texts", "chunks", "index"):
            assert between[name] == before[name], f"{name} differ with seed {seed}"
    assert start(home, folder, REBUILD).wait() == 0
    after = content(home)
    for name in ("documents", "texts", "chunks", "index", "counted"):
        assert after[name] == before[name], f"{name} differ with seed {seed}"
    with closing(sqlite3.connect(home / "rag" / "jobs.db")) as connection:
        states = {state for (state,) in connection.execute("SELECT state FROM jobs WHERE kind = 'rebuild'")}
    assert states == {"completed"}


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def program(home: Path, *arguments: str) -> Client:
    script = Path(sys.executable).with_name("homeport-rag")
    environment = {"HOMEPORT_MODEL_DIR": str(home / "none")}
    return Client(StdioServerParameters(command=str(script), args=["--home", str(home), *arguments], env=environment))


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_the_program_alone_takes_a_folder_in_and_answers(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    write_documents(folder, 3)
    async with program(tmp_path / "home", "--folders", str(folder)) as client:
        started = await call(client, "sync_folder", path=str(folder))
        assert (await finished_job(client, started["id"]))["counters"]["new"] == 3
        hits = (await call(client, "search", query="glacier"))["hits"]
        assert {hit["title"] for hit in hits} == {"Number 0", "Number 1", "Number 2"}


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.subprocess
async def test_two_processes_on_one_data_root_do_not_disturb_each_other(tmp_path: Path) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    write_documents(folder, 30)
    async with program(home, "--folders", str(folder)) as one, program(home, "--folders", str(folder)) as other:
        started: list[str] = []

        async def work(client: Client, name: str) -> None:
            started.append((await call(client, "sync_folder", path=str(folder)))["id"])
            for number in range(10):
                await call(client, "add", text=f"entry {number} of {name}")
            await finished_job(client, started[-1])

        async with anyio.create_task_group() as group:
            group.start_soon(work, one, "one")
            group.start_soon(work, other, "other")
        for client in (one, other):
            [default, *_] = (await call(client, "stats"))["collections"]
            assert default["documents"] == 50
        jobs = (await call(one, "jobs"))["jobs"]
        assert {job["state"] for job in jobs} == {"completed"}
        assert max(job["counters"]["new"] for job in jobs) == 30


@pytest.mark.anyio
@pytest.mark.usefixtures("no_model")
async def test_a_cancelled_ingest_stops_and_keeps_what_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    write_documents(folder, 400)
    async with connected(build_server, "rag", tmp_path / "home", flags={"folders": [str(folder)]}) as client:
        started = await call(client, "sync_folder", path=str(folder))
        with anyio.fail_after(PATIENCE):
            while not (await call(client, "search", query="glacier"))["hits"]:
                await anyio.sleep(0.02)
        [running] = (await call(client, "jobs", job_id=started["id"]))["jobs"]
        assert running["state"] == "running"
        assert (running["total"], running["seconds"] > 0) == (400, True)
        assert {"memory_mb", "chunks_per_second", "new"} <= set(running["counters"])
        cancelled = await call(client, "cancel_job", job_id=started["id"])
        assert cancelled == {"id": started["id"], "state": "cancelled"}
        [default, *_] = (await call(client, "stats"))["collections"]
        assert 0 < default["documents"] < 400
        again = await finished_job(client, (await call(client, "sync_folder", path=str(folder)))["id"])
        assert again["counters"]["new"] + default["documents"] == 400


@pytest.mark.anyio
@pytest.mark.usefixtures("no_model")
async def test_a_damaged_database_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "rag").mkdir()
    (tmp_path / "rag" / "knowledge.db").write_bytes(b"this is not a database. " * 400)
    async with connected(build_server, "rag", tmp_path) as client:
        for tool, arguments in (("search", {"query": "x"}), ("add", {"text": "x"}), ("stats", {})):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert result.meta["io.homeport/error"]["code"] == "damaged"
            assert "knowledge.db is damaged" in result.content[0].text
            assert "Traceback" not in result.content[0].text


@pytest.mark.anyio
@pytest.mark.model
@pytest.mark.usefixtures("model")
async def test_results_are_the_same_after_a_restart_and_without_the_index_files(tmp_path: Path) -> None:
    texts = ["A cat sleeps on the sofa.", "The stock market fell.", "Rain is expected tomorrow.", "Bread needs flour."]
    answers: list[Any] = []
    for start_number in range(3):
        async with connected(build_server, "rag", tmp_path) as client:
            for text in texts if start_number == 0 else []:
                await call(client, "add", text=text)
            with anyio.fail_after(PATIENCE):
                while (await call(client, "stats"))["collections"][0]["embedded"] < 4:
                    await anyio.sleep(0.05)
            queries = ("weather forecast", "share prices", "pets", "baking")
            answers.append([await call(client, "search", query=query, mode="vector") for query in queries])
        if (tmp_path / "rag" / "knowledge.vectors").exists():
            for file in (tmp_path / "rag" / "knowledge.vectors").iterdir():
                file.unlink()
    assert answers[0] == answers[1] == answers[2]
    assert [answer["hits"][0]["text"] for answer in answers[0]] == [texts[2], texts[1], texts[0], texts[3]]
    assert {answer["mode"] for answer in answers[0]} == {"vector"}
