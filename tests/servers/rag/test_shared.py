"""The knowledge base in PostgreSQL: the same passages as in SQLite, shared by processes, whole after every accident."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from tests.patience import PATIENCE
from tests.postgres import Postgres
from tests.servers.rag.test_faults import KILLS, start, write_documents

from homeport_rag.records import Passage, Source
from homeport_rag.search import Filters, full_text_query, query_words
from homeport_rag.server import build_server
from homeport_rag.store import collections, documents, embeddings, integrity, matching, store_for
from homeport_rag.store.dialect import Connection
from homeport_rag.store.postgres import vectors
from homeport_rag.store.postgres.link import Session, alone, opened
from homeport_rag.store.postgres.words import Lists
from homeport_rag.store.schema import SCHEMA
from homeport_shared.errors import HomeportError
from homeport_shared.sqlite import connect
from homeport_shared.testing.clients import connected, finished_job
from homeport_shared.workers import Worker

NOW = "2026-01-01T00:00:00Z"
WORDS = [
    "wing",
    "wings",
    "flow",
    "heat",
    "boundary",
    "layer",
    "panel",
    "flutter",
    "mach",
    "東京",
    "京都",
    "x_y",
    "naïve",
]
MODES = ("lexical", "vector", "hybrid", "name")
TOPICS = ["tea", "kettle", "market", "shares", "rain", "storm", "bread", "flour", "tyres", "engine", "roses", "garden"]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def embedded(client: Client, count: int) -> None:
    with anyio.fail_after(120):
        while (await call(client, "stats"))["collections"][0]["embedded"] < count:
            await anyio.sleep(0.05)


def put(connection: Connection, name: str, texts: list[str], collection: int = 1) -> None:
    passages = [Passage(text, header=name) for text in texts]
    source = Source(name, f"text:{name}", name, "text/plain", 0, name, "\n".join(texts), passages)
    documents.put(connection, source, collection, english=True, actor="", now=NOW)


@pytest.fixture
def session(shared: str) -> Iterator[Session]:
    session = opened(shared)
    yield session
    session.raw.close()


@pytest.mark.anyio
@pytest.mark.model
@pytest.mark.usefixtures("model")
async def test_the_same_query_returns_the_same_passages_with_the_same_scores_on_both(
    tmp_path: Path, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(3)
    texts = [" ".join(dice.choices([*WORDS, *TOPICS], k=dice.randint(3, 40))) + "." for _ in range(40)]
    queries = [" ".join(dice.choices([*WORDS, *TOPICS, "the", "absent"], k=dice.randint(1, 8))) for _ in range(8)]
    answers: list[list[Any]] = []
    for home, address in (("one", ""), ("other", shared)):
        monkeypatch.setenv("HOMEPORT_RAG_DATABASE", address)
        async with connected(build_server, "rag", tmp_path / home) as client:
            for number, text in enumerate(texts):
                metadata = {"half": number % 2}
                await call(client, "add", text=text, title=f"{text[:20]}", document_id=f"d{number}", metadata=metadata)
            await call(client, "delete", document_ids=["d7", "d8"])
            await call(client, "move_documents", document_ids=["d9"], collection="reports")
            await embedded(client, len(texts) - 3)
            found = [
                await call(client, "search", query=query, mode=mode, k=10, metadata=metadata)
                for query in queries
                for mode in MODES
                for metadata in ({}, {"half": 1})
            ]
            answers.append([[(hit["document_id"], hit["text"], hit["score"]) for hit in one["hits"]] for one in found])
            assert {one["mode"] for one in found} == set(MODES)
            assert (await call(client, "validate"))["problems"] == []
    assert answers[0] == answers[1]
    assert sum(len(hits) for hits in answers[0]) > 200


def test_words_are_those_of_fts5_and_so_are_their_scores(tmp_path: Path, session: Session) -> None:
    local = connect(tmp_path / "knowledge.db", SCHEMA)
    dice = random.Random(5)
    for number in range(20):
        texts = [" ".join(dice.choices(WORDS, k=dice.randint(0, 30))) for _ in range(5)]
        for connection in (local, session):
            put(connection, f"document {number}", texts)
    for connection in (local, session):
        documents.delete(connection, "document 3")
        put(connection, "document 4", ["other words of boundary and layer"])
    lists = Lists(session, "chunks_fts")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from([*WORDS, "absent", "東", "都", "layers", "x_y_x"]), min_size=1, max_size=6))
    def same(words: list[str]) -> None:
        asked = query_words(" ".join(words), english=False)
        expected = matching.match(local, "chunks_fts", full_text_query(asked), [1], Filters(), 200)
        found = lists.best(asked, 200)
        assert {i for i, _ in found} == {i for i, _ in expected}
        assert [score for _, score in found] == pytest.approx([score for _, score in expected])

    same()
    local.close()


def test_a_graph_is_built_where_there_are_many_vectors_and_finds_what_is_near(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = np.random.default_rng(0)
    many = dice.standard_normal((1200, 16)).astype(np.float32)
    many = (many / np.linalg.norm(many, axis=1, keepdims=True)).astype("<f2")
    for number in range(12):
        put(session, f"d{number}", ["words"] * 100, collection=1 + number % 2)
    ids = [row[0] for row in session.execute("SELECT id FROM chunks ORDER BY id")]
    embeddings.put(session, "m@1", [(i, vector.tobytes()) for i, vector in zip(ids, many, strict=True)])
    questions = [vector.tobytes() for vector in many[::100]]
    exact = [vectors.nearest(session, question, "m@1", [2], 10) for question in questions]
    assert exact[1][0] == (ids[100], pytest.approx(1, abs=0.01))
    monkeypatch.setattr(vectors, "GRAPH_FROM", 1000)
    vectors.build_graphs(session)
    vectors.build_graphs(session)  # it is there
    plan = session.execute(
        "EXPLAIN SELECT chunk_id FROM vectors WHERE model_id = ? ORDER BY vector::halfvec(16) <#> ? LIMIT 5",
        ("m@1", questions[0]),
    ).fetchall()
    assert any("vectors_near_" in line for (line,) in plan)
    session.execute("SET enable_seqscan = off")
    near = [vectors.nearest(session, question, "m@1", [2], 10) for question in questions]
    shared = [len({i for i, _ in one} & {i for i, _ in other}) for one, other in zip(exact, near, strict=True)]
    assert sum(shared) >= 0.9 * 10 * len(questions)
    assert all(len(one) == 10 for one in near)


@pytest.mark.anyio
async def test_a_server_that_stops_does_not_wait_for_its_graph(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began = threading.Event()

    def build(session: Session, model: str, size: int) -> None:
        began.set()
        session.execute("SELECT pg_sleep(600)")

    monkeypatch.setattr(vectors, "GRAPH_FROM", 1)
    monkeypatch.setattr(vectors, "_build", build)
    store = store_for(Path(), shared)
    await store.write(put, "d", ["words"])
    await store.write(embeddings.put, "m@1", [(1, bytes(4))])
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(store.vectors(Worker("search"), str).settle)
            await anyio.to_thread.run_sync(began.wait)
            group.cancel_scope.cancel()
    await store.aclose()


def program(home: Path, address: str, *arguments: str) -> Client:
    script = Path(sys.executable).with_name("homeport-rag")
    environment = {"HOMEPORT_MODEL_DIR": str(home / "none"), "HOMEPORT_RAG_DATABASE": address}
    return Client(StdioServerParameters(command=str(script), args=["--home", str(home), *arguments], env=environment))


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_two_machines_write_at_once_and_each_finds_what_the_other_stored(tmp_path: Path, shared: str) -> None:
    folder = tmp_path / "documents"
    write_documents(folder, 20)
    async with (
        program(tmp_path / "one", shared, "--folders", str(folder)) as one,
        program(tmp_path / "other", shared, "--folders", str(folder)) as other,
    ):

        async def work(client: Client, name: str) -> None:
            job = (await call(client, "sync_folder", path=str(folder)))["id"]
            for number in range(10):
                await call(client, "add", text=f"entry {number} of {name}")
            assert (await finished_job(client, job))["state"] == "completed"

        async with anyio.create_task_group() as group:
            group.start_soon(work, one, "east")
            group.start_soon(work, other, "west")
        for client, name in ((one, "west"), (other, "east")):
            [default, *_] = (await call(client, "stats"))["collections"]
            assert default["documents"] == 40
            assert (await call(client, "search", query=f"3 {name}"))["hits"][0]["text"] == f"entry 3 of {name}"
            assert (await call(client, "validate"))["problems"] == []
        [hit] = (await call(one, "search", query="3 west", k=1))["hits"]
        await call(other, "delete", document_ids=[hit["document_id"]])
        [hit] = (await call(one, "search", query="3 west", k=1))["hits"]
        assert hit["text"] != "entry 3 of west"


def content(address: str) -> dict[str, list[Any]]:
    """Everything but what differs between any two runs: ids of passages, and when they were stored."""
    session = opened(address)
    queries = {
        "documents": "SELECT id, uri, title, media_type, size, sha256, mtime_ns, modified, metadata, warnings, error,"
        " language, passages FROM documents ORDER BY uri",
        "texts": "SELECT document_id, text FROM texts ORDER BY document_id",
        "chunks": "SELECT document_id, ordinal, header, text, line, end_line, vector FROM chunks"
        " JOIN vectors ON chunk_id = id ORDER BY document_id, ordinal",
        "words": "SELECT lexicon, term, document_id, length(passages), length(places) FROM postings ORDER BY 1, 2, 3",
        "counts": "SELECT * FROM counts ORDER BY 1, 2",
        "totals": "SELECT * FROM lexicons ORDER BY 1",
    }
    try:
        with alone(session):
            assert integrity.problems(session) == []
        return {name: session.execute(query).fetchall() for name, query in queries.items()}
    finally:
        session.raw.close()


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(300 + 20 * KILLS)
@pytest.mark.usefixtures("model")
def test_kill_9_of_an_ingest_loses_and_doubles_nothing(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, seed = tmp_path / "documents", random.randrange(10**6)
    write_documents(folder, 10)
    calm, rough = postgres.url(postgres.new()), postgres.url(postgres.new())
    monkeypatch.setenv("HOMEPORT_RAG_DATABASE", calm)
    began = time.monotonic()
    assert start(tmp_path / "calm", folder).wait() == 0
    whole = time.monotonic() - began
    monkeypatch.setenv("HOMEPORT_RAG_DATABASE", rough)
    moments = random.Random(seed)
    for _ in range(max(KILLS // 4, 2)):
        process = start(tmp_path / "rough", folder)
        try:
            process.wait(moments.uniform(0, whole / 2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert start(tmp_path / "rough", folder).wait() == 0
    found = content(rough)
    for name, rows in content(calm).items():
        assert found[name] == rows, f"{name} differ with seed {seed}"


@pytest.mark.anyio
@pytest.mark.usefixtures("no_model")
async def test_a_database_that_goes_away_is_one_sentence_and_work_goes_on_when_it_is_back(
    tmp_path: Path, shared: str, postgres: Postgres
) -> None:
    async with connected(build_server, "rag", tmp_path) as client:
        await call(client, "add", text="before the storm")
        postgres.stop(hard=True)
        try:
            for tool, arguments in (("search", {"query": "storm"}), ("add", {"text": "in it"}), ("stats", {})):
                result = await client.call_tool(tool, arguments)
                assert result.is_error
                assert result.meta["io.homeport/error"]["code"] == "unavailable"
                assert "cannot be reached" in result.content[0].text
        finally:
            postgres.start()
        assert (await call(client, "search", query="storm"))["hits"][0]["text"] == "before the storm"
        await call(client, "add", text="after the storm")
        postgres.stop()
        postgres.start()  # nobody used it meanwhile: nobody notices
        await call(client, "add", text="and after that storm")
        assert len((await call(client, "search", query="storm"))["hits"]) == 3
        assert (await call(client, "validate"))["problems"] == []


async def said(home: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOMEPORT_RAG_DATABASE", address)
    async with connected(build_server, "rag", home) as client:
        result = await client.call_tool("search", {"query": "tea"})
        assert result.is_error
        shown = json.dumps((await call(client, "show_settings"))["settings"])
        assert "hunter2" not in f"{result.content[0].text} {result.meta} {shown}"
        refused = await client.call_tool("change_settings", {"values": {"database": "postgresql://other/name"}})
        assert refused.is_error and "before the server starts" in refused.content[0].text
        return result.content[0].text


@pytest.mark.anyio
@pytest.mark.usefixtures("no_model")
async def test_a_wrong_address_password_or_database_is_one_sentence_without_the_password(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    where = f"127.0.0.1:{postgres.port}"
    name = postgres.new()
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text("utf-8")
    with psycopg.connect(postgres.url(name), autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        connection.execute("CREATE ROLE guest LOGIN")
        rules.write_text(f"host all locked all scram-sha-256\n{before}", "utf-8")
        connection.execute("SELECT pg_reload_conf()")
        try:
            for address, expected in (
                ("mysql://root:hunter2@localhost/x", "is no address of a PostgreSQL database"),
                ("postgresql://root:hunter2@[localhost/x", "is no address of a PostgreSQL database"),
                (f"postgresql://homeport:hunter2@{where}", "is no address of a PostgreSQL database"),
                (f"postgresql://homeport:hunter2@{where}/none", "cannot be reached"),
                ("postgresql://homeport:hunter2@127.0.0.1:9/none", "cannot be reached"),
                (f"postgresql://locked:hunter2@{where}/{name}", "password authentication failed"),
                (f"postgresql://guest:hunter2@{where}/{name}", "has no pgvector 0.8 or later"),
            ):
                found = await said(tmp_path, address, monkeypatch)
                assert expected in found
                assert "Traceback" not in found and "\n" not in found
        finally:
            rules.write_text(before, "utf-8")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE locked")
            connection.execute("DROP ROLE guest")
        connection.execute("CREATE EXTENSION vector")
        session = opened(postgres.url(name))
        session.execute("UPDATE schema_versions SET version = 99")
        session.raw.close()
        assert "of a later version" in await said(tmp_path, postgres.url(name), monkeypatch)
    assert "hunter2" not in caplog.text


def test_without_the_driver_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "homeport_rag.store.postgres", None)
    with pytest.raises(HomeportError, match="the driver for it is not installed"):
        store_for(tmp_path, "postgresql://localhost/x")


def test_what_does_not_agree_is_named(session: Session) -> None:
    put(session, "d", ["some words"])
    put(session, "e", ["other words"])
    assert integrity.problems(session) == []
    session.execute("INSERT INTO vectors VALUES (999, 'm', ?)", (bytes(4),))
    session.execute("UPDATE documents SET passages = 7 WHERE id = 'd'")
    session.execute("DELETE FROM postings WHERE term = 'some'")
    session.execute("DELETE FROM indexed WHERE document_id = 'e' AND lexicon = 2")
    assert integrity.problems(session) == [
        "There are 1 vectors without a passage.",
        "There are 1 documents with another number of passages than they had.",
        "The full-text index chunks_fts is damaged: rebuild the index.",
        "The full-text index names_fts is damaged: rebuild the index.",
    ]
    assert integrity.remove(session, ["remains:vectors"])["bytes"] == 4


def test_two_processes_make_the_tables_once(shared: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        sessions = list(threads.map(lambda _: opened(shared), range(4)))
    assert {session.execute("SELECT count(*) FROM collections").fetchone() for session in sessions} == {(5,)}
    for session in sessions:
        session.raw.close()


def test_texts_that_postgresql_cannot_hold_are_stored_all_the_same(session: Session) -> None:
    put(session, "nul\0", ["a\0b"])
    documents.edit(session, "nul\0", {"odd": "\0", "back": "\\u0000", "team": "red"}, NOW)
    [found] = matching.all_passing(session, [1], Filters(metadata={"team": "red"}))
    assert matching.all_passing(session, [1], Filters(metadata={"team": "blue"})) == []
    assert matching.hits(session, [found], [1], Filters(), 5)[0].text == "a\ufffdb"
    assert [space.name for space in collections.spaces(session, [])] == ["default", "emails", "reports", "projects"]
