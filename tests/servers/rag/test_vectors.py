"""Searching vectors: the two kinds of index, and the cache that follows the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patience import PATIENCE

from homeport_rag import vector_cache
from homeport_rag.embedding import LocalEmbedder, find_embedder
from homeport_rag.store.schema import COMPLETE
from homeport_rag.vector_cache import build, nearest, search, without_graph
from homeport_rag.vectors import Flat, Graph, VectorIndex
from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

DIMENSION = 8
NEVER = 1_000_000
TABLES = """
CREATE TABLE chunks (id INTEGER PRIMARY KEY AUTOINCREMENT, collection_id INTEGER NOT NULL);
CREATE TABLE vectors (chunk_id INTEGER, model_id TEXT, vector BLOB, PRIMARY KEY (chunk_id, model_id));
CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT, chunk_id INTEGER, collection_id INTEGER,
    model_id TEXT);
"""
COUNTS = COMPLETE[COMPLETE.index("CREATE TABLE counts") : COMPLETE.index("CREATE TABLE names")]


def directions(count: int, seed: int = 0, dimension: int = DIMENSION) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Knowledge:
    """The tables that the index reads, as the store writes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.executescript(TABLES + COUNTS)
        self.known: dict[int, tuple[int, np.ndarray]] = {}

    def add(self, vectors: np.ndarray, collection: int = 1, model: str = "m") -> list[int]:
        ids = []
        with self.connection as database:
            for vector in vectors:
                chunk = database.execute("INSERT INTO chunks (collection_id) VALUES (?)", (collection,)).lastrowid
                assert chunk
                half = vector.astype("<f2")
                database.execute("INSERT INTO vectors VALUES (?, ?, ?)", (chunk, model, half.tobytes()))
                self._log("add", chunk, collection, model)
                self.known[chunk] = (collection, half.astype(np.float32))
                ids.append(chunk)
        return ids

    def remove(self, *chunks: int, model: str = "m") -> None:
        with self.connection as database:
            for chunk in chunks:
                self._log("remove", chunk, self.known.pop(chunk)[0], model)
                database.execute("DELETE FROM vectors WHERE chunk_id = ?", (chunk,))
                database.execute("DELETE FROM chunks WHERE id = ?", (chunk,))

    def _log(self, operation: str, chunk: int, collection: int, model: str) -> None:
        self.connection.execute(
            "INSERT INTO changes (operation, chunk_id, collection_id, model_id) VALUES (?, ?, ?, ?)",
            (operation, chunk, collection, model),
        )

    def search(
        self, vector: np.ndarray, *collections: int, k: int = 5, graph_from: int = NEVER, model: str = "m"
    ) -> list[int]:
        hits = search(vector.astype("<f2").tobytes(), str(self.path), model, collections or (1,), k, graph_from)
        assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
        return [chunk for chunk, _ in hits]

    def expected(self, vector: np.ndarray, *collections: int, k: int = 5) -> list[int]:
        question = vector.astype("<f2").astype(np.float32)
        scores = {i: float(v @ question) for i, (c, v) in self.known.items() if c in (collections or (1,))}
        return sorted(scores, key=lambda i: (-scores[i], i))[:k]

    def settle(self, graph_from: int) -> None:
        """Build the graphs that are wanted, as the process does that is started for it."""
        folder = self.path.with_suffix(".vectors")
        for collection, model in without_graph(self.path, graph_from, folder):
            build(str(self.path), model, collection, str(folder))

    def cache(self, collection: int = 1) -> vector_cache.CollectionCache:
        return vector_cache._caches[str(self.path), collection]

    def files(self) -> list[Path]:
        return sorted(self.path.with_suffix(".vectors").glob("*"))


@pytest.fixture
def knowledge(tmp_path: Path) -> Iterator[Knowledge]:
    made = Knowledge(tmp_path / "knowledge.db")
    yield made
    made.connection.close()


def restart() -> None:
    vector_cache._caches.clear()


def recall(knowledge: Knowledge, questions: np.ndarray, graph_from: int) -> float:
    found = [
        len({*knowledge.search(q, k=10, graph_from=graph_from)} & {*knowledge.expected(q, k=10)}) for q in questions
    ]
    return sum(found) / (10 * len(questions))


def trained_graph() -> Graph:
    return Graph.trained(directions(1000, seed=9))


@pytest.mark.parametrize("make", [lambda: Flat(DIMENSION), trained_graph], ids=["flat", "graph"])
def test_an_index_finds_the_nearest_and_never_what_was_removed(make: type[VectorIndex]) -> None:
    index, vectors, ids = make(), directions(500), np.arange(1000, 1500)
    index.add(ids, vectors)
    index.remove(np.array([1001, 1002, 7]))
    index.add(np.array([1001]), vectors[3:4])
    assert index.count == 499
    assert index.search(vectors[0], 1)[0] == (1000, pytest.approx(1, abs=0.02))
    assert {i for i, _ in index.search(vectors[3], 2)} == {1003, 1001}
    assert 1002 not in {i for i, _ in index.search(vectors[2], 500)}
    assert len({i for i, _ in index.search(vectors[2], 500)}) == len(index.search(vectors[2], 500))


@pytest.mark.parametrize("make", [lambda: Flat(DIMENSION), trained_graph], ids=["flat", "graph"])
def test_an_empty_index_finds_nothing(make: type[VectorIndex]) -> None:
    index = make()
    assert index.search(directions(1)[0], 3) == []
    index.add(np.array([5]), directions(1))
    index.remove(np.array([5]))
    assert (index.search(directions(1)[0], 3), index.count) == ([], 0)


def test_a_graph_comes_back_from_its_file_with_what_was_removed(tmp_path: Path) -> None:
    graph, vectors = trained_graph(), directions(300)
    graph.add(np.arange(300), vectors)
    graph.remove(np.arange(30))
    graph.write(tmp_path / "graph")
    again = Graph.read(tmp_path / "graph")
    assert (again.count, again.dead_share, again.dimension) == (270, pytest.approx(0.1), DIMENSION)
    assert again.search(vectors[50], 10) == graph.search(vectors[50], 10)


Step = tuple[str, int]
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "search", "restart", "prune"]), st.integers(0, 40)))


@settings(max_examples=40)
@given(STEPS)
def test_whatever_happened_the_hits_are_those_of_comparing_with_all(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    knowledge = Knowledge(tmp_path_factory.mktemp("steps") / "knowledge.db")
    for seed, (step, number) in enumerate(steps):
        if step == "add":
            knowledge.add(directions(number, seed), collection=1 + number % 2)
        elif step == "remove":
            knowledge.remove(*list(knowledge.known)[number : number + 5])
        elif step == "restart":
            restart()
        elif step == "prune":
            knowledge.connection.execute("DELETE FROM changes")
            knowledge.connection.commit()
        question = directions(1, 10_000 + seed)[0]
        collections = (1, 2) if number % 3 else (1,)
        assert knowledge.search(question, *collections) == knowledge.expected(question, *collections)
    knowledge.connection.close()


def test_new_vectors_are_added_to_the_index_that_is_there(knowledge: Knowledge) -> None:
    knowledge.add(directions(100))
    question = directions(1, seed=5)[0]
    knowledge.search(question)
    before = knowledge.cache().index
    [fresh] = knowledge.add(question[None])
    assert knowledge.search(question)[0] == fresh
    assert knowledge.cache().index is before, "followed the change log, no rebuild"


def test_a_search_in_one_collection_never_returns_chunks_of_another(knowledge: Knowledge) -> None:
    question = directions(1)[0]
    [here], [there] = knowledge.add(-question[None], collection=1), knowledge.add(question[None], collection=2)
    assert knowledge.search(question, 1) == [here]
    assert knowledge.search(question, 2) == [there]
    assert knowledge.search(question, 1, 2) == [there, here]
    assert knowledge.search(question, 3) == []


def test_vectors_of_two_models_are_never_mixed(knowledge: Knowledge) -> None:
    first, second = directions(2, seed=1), directions(2, seed=2, dimension=4)
    ours, theirs = knowledge.add(first), knowledge.add(second, model="n")
    assert set(knowledge.search(first[0])) == set(ours)
    assert set(knowledge.search(second[0], model="n")) == set(theirs)
    assert set(knowledge.search(first[0])) == set(ours)


def test_a_database_put_back_from_a_backup_is_read_anew(knowledge: Knowledge, tmp_path: Path) -> None:
    [kept] = knowledge.add(directions(1))
    backup = sqlite3.connect(tmp_path / "backup.db")
    knowledge.connection.backup(backup)
    knowledge.add(directions(20, seed=3))
    assert len(knowledge.search(directions(1)[0], k=50)) == 21
    backup.backup(knowledge.connection)
    backup.close()
    assert knowledge.search(directions(1)[0], k=50) == [kept]


def test_a_stored_vector_of_a_wrong_length_is_named(knowledge: Knowledge) -> None:
    [chunk] = knowledge.add(directions(1, dimension=5))
    with pytest.raises(HomeportError, match=rf"vector of chunk {chunk} has not 8 numbers") as refused:
        knowledge.search(directions(1)[0])
    assert refused.value.code == "damaged"


def test_a_damaged_database_becomes_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "knowledge.db").write_bytes(b"SQLite format 3\0" + b"nonsense" * 1000)
    with pytest.raises(HomeportError, match=r"knowledge\.db is damaged"):
        search(bytes(16), str(tmp_path / "knowledge.db"), "m", [1], 5, NEVER)


def test_below_the_limit_nothing_is_written_to_disk(knowledge: Knowledge) -> None:
    knowledge.add(directions(100))
    knowledge.search(directions(1)[0])
    assert isinstance(knowledge.cache().index, Flat)
    assert knowledge.files() == []


def test_from_the_limit_on_a_graph_finds_nearly_what_comparing_with_all_finds(knowledge: Knowledge) -> None:
    knowledge.add(directions(2000, dimension=64))
    knowledge.settle(2000)
    questions = directions(40, seed=7, dimension=64)
    assert recall(knowledge, questions, graph_from=2000) >= 0.95
    assert isinstance(knowledge.cache().index, Graph)


def test_what_a_graph_finds_is_ranked_by_the_vectors_that_are_stored(knowledge: Knowledge) -> None:
    far, noise = directions(2000, dimension=64), np.random.default_rng(5).standard_normal((60, 64))
    near = far[:1] + 0.02 * noise  # nearer to each other than 8 bits can tell
    knowledge.add(np.concatenate([far, near / np.linalg.norm(near, axis=1, keepdims=True)]))
    knowledge.settle(2000)
    found, exact = knowledge.search(far[0], k=20, graph_from=2000), knowledge.expected(far[0], k=61)
    assert found == [identifier for identifier in exact if identifier in found], "ranked by what is stored"
    assert len({*found} & {*exact[:20]}) >= 18, "a graph may miss one"
    assert isinstance(knowledge.cache().index, Graph)


def test_a_collection_that_grows_past_the_limit_is_compared_with_until_its_graph_is_built(knowledge: Knowledge) -> None:
    knowledge.add(directions(110))
    question = directions(1, seed=4)[0]
    assert knowledge.search(question, graph_from=100) == knowledge.expected(question)
    assert isinstance(knowledge.cache().index, Flat)
    knowledge.settle(100)
    [fresh] = knowledge.add(question[None])
    assert knowledge.search(question, graph_from=100)[0] == fresh, "what came after the graph was built is in it"
    assert isinstance(knowledge.cache().index, Graph)


def test_a_graph_with_too_many_removed_vectors_answers_until_another_is_built(knowledge: Knowledge) -> None:
    ids = knowledge.add(directions(200))
    question = directions(1, seed=4)[0]
    knowledge.settle(100)
    knowledge.search(question, graph_from=100)
    graph = knowledge.cache().index
    assert isinstance(graph, Graph)
    knowledge.remove(*ids[:30])
    knowledge.search(question, graph_from=100)
    assert graph.dead_share == pytest.approx(0.15)
    knowledge.remove(*ids[30:50])
    assert not {*ids[:50]} & {*knowledge.search(question, k=200, graph_from=100)}
    assert knowledge.cache().index is graph
    knowledge.settle(100)
    knowledge.search(question, graph_from=100)
    fresh = knowledge.cache().index
    assert isinstance(fresh, Graph)
    assert fresh.dead_share == 0


@pytest.mark.parametrize("most", [10_000, 0], ids=["more nodes", "all nodes"])
def test_where_all_that_is_near_was_removed_the_next_nearest_are_found(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeport_rag.vectors.EFFORT_SEARCHING", 20)
    monkeypatch.setattr("homeport_rag.vectors.MOST_EFFORT", most)
    vectors, question = directions(3000), directions(1, seed=4)[0]
    graph = Graph.trained(vectors)
    graph.add(np.arange(3000), vectors)
    near = np.argsort(-(vectors @ question))
    graph.remove(near[:500])
    assert len({i for i, _ in graph.search(question, 10)} & {*near[500:510].tolist()}) >= 8


def test_a_graph_is_read_from_disk_and_follows_what_happened_since(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowledge.add(directions(200))
    knowledge.settle(100)
    question = directions(1, seed=4)[0]
    first = knowledge.search(question, graph_from=100)
    assert len(knowledge.files()) == 1
    knowledge.remove(first[0])
    [fresh] = knowledge.add(question[None])
    restart()
    assert knowledge.search(question, graph_from=100) == [fresh, *first[1:5]][:5]
    assert isinstance(knowledge.cache().index, Graph)
    monkeypatch.setattr(Graph, "trained", None)  # nothing may be built anew
    knowledge.settle(100)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_torn_file_is_noticed_and_the_graph_built_anew(knowledge: Knowledge, keep: int) -> None:
    knowledge.add(directions(200))
    knowledge.settle(100)
    question = directions(1, seed=4)[0]
    [file] = knowledge.files()
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    assert knowledge.search(question, graph_from=100) == knowledge.expected(question)
    assert knowledge.files() == []
    knowledge.settle(100)
    [file] = knowledge.files()
    assert len(file.read_bytes()) == len(whole)


def test_a_graph_of_what_a_backup_does_not_know_is_never_used(knowledge: Knowledge, tmp_path: Path) -> None:
    knowledge.add(directions(120))
    backup = sqlite3.connect(tmp_path / "backup.db")
    knowledge.connection.backup(backup)
    later = knowledge.add(directions(100, seed=3))
    knowledge.settle(100)
    backup.backup(knowledge.connection)
    backup.close()
    for chunk in later:
        del knowledge.known[chunk]
    question = directions(1, seed=4)[0]
    knowledge.search(question, graph_from=100)
    knowledge.add(directions(150, seed=9))
    restart()
    assert knowledge.search(question, graph_from=100) == knowledge.expected(question)


def test_a_graph_that_changed_much_replaces_its_file(knowledge: Knowledge) -> None:
    knowledge.add(directions(200))
    knowledge.settle(100)
    [old] = knowledge.files()
    knowledge.search(directions(1)[0], graph_from=100)
    knowledge.add(directions(5, seed=2))
    knowledge.search(directions(1)[0], graph_from=100)
    assert knowledge.files() == [old]
    knowledge.add(directions(100, seed=3))
    knowledge.search(directions(1)[0], graph_from=100)
    [new] = knowledge.files()
    assert new != old


@pytest.mark.anyio
@pytest.mark.subprocess
async def test_graphs_are_built_by_a_process_of_their_own(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker("search")
    cache = vector_cache.VectorCache(worker, knowledge.path, lambda: "")
    monkeypatch.setattr(vector_cache, "GRAPH_FROM", 100)
    await cache.settle()
    assert knowledge.files() == [], "there is nothing yet"
    knowledge.add(directions(120))
    await cache.settle()
    [file] = knowledge.files()
    await cache.settle()
    assert knowledge.files() == [file], "it is there"
    assert worker.pid is None


@pytest.mark.model
@pytest.mark.anyio
async def test_one_call_embeds_the_question_and_searches(model_home: Path, knowledge: Knowledge) -> None:
    worker = Worker("embedding model")
    try:
        with anyio.fail_after(PATIENCE):
            embedder, _ = await find_embedder(model_home, worker, environment={})
            assert isinstance(embedder, LocalEmbedder)
            texts = ["Faulty goods can be sent back within 30 days.", "The train is late.", "Cats sleep all day."]
            vectors = [np.frombuffer(vector, "<f2") for vector in await embedder.embed(texts)]
            ids = knowledge.add(np.array(vectors), model=embedder.model.key)
            hits = await nearest(worker, embedder, knowledge.path, [1], "How do I return a broken kettle?", 2)
            assert hits[0][0] == ids[0]
            assert hits[0][1] > hits[1][1]
            await worker.aclose()
            again = await nearest(worker, embedder, knowledge.path, [1], "How do I return a broken kettle?", 2)
            assert again == hits, "the same after a restart"
    finally:
        await worker.aclose()
