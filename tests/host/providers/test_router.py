"""The one way to every model: mode, waiting, fallback, correction, record."""

from __future__ import annotations

import logging
import tomllib
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.database import Database
from homeport_host.providers.protocol import (
    Message,
    ModelAnswer,
    ModelRequest,
    ProviderError,
    Restarted,
    TextDelta,
    ToolSpec,
    UsageOwner,
)
from homeport_host.providers.usage import UsageStore
from homeport_shared.errors import HomeportError
from homeport_shared.testing.model import ModelDouble, Reply, Script

from .conftest import Opened, Watch

pytestmark = pytest.mark.anyio
LOCAL, CLOUD = "ollama/qwen3:8b", "openrouter/qwen/qwen3-8b"
SHAPE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def ask(text: str = "Hi", **fields: object) -> ModelRequest:
    return ModelRequest("", (Message("user", text),), **fields)


async def test_an_agent_moves_between_providers_by_its_model_setting_only(opened: Opened) -> None:
    async with ModelDouble(["Hello"]) as double, opened(double) as models:
        local = await models.complete(LOCAL, ask())
        cloud = await models.complete(CLOUD, ask())
    assert (local.text, local.provider) == ("Hello", "ollama")
    assert (cloud.text, cloud.provider, cloud.model) == ("Hello", "openrouter", "qwen/qwen3-8b")
    assert local.model.startswith("qwen3:8b@")
    assert cloud.usage.usd > 0 == local.usage.usd


async def test_deltas_come_in_order_before_the_one_answer(opened: Opened) -> None:
    text = "Zürich, 東京 and back again"
    async with ModelDouble([Reply(text, thinking="Where?", ragged=True)]) as double, opened(double) as models:
        for name in (LOCAL, CLOUD):
            *deltas, answer = [event async for event in models.stream(name, ask())]
            assert "".join(delta.text for delta in deltas if not delta.thinking) == text == answer.text
            assert "".join(delta.text for delta in deltas if delta.thinking) == "Where?" == answer.thinking
            assert len(deltas) > 5


@pytest.mark.parametrize(
    ("mode", "name", "allowed"),
    [
        ("LOCAL", LOCAL, True),
        ("LOCAL", CLOUD, False),
        ("CLOUD", LOCAL, False),
        ("CLOUD", CLOUD, True),
        ("HYBRID", LOCAL, True),
        ("HYBRID", CLOUD, True),
    ],
)
async def test_the_mode_is_enforced_on_every_call(opened: Opened, mode: str, name: str, allowed: bool) -> None:
    async with ModelDouble(["ok"]) as double, opened(double, mode=mode) as models:
        if allowed:
            assert (await models.complete(name, ask())).text == "ok"
            return
        with pytest.raises(ProviderError, match=f"The mode {mode} does not allow {name}") as caught:
            await models.complete(name, ask())
        assert caught.value.fault == "forbidden_by_mode"
        assert double.requests == [], "nothing left for the provider"


async def test_a_changed_mode_holds_from_the_next_call_on_and_stays(opened: Opened, tmp_path: Path) -> None:
    async with ModelDouble(["ok"]) as double, opened(double) as models:
        await models.complete(CLOUD, ask())
        await models.set_mode("LOCAL")
        with pytest.raises(ProviderError, match="does not allow"):
            await models.complete(CLOUD, ask())
        await models.set_default("ollama/llama3.2:3b")
        assert (await models.complete("", ask())).model.startswith("llama3.2:3b@")
        with pytest.raises(ProviderError, match="has no model 'nope'"):
            await models.set_default("ollama/nope")
    kept = tomllib.loads((tmp_path / "homeport.toml").read_text("utf-8"))["models"]
    assert kept == {"mode": "LOCAL", "default": "ollama/llama3.2:3b"}


async def test_a_failed_attempt_is_declared_void_before_the_fallback_answers(opened: Opened) -> None:
    broken = ModelDouble([Reply("This part is void, all of it", fault="cut")])
    async with broken, ModelDouble(["Whole"]) as cloud, opened(broken, cloud, fallback=[CLOUD]) as models:
        events = [event async for event in models.stream(LOCAL, ask())]
    (at,) = [n for n, event in enumerate(events) if isinstance(event, Restarted)]
    assert all(isinstance(event, TextDelta) for event in events[:at]) and at > 0
    assert "".join(event.text for event in events[at + 1 :] if isinstance(event, TextDelta)) == "Whole"
    answer = events[-1]
    assert isinstance(answer, ModelAnswer)
    assert answer.provider == "openrouter"
    assert answer.attempts == (f"{LOCAL}: The answer of Ollama broke off: the connection was lost.",)


async def test_the_fallback_order_keeps_to_the_mode(opened: Opened) -> None:
    order = [CLOUD, "ollama/llama3.2:3b"]
    failing = ModelDouble([Reply("x", fault="http_500")])
    async with failing as double, opened(double, mode="LOCAL", fallback=order) as models:
        with pytest.raises(ProviderError) as caught:
            await models.complete(LOCAL, ask())
    assert f"(1) {LOCAL}:" in caught.value.message
    assert "(2) ollama/llama3.2:3b:" in caught.value.message
    assert {request.path for request in double.chats} == {"/api/chat"}


async def test_a_question_that_no_other_model_could_answer_does_not_travel(opened: Opened) -> None:
    long = ask("x" * 80_000, num_ctx=4096)
    async with ModelDouble(default="ok") as double, opened(double, fallback=[CLOUD]) as models:
        with pytest.raises(ProviderError, match="too long for the context window of qwen3:8b") as caught:
            await models.complete(LOCAL, long)
        assert caught.value.fault == "context_overflow"
        assert len(double.chats) == 1


async def test_a_missing_key_goes_to_the_fallback(opened: Opened) -> None:
    async with ModelDouble(["local"]) as double, opened(double, key="", fallback=[LOCAL]) as models:
        answer = await models.complete(CLOUD, ask())
    assert answer.text == "local"
    assert "There is no API key for OpenRouter." in answer.attempts[0]


@pytest.mark.parametrize("name", [LOCAL, CLOUD])
async def test_a_rate_limit_is_waited_for_as_long_as_the_provider_says(opened: Opened, watch: Watch, name: str) -> None:
    reply = Reply("at last", fault="http_429", times=2, retry_after=7)
    async with ModelDouble([reply]) as double, opened(double) as models:
        assert (await models.complete(name, ask())).text == "at last"
    assert watch.slept == [7, 7]


async def test_waits_without_a_given_time_grow_and_end(opened: Opened, watch: Watch) -> None:
    async with ModelDouble([Reply("x", fault="http_429")]) as double, opened(double) as models:
        with pytest.raises(ProviderError, match="takes no more calls for now") as caught:
            await models.complete(LOCAL, ask())
    assert caught.value.fault == "rate_limited"
    assert watch.slept == [1, 2, 4]
    assert len(double.chats) == 4


async def test_a_wait_beyond_patience_fails_at_once(opened: Opened, watch: Watch) -> None:
    reply = Reply("x", fault="http_429", retry_after=3600)
    async with ModelDouble([reply]) as double, opened(double) as models:
        with pytest.raises(ProviderError):
            await models.complete(LOCAL, ask())
    assert watch.slept == []


async def test_our_own_limit_spaces_the_calls_of_one_provider(opened: Opened, watch: Watch) -> None:
    async with ModelDouble(["ok"]) as double, opened(double, requests_per_minute={"ollama": 2}) as models:
        for _ in range(3):
            await models.complete(LOCAL, ask())
        await models.complete(CLOUD, ask())
    assert watch.slept == [60]


async def test_a_structured_answer_is_checked_and_asked_for_once_more(opened: Opened) -> None:
    async with ModelDouble(['{"n": "three"}', '```json\n{"n": 3}\n```']) as double, opened(double) as models:
        for name in (LOCAL, CLOUD):
            answer = await models.complete(name, ask(schema=SHAPE))
            assert answer.parsed == {"n": 3}
    assert double.chats[0].body["format"] == SHAPE
    assert double.chats[2].body["response_format"]["json_schema"]["schema"] == SHAPE
    assert "'three' is not of type 'integer'" in double.chats[1].messages[-1]["content"]


async def test_a_structured_answer_that_stays_wrong_is_an_error(opened: Opened) -> None:
    async with ModelDouble(default="no JSON") as double, opened(double) as models:
        with pytest.raises(ProviderError, match="does not fit the form") as caught:
            await models.complete(LOCAL, ask(schema=SHAPE))
    assert caught.value.fault == "invalid_answer"
    assert len(double.chats) == 2


@pytest.mark.parametrize("name", [LOCAL, CLOUD])
async def test_leaving_the_stream_closes_the_connection(opened: Opened, name: str) -> None:
    async with ModelDouble([Reply("A long answer to leave", fault="stall")]) as double, opened(double) as models:
        async with aclosing(models.stream(name, ask())) as events:
            async for _ in events:
                break
        with anyio.fail_after(PATIENCE):
            await double.chats[0].finished.wait()
        assert double.chats[0].outcome == "client_gone"


@pytest.mark.parametrize("name", [LOCAL, CLOUD])
async def test_cancelling_the_caller_closes_the_connection(opened: Opened, name: str) -> None:
    async with ModelDouble([Reply("A long answer to leave", fault="stall")]) as double, opened(double) as models:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(models.complete, name, ask())
            await double.asked()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE):
            await double.chats[0].finished.wait()
        assert double.chats[0].outcome == "client_gone"


async def test_a_key_reaches_its_own_provider_only_and_no_error_and_no_log(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-or-v1-0123456789abcdef0123456789abcdef"
    caplog.set_level(logging.DEBUG)
    local, cloud = ModelDouble(["x"]), ModelDouble(["x"], key="sk-other")
    async with local, cloud, opened(local, cloud, key=key, fallback=[LOCAL]) as models:
        with pytest.raises(ProviderError) as caught:
            await models.check("openrouter")
        answer = await models.complete(CLOUD, ask())
    assert caught.value.fault == "refused_key"
    assert "User not found." in caught.value.message
    assert {request.key for request in cloud.requests} == {key}
    assert all(key not in str(request.headers) + str(request.body) for request in local.requests)
    assert key not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {answer}"
    assert key not in caplog.text


async def test_a_check_is_a_real_call(opened: Opened) -> None:
    async with ModelDouble(key="sk-right") as double, opened(double, key="sk-right") as models:
        assert await models.check("openrouter") == "no limit"
        assert await models.check("ollama") == "3 models"
        assert [request.path for request in double.requests] == ["/api/v1/key", "/api/tags"]
        with pytest.raises(HomeportError, match="There is no provider 'nobody'"):
            await models.check("nobody")


async def test_models_are_listed_and_searched_within_the_mode(opened: Opened) -> None:
    async with ModelDouble() as double, opened(double) as models:
        names = [model.name for model in await models.models("qwen 8b")]
        assert names == [LOCAL, CLOUD]
        (cloud,) = await models.models("openrouter qwen")
        assert cloud.usd_per_million == pytest.approx((0.035, 0.138))
        assert cloud.capabilities == {"completion", "tools", "thinking"}
        assert (await models.describe(LOCAL)).context_length == 40_960
        await models.set_mode("LOCAL")
        assert all(model.name.startswith("ollama/") for model in await models.models())


async def test_one_provider_that_is_down_does_not_hide_the_others(opened: Opened) -> None:
    async with ModelDouble() as double, opened(double, ollama_url="http://127.0.0.1:9") as models:
        assert [model.name for model in await models.models("qwen")] == [CLOUD]
        await models.set_mode("LOCAL")
        with pytest.raises(ProviderError, match=r"Ollama does not answer at http://127.0.0.1:9\. Start it"):
            await models.models()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "No model is chosen. Choose one"),
        ("qwen3:8b", "There is no model 'qwen3:8b'. Write it with its provider, such as ollama/qwen3:8b."),
        ("ollama/qwen3:8", "Ollama has no model 'qwen3:8'. Did you mean qwen3:8b"),
        ("openrouter/qwen/qwen9", "OpenRouter has no model 'qwen/qwen9'."),
        ("ollama/gemma3:4b", "The model gemma3:4b cannot use tools."),
        ("openrouter/acme/plain", "The model acme/plain cannot use tools."),
    ],
)
async def test_what_cannot_be_used_is_said_with_the_next_step(opened: Opened, name: str, says: str) -> None:
    tools = (ToolSpec("t", "A tool.", {"type": "object"}),)
    async with ModelDouble(default="x") as double, opened(double) as models:
        with pytest.raises(ProviderError) as caught:
            await models.complete(name, ask(tools=tools))
    assert str(caught.value).startswith(says)


async def test_a_pinned_version_is_answered_by_those_weights_only(opened: Opened) -> None:
    async with ModelDouble(default="x") as double, opened(double) as models:
        exact = (await models.complete(LOCAL, ask())).model
        assert (await models.complete(f"ollama/{exact}", ask())).model == exact
        with pytest.raises(ProviderError, match=r"is now version .*, not the pinned 000000000000"):
            await models.complete("ollama/qwen3:8b@000000000000", ask())


async def test_the_model_changes_within_a_conversation_without_losing_it(opened: Opened) -> None:
    history = (Message("user", "I am Ada."), Message("assistant", "Hello Ada."), Message("user", "Who am I?"))
    async with ModelDouble(default="Ada") as double, opened(double) as models:
        for name in (LOCAL, CLOUD, "ollama/llama3.2:3b"):
            await models.complete(name, ModelRequest("", history))
    assert [[m["content"] for m in request.messages] for request in double.chats] == [
        [message.content for message in history]
    ] * 3


async def test_each_call_is_recorded_and_summed_by_whom_it_was_for(
    opened: Opened, watch: Watch, tmp_path: Path
) -> None:
    ada = UsageOwner(session="s1", agent="clerk", run="r1", user="ada", tenant="t")
    async with ModelDouble(default="four words of answer") as double, opened(double) as models:
        await models.complete(LOCAL, ask(key="r1:1"), who=ada)
        await models.complete(LOCAL, ask(key="r1:1"), who=ada)  # the step ran twice
        await watch.sleep(86_400)
        cloud = await models.complete(CLOUD, ask(), who=UsageOwner(user="bob"))
        double.script = Script(default="no JSON")
        with pytest.raises(ProviderError):
            await models.complete(CLOUD, ask(schema=SHAPE), who=UsageOwner(user="eve"))
        database = Database(tmp_path / "host.db")
        usage = UsageStore(database)
        users = {total.group: total for total in await usage.totals("user")}
        days = await usage.totals("day")
        providers = {total.group: total.calls for total in await usage.totals("provider")}
        recent = await usage.totals("day", since="2026-11-22")
        with pytest.raises(HomeportError, match="cannot be grouped by 'colour'"):
            await usage.totals("colour")
        await database.aclose()
    assert (users["ada"].calls, users["ada"].completion_tokens, users["ada"].usd) == (2, 10, 0)
    assert users["bob"].usd == cloud.usage.usd > 0
    assert users["eve"].calls == 2, "what could not be used is paid for all the same"
    assert [day.group for day in days] == ["2026-11-22", "2026-11-21"]
    assert providers == {"ollama": 2, "openrouter": 3}
    assert [day.group for day in recent] == ["2026-11-22"]
