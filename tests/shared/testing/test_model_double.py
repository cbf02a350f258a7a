"""The model double speaks as Ollama and OpenRouter do, byte for byte where it matters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from tests.patience import PATIENCE

from homeport_shared.testing.model import ModelDouble, Reply, Script, call, on, read_script

pytestmark = pytest.mark.anyio
ASK = [{"role": "user", "content": "hello"}]
GO_FIELDS = Path(__file__).parent / "ollama_fields.json"


async def lines(double: ModelDouble, **body: Any) -> list[dict[str, Any]]:
    async with httpx2.AsyncClient(base_url=double.ollama_url) as http:
        answer = await http.post("/api/chat", json={"model": "qwen3:8b", "messages": ASK, **body})
    return [json.loads(line) for line in answer.text.splitlines()]


async def events(double: ModelDouble, path: str = "/api/v1", **body: Any) -> list[str]:
    model = "qwen/qwen3-8b" if path == "/api/v1" else "qwen3:8b"
    async with httpx2.AsyncClient(base_url=double.ollama_url) as http:
        asked = {"model": model, "messages": ASK, "stream": True, **body}
        answer = await http.post(f"{path}/chat/completions", json=asked)
    assert answer.headers["content-type"] == "text/event-stream"
    return answer.text.strip().split("\n\n")


def data(event: str) -> Any:
    return json.loads(event.removeprefix("data: "))


async def test_ollama_answers_in_lines_of_json_and_marks_the_end() -> None:
    async with ModelDouble(["Grüße aus 東京"]) as double:
        chunks = await lines(double)
    assert "".join(chunk["message"]["content"] for chunk in chunks) == "Grüße aus 東京"
    assert [chunk["done"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["done_reason"] == "stop"
    assert "thinking" not in chunks[0]["message"]  # omitempty


async def test_a_double_without_a_script_says_that_it_has_no_answers() -> None:
    async with ModelDouble() as double:
        chunks = await lines(double)
    assert "".join(chunk["message"]["content"] for chunk in chunks) == "The script has no more answers."


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/ps", "/api/show"])
async def test_ollama_lists_have_the_fields_of_its_go_structs(path: str) -> None:
    golden = json.loads(GO_FIELDS.read_text("utf-8"))
    async with ModelDouble(["x"]) as double, httpx2.AsyncClient(base_url=double.ollama_url) as http:
        await lines(double)  # loads a model, so that /api/ps has one
        asked = http.post(path, json={"model": "qwen3:8b"}) if path == "/api/show" else http.get(path)
        assert shape((await asked).json()) == golden[path]


@pytest.mark.parametrize("reply", [Reply("Hi", thinking="Hm"), Reply(calls=[call("files__read", path="a")])])
async def test_ollama_chunks_have_the_fields_of_its_go_structs(reply: Reply) -> None:
    golden = json.loads(GO_FIELDS.read_text("utf-8"))["/api/chat"]
    async with ModelDouble([reply]) as double:
        shapes = [shape(chunk) for chunk in await lines(double)]
    assert all(each in golden for each in shapes)
    assert shapes[-1] == golden[-1]


async def test_ollama_gives_a_tool_call_whole_and_openrouter_in_fragments() -> None:
    async with ModelDouble([call("files__read", path="notes/日記.md")]) as double:
        whole = [chunk for chunk in await lines(double) if "tool_calls" in chunk["message"]]
        parts = [data(e)["choices"][0]["delta"].get("tool_calls") for e in (await events(double))[2:-2]]
        once = [data(e)["choices"][0]["delta"].get("tool_calls") for e in (await events(double, "/v1"))[:-1]]
    assert whole[0]["message"]["tool_calls"][0]["function"]["arguments"] == {"path": "notes/日記.md"}
    fragments = [part[0]["function"]["arguments"] for part in parts if part]
    assert len(fragments) > 3
    assert json.loads("".join(fragments)) == {"path": "notes/日記.md"}
    assert [json.loads(part[0]["function"]["arguments"]) for part in once if part] == [{"path": "notes/日記.md"}]


async def test_openrouter_keeps_alive_by_comments_and_reports_usage_before_done() -> None:
    async with ModelDouble(["Hi"]) as double:
        got = await events(double)
    assert got[0] == ": OPENROUTER PROCESSING"
    assert got[-1] == "data: [DONE]"
    assert data(got[-2])["choices"] == []
    assert data(got[-2])["usage"]["cost"] > 0


async def test_ollamas_v1_gives_usage_only_when_asked_and_loses_an_error() -> None:
    async with ModelDouble([Reply("A long enough answer", fault="error_midstream")]) as double:
        swallowed = await events(double, "/v1")
    assert "error" not in data(swallowed[-1])
    async with ModelDouble(["Hi"]) as double:
        assert "usage" not in data((await events(double, "/v1"))[-2])
        assert "usage" in data((await events(double, "/v1", stream_options={"include_usage": True}))[-2])


async def test_ragged_chunks_are_cut_inside_lines_and_characters() -> None:
    asked = {"model": "qwen3:8b", "messages": ASK}
    double = ModelDouble([Reply("東京タワー", ragged=True)])
    async with (
        double,
        httpx2.AsyncClient() as http,
        http.stream("POST", double.ollama_url + "/api/chat", json=asked) as got,
    ):
        pieces = [piece async for piece in got.aiter_raw()]
    assert any(not piece.endswith(b"\n") for piece in pieces)
    with pytest.raises(UnicodeDecodeError):
        for piece in pieces:
            piece.decode()
    content = [json.loads(line)["message"]["content"] for line in b"".join(pieces).splitlines()]
    assert "".join(content) == "東京タワー"


async def test_a_long_conversation_loses_its_front_but_keeps_system_and_last() -> None:
    long = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "x" * 4000},
        {"role": "assistant", "content": "y" * 4000},
        {"role": "user", "content": "and?"},
    ]
    async with ModelDouble(default="ok") as double:
        last = (await lines(double, messages=long, options={"num_ctx": 512}))[-1]
        assert [m["role"] for m in double.chats[0].kept] == ["system", "user"]
        assert last["prompt_eval_count"] == double.chats[0].prompt_tokens == 3


async def test_a_prompt_beyond_the_window_is_cut_to_half_of_it_unless_shift_is_off() -> None:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "x" * 40_000}], "options": {"num_ctx": 4096}}
    async with ModelDouble(default="ok") as double:
        assert (await lines(double, **asked))[-1]["prompt_eval_count"] == 2048
        (refused,) = await lines(double, **asked, shift=False)
        assert "longer than the context length" in refused["error"]
        assert double.chats[-1].outcome == "refused"


async def test_dropping_the_only_question_is_an_error_of_the_server() -> None:
    step = [
        {"role": "user", "content": "q" * 4000},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": "r" * 4000},
    ]
    async with ModelDouble(default="ok") as double:
        (refused,) = await lines(double, messages=step, options={"num_ctx": 1024})
    assert refused["error"].startswith("no user query found")


async def test_what_a_model_cannot_do_is_refused() -> None:
    tool = {"type": "function", "function": {"name": "t", "parameters": {}}}
    async with ModelDouble(default="ok") as double:
        (no_tools,) = await lines(double, model="gemma3:4b", tools=[tool])
        (no_thinking,) = await lines(double, model="gemma3:4b", think=True)
        (unknown,) = await lines(double, model="nope")
    assert no_tools["error"].endswith("does not support tools")
    assert no_thinking["error"] == '"gemma3:4b" does not support thinking'
    assert unknown["error"] == "model 'nope' not found"


async def test_a_thinking_model_thinks_unless_told_not_to() -> None:
    async with ModelDouble([Reply("Yes", thinking="Let me see")]) as double:
        assert any("thinking" in chunk["message"] for chunk in await lines(double))
        assert not any("thinking" in chunk["message"] for chunk in await lines(double, think=False))


async def test_a_rule_answers_step_by_step_whoever_asks_in_between() -> None:
    rule = on("weather", call("web__search", query="{question}"), "It says: {result}")
    first = [{"role": "user", "content": "The weather?"}]
    then = [*first, {"role": "assistant", "content": ""}, {"role": "tool", "content": "rain"}]
    async with ModelDouble([rule, "one", "two"]) as double:
        for _ in range(2):  # the same request gets the same answer: a replayed step is not the next one
            chunks = await lines(double, messages=first)
            assert chunks[0]["message"]["tool_calls"][0]["function"]["arguments"] == {"query": "The weather?"}
            said = await lines(double, messages=then)
            assert "".join(chunk["message"]["content"] for chunk in said) == "It says: rain"
        other = await lines(double, messages=[*ASK, {"role": "assistant", "content": "one"}, *ASK])
    assert "".join(chunk["message"]["content"] for chunk in other) == "two"


async def test_the_last_reply_of_a_rule_goes_on_for_ever() -> None:
    turn = list(ASK)
    async with ModelDouble([on("hello", call("same", n=1))]) as double:
        for _ in range(5):
            chunks = await lines(double, messages=turn)
            assert chunks[0]["message"]["tool_calls"][0]["function"]["name"] == "same"
            turn += [{"role": "assistant", "content": ""}, {"role": "tool", "content": "done"}]


async def test_a_fault_with_times_heals() -> None:
    asked = {"model": "qwen3:8b", "messages": ASK}
    double = ModelDouble([Reply("well", fault="http_503", times=2, retry_after=1)])
    async with double, httpx2.AsyncClient() as http:
        answers = [await http.post(f"{double.ollama_url}/api/chat", json=asked) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "1"


async def test_a_client_that_leaves_is_seen_in_the_journal() -> None:
    async with ModelDouble([Reply("A long answer", fault="stall")]) as double:
        async with httpx2.AsyncClient(base_url=double.ollama_url) as http:
            asked = {"model": "qwen3:8b", "messages": ASK}
            async with http.stream("POST", "/api/chat", json=asked) as answer:
                async for _ in answer.aiter_lines():
                    break
        with anyio.fail_after(PATIENCE):
            await double.chats[0].finished.wait()
        assert double.chats[0].outcome == "client_gone"


async def test_openrouter_wants_its_key() -> None:
    async with ModelDouble(["x"], key="sk-right") as double, httpx2.AsyncClient() as http:
        headers = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer sk-right"}]
        answers = [await http.get(f"{double.openrouter_url}/key", headers=each) for each in headers]
    assert [answer.status_code for answer in answers] == [401, 401, 200]


async def test_pull_shows_progress_and_the_model_is_there_afterwards() -> None:
    async with ModelDouble() as double, httpx2.AsyncClient(base_url=double.ollama_url) as http:
        steps = [json.loads(line) for line in (await http.post("/api/pull", json={"model": "new"})).text.splitlines()]
        assert steps[-1] == {"status": "success"}
        assert [step["completed"] for step in steps if "completed" in step] == [10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9]
        assert "new:latest" in [each["name"] for each in (await http.get("/api/tags")).json()["models"]]


async def test_embeddings_are_of_length_one_and_the_same_every_time() -> None:
    async with ModelDouble() as double, httpx2.AsyncClient(base_url=double.ollama_url) as http:
        asked = {"model": "nomic-embed-text", "input": ["a", "b", "a"]}
        a, b, again = (await http.post("/api/embed", json=asked)).json()["embeddings"]
    assert a == again != b
    assert len(a) == 384
    assert sum(value * value for value in a) == pytest.approx(1)


async def test_two_hundred_conversations_run_side_by_side() -> None:
    said: dict[int, str] = {}

    async def converse(http: httpx2.AsyncClient, number: int) -> None:
        asked = {"model": "qwen3:8b", "messages": [{"role": "user", "content": f"number {number}"}]}
        answer = await http.post(f"{double.ollama_url}/api/chat", json=asked)
        said[number] = "".join(json.loads(line)["message"]["content"] for line in answer.text.splitlines())

    double = ModelDouble([on("number", "You said {question}")])
    client = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None), timeout=30)
    async with double, client as http, anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(converse, http, number)
    assert said == {number: f"You said number {number}" for number in range(200)}


def test_it_runs_in_a_thread_for_code_that_is_not_async() -> None:
    with ModelDouble(["Hi"]).running() as double:
        assert httpx2.get(f"{double.ollama_url}/api/version").json() == {"version": "0.33.0"}


@pytest.mark.subprocess
def test_it_runs_as_a_command_with_a_script_file(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    calls = [{"name": "files__list", "arguments": {}}]
    script.write_text(json.dumps([{"when": "list", "replies": [{"calls": calls}, "{result}!"]}, "Hello"]), "utf-8")
    command = [sys.executable, "-m", "homeport_shared.testing.model", "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        asked = {"model": "qwen3:8b", "messages": ASK, "stream": False}
        assert httpx2.post(f"{urls['ollama']}/api/chat", json=asked).json()["message"]["content"] == "Hello"
        process.terminate()


def test_a_script_with_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"text": "x", "fault": "nonsense"}]', "utf-8")
    with pytest.raises(ValueError, match="There is no fault 'nonsense'"):
        read_script(script)


async def test_a_script_that_has_ended_says_so() -> None:
    async with ModelDouble(["the only answer"]) as double:
        double.script = Script.of([on("never", "unused")])
        said = "".join(line["message"]["content"] for line in await lines(double))
    assert said == "The script has no more answers."
