"""No fault of a model server ends as a success that is none: each provider answers each fault in a known way."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.providers.compatible import Address, CompatibleProvider
from homeport_host.providers.ollama import OllamaProvider
from homeport_host.providers.protocol import (
    Message,
    ModelAnswer,
    ModelRequest,
    Provider,
    ProviderError,
    TextDelta,
    ToolSpec,
)
from homeport_shared.testing.model import FAULTS, ModelDouble, Reply, call

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ = ToolSpec("files__read", "Read a file.", SCHEMA)
TEXT = Reply("A fine answer that is long enough to be cut.", thinking="Let me see.")
CALLS = Reply(calls=[call("files__read", path="a.md"), call("files__read", path="b.md")])
HEALTHY = "two calls, ids apart"

# fault: what Ollama's own API, OpenRouter, and Ollama under /v1 must end in
TABLE = {
    "http_400": ("bad_request",) * 3,
    "http_401": ("refused_key",) * 3,
    "http_402": ("no_credit",) * 3,
    "http_403": ("bad_request",) * 3,
    "http_404": ("unknown_model",) * 3,
    "http_408": ("timeout",) * 3,
    "http_429": ("rate_limited",) * 3,
    "http_499": ("server_error",) * 3,
    "http_500": ("server_error",) * 3,
    "http_502": ("server_error",) * 3,
    "http_503": ("rate_limited",) * 3,
    "error_body": ("server_error",) * 3,
    "html_body": ("broken_stream", "server_error", "server_error"),
    "error_midstream": ("server_error", "server_error", "broken_stream"),
    "no_end": ("broken_stream",) * 3,
    "cut": ("broken_stream",) * 3,
    "garbage": ("broken_stream",) * 3,
    "wrong_shape": ("broken_stream",) * 3,
    "stall": ("timeout",) * 3,
    "double_id": (HEALTHY,) * 3,
    "no_id": (HEALTHY,) * 3,
    "empty_id": (HEALTHY,) * 3,
    "no_index": (HEALTHY,) * 3,
    "bad_arguments": ("invalid_answer", "arguments None", "arguments None"),
    "partial_arguments": ("invalid_answer", "arguments None", "arguments None"),
    "double_encoded": (HEALTHY,) * 3,
    "unknown_tool": ("calls no_such_tool",) * 3,
    "wrong_types": ("wrong types kept",) * 3,
    "text_json": ("text",) * 3,  # two objects in a row are no certain call
    "text_fence": ("text",) * 3,
    "text_tag": (HEALTHY,) * 3,
    "empty": ("invalid_answer",) * 3,
    "thinking_only": ("invalid_answer",) * 3,
}
OF_CALLS = {fault for fault in TABLE if fault.endswith(("_id", "_index", "_arguments", "_encoded", "_tool", "_types"))}


def providers(double: ModelDouble) -> dict[str, tuple[Provider, str]]:
    router = Address("openrouter", "OpenRouter", double.openrouter_url, "OPENROUTER_API_KEY", True, {"sort": "price"})
    plain = Address("mine", "Mine", double.compatible_url, cloud=False)
    return {
        "ollama": (OllamaProvider(double.ollama_url), "qwen3:8b"),
        "openrouter": (CompatibleProvider(router, lambda _: "sk-test"), "qwen/qwen3-8b"),
        "v1": (CompatibleProvider(plain, lambda _: None), "qwen3:8b"),
    }


async def outcome(provider: Provider, model: str, seconds: float = 60) -> str:
    messages = (Message("user", "Read both files."),)
    request = ModelRequest(model, messages, (READ,), seconds=seconds)
    try:
        async with aclosing(provider.stream(request)) as events:
            *deltas, answer = [event async for event in events]
    except ProviderError as error:
        assert error.message.endswith(".")
        return error.fault
    finally:
        await provider.aclose()
    assert isinstance(answer, ModelAnswer)
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    assert "".join(delta.text for delta in deltas if not delta.thinking) == answer.text
    return describe(answer)


def describe(answer: ModelAnswer) -> str:
    if not answer.calls:
        return "text"
    assert answer.finish == "tool_calls"
    if answer.calls[0].arguments is None:
        return "arguments None"
    if answer.calls[0].name != "files__read":
        return f"calls {answer.calls[0].name}"
    paths = [each.arguments["path"] for each in answer.calls if each.arguments]
    assert len({each.id for each in answer.calls}) == 2 and all(each.id for each in answer.calls)
    return HEALTHY if paths == ["a.md", "b.md"] else "wrong types kept"


def test_the_table_holds_every_fault() -> None:
    assert set(TABLE) == FAULTS


@pytest.mark.parametrize(("number", "who"), list(enumerate(["ollama", "openrouter", "v1"])))
@pytest.mark.parametrize("fault", TABLE)
async def test_a_fault_ends_in_its_own_error_or_is_mended(fault: str, number: int, who: str) -> None:
    good = CALLS if fault in OF_CALLS or fault.startswith("text_") else TEXT
    reply = Reply(good.text, good.calls, good.thinking, fault=fault)
    async with ModelDouble([reply]) as double:
        provider, model = providers(double)[who]
        with anyio.fail_after(PATIENCE):
            seconds = 2 if fault == "stall" else 60
            assert await outcome(provider, model, seconds) == TABLE[fault][number]


@pytest.mark.parametrize("who", ["ollama", "openrouter", "v1"])
@pytest.mark.parametrize("fault", ["text_json", "text_fence", "text_tag"])
async def test_one_call_written_as_text_is_taken_for_the_call_it_is(fault: str, who: str) -> None:
    reply = Reply(calls=[call("files__read", path="a.md")], fault=fault)
    async with ModelDouble([reply]) as double:
        provider, model = providers(double)[who]
        request = ModelRequest(model, (Message("user", "Read it."),), (READ,))
        events = [event async for event in provider.stream(request)]
        await provider.aclose()
    assert len(events) == 1, "nothing of it was shown as text"
    assert [each.arguments for each in events[0].calls] == [{"path": "a.md"}]


@pytest.mark.parametrize("who", ["ollama", "openrouter", "v1"])
async def test_a_text_call_of_a_tool_that_does_not_exist_stays_text(who: str) -> None:
    async with ModelDouble([Reply('{"name": "rm", "arguments": {}}')]) as double:
        provider, model = providers(double)[who]
        assert await outcome(provider, model) == "text"
