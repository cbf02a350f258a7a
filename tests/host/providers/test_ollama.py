"""What goes to Ollama, and what its own ways make necessary."""

from __future__ import annotations

import pytest

from homeport_host.providers.configured import recommend
from homeport_host.providers.ollama import OllamaProvider, address
from homeport_host.providers.protocol import Message, ModelAnswer, ModelRequest, ProviderError, ToolCall, ToolSpec
from homeport_shared.testing.model import Model, ModelDouble, Reply

pytestmark = pytest.mark.anyio
ASK = (Message("user", "Hi"),)


async def test_the_window_is_always_set_and_nothing_is_cut_silently() -> None:
    async with ModelDouble(default="ok") as double:
        provider = OllamaProvider(double.ollama_url, num_ctx=6000)
        for num_ctx in (0, 12_000):
            async for _ in provider.stream(ModelRequest("qwen3:8b", ASK, num_ctx=num_ctx)):
                pass
        (running,) = await provider.library.running()
        await provider.aclose()
    assert [request.num_ctx for request in double.chats] == [6000, 12_000]
    assert all(request.body["shift"] is request.body["truncate"] is False for request in double.chats)
    assert "think" not in double.chats[0].body
    assert running.context_length == 12_000
    assert running.gpu_bytes == running.size_bytes > 0


async def test_call_ids_and_whole_schemas_reach_the_model() -> None:
    schema = {"type": "object", "properties": {"lines": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
    call = ToolCall("call_1", "read", {"lines": 3})
    history = (*ASK, Message("assistant", "", (call,)), Message("tool", "text", call_id="call_1", tool="read"))
    request = ModelRequest(
        "qwen3:8b", history, (ToolSpec("read", "Read.", schema),), max_tokens=50, temperature=0.0, think=False
    )
    async with ModelDouble(default="ok") as double:
        provider = OllamaProvider(double.ollama_url)
        async for _ in provider.stream(request):
            pass
        await provider.aclose()
    body = double.chats[0].body
    assert body["tools"][0]["function"]["parameters"]["properties"] == {"lines": {"type": "integer"}}
    assert body["messages"][1]["tool_calls"] == [
        {"id": "call_1", "function": {"name": "read", "arguments": {"lines": 3}}}
    ]
    assert body["messages"][2] == {"role": "tool", "content": "text", "tool_name": "read", "tool_call_id": "call_1"}
    assert body["options"] == {"num_ctx": 8192, "num_predict": 50, "temperature": 0.0}
    assert body["think"] is False


async def test_a_prompt_that_a_model_cut_in_spite_of_us_is_an_overflow() -> None:
    careless = Model("careless:1b", ignores_shift=True)
    async with ModelDouble(default="An answer to half the question", models=[careless]) as double:
        provider = OllamaProvider(double.ollama_url)
        with pytest.raises(ProviderError, match="about 25000 tokens were sent, and the model read 2048") as caught:
            async for _ in provider.stream(
                ModelRequest("careless:1b", (Message("user", "x" * 100_000),), num_ctx=4096)
            ):
                pass
        await provider.aclose()
    assert caught.value.fault == "context_overflow"


async def test_line_separators_of_unicode_do_not_cut_a_line() -> None:
    text = "one\u2028two\x85three\x0bfour"
    async with ModelDouble([Reply(text)]) as double:
        provider = OllamaProvider(double.ollama_url)
        *_, answer = [event async for event in provider.stream(ModelRequest("qwen3:8b", ASK))]
        await provider.aclose()
    assert isinstance(answer, ModelAnswer)
    assert answer.text == text


async def test_a_pull_shows_how_far_it_is_and_says_when_it_fails() -> None:
    async with ModelDouble() as double:
        provider = OllamaProvider(double.ollama_url)
        steps = [step async for step in provider.library.pull("fresh:1b")]
        assert steps[-1] == ("success", 0, 0)
        assert (4 * 10**9, 4 * 10**9) in [step[1:] for step in steps]
        assert "ollama/fresh:1b" in [model.name for model in await provider.models()]
        with pytest.raises(ProviderError, match="file does not exist"):
            async for _ in provider.library.pull("no-such-model"):
                pass
        await provider.aclose()


async def test_models_that_only_embed_are_not_offered_for_answers() -> None:
    held = [Model("nomic-embed-text:latest", family="nomic-bert"), Model("bge-m3:latest", family="bert")]
    async with ModelDouble(models=[*held, Model("embeddinggemma:300m", family="gemma3"), Model("qwen3:8b")]) as double:
        provider = OllamaProvider(double.ollama_url)
        assert [model.name for model in await provider.models()] == ["ollama/qwen3:8b"]
        await provider.aclose()


async def test_an_ollama_that_does_not_run_is_said_with_how_to_start_it() -> None:
    provider = OllamaProvider("http://127.0.0.1:9")
    for attempt in (provider.check, provider.models, lambda: anext(provider.stream(ModelRequest("x", ASK)))):
        with pytest.raises(
            ProviderError, match=r"Ollama does not answer at http://127.0.0.1:9\..*ollama serve"
        ) as caught:
            await attempt()
        assert caught.value.fault == "unreachable"
    await provider.aclose()


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("http://box", "http://box:80"),
        ("https://box/", "https://box:443"),
        ("https://box:1234/ollama", "https://box:1234/ollama"),
        ("[::1]:11434", "http://[::1]:11434"),
    ],
)
def test_ollama_host_is_read_as_ollama_means_it(value: str, url: str) -> None:
    assert address(value) == url


@pytest.mark.parametrize(("gib", "name"), [(4, ""), (6, "qwen3:4b"), (16, "qwen3:14b"), (64, "qwen3:30b")])
def test_the_recommended_model_fits_the_memory(gib: int, name: str) -> None:
    recommended = recommend(gib << 30)
    assert recommended.name == name
    assert f"{gib} GiB" in recommended.reason
    assert recommend().reason.startswith("This machine has")
