"""What goes to OpenRouter and to compatible addresses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from homeport_host.providers.configured import providers_for
from homeport_host.providers.protocol import Message, ModelRequest, ProviderError, ToolCall, ToolSpec
from homeport_host.providers.settings import ModelSettings
from homeport_shared.testing.model import ModelDouble

pytestmark = pytest.mark.anyio
ASK = (Message("user", "Hi"),)
TOOL = ToolSpec("read", "Read.", {"type": "object"})


async def test_openrouter_gets_the_privacy_preference_and_only_hosts_that_know_our_parameters() -> None:
    call = ToolCall("call_1", "read", None, "{broken")
    history = (*ASK, Message("assistant", "", (call,)), Message("tool", "text", call_id="call_1", tool="read"))
    async with ModelDouble(default="ok") as double:
        settings = ModelSettings(openrouter_url=double.openrouter_url)
        provider = providers_for(settings, lambda _: "k", {})["openrouter"]
        for request in (
            ModelRequest("qwen/qwen3-8b", ASK),
            ModelRequest("qwen/qwen3-8b", history, (TOOL,), think=False),
        ):
            async for _ in provider.stream(request):
                pass
        await provider.aclose()
    plain, with_tools = (request.body for request in double.chats)
    assert plain["provider"] == {"data_collection": "deny"}
    assert with_tools["provider"] == {"data_collection": "deny", "require_parameters": True}
    assert with_tools["reasoning"] == {"enabled": False}
    assert with_tools["messages"][1]["tool_calls"][0]["function"] == {"name": "read", "arguments": "{}"}
    assert with_tools["messages"][2] == {"role": "tool", "content": "text", "tool_call_id": "call_1"}


async def test_a_further_provider_is_a_setting_and_gets_nothing_of_openrouter() -> None:
    async with ModelDouble(default="ok") as double:
        entry = {"name": "mine", "url": double.compatible_url, "cloud": False}
        settings = ModelSettings.model_validate({"compatible": [entry]})
        provider = providers_for(settings, lambda _: "sk-openrouter", {})["mine"]
        assert "mine/qwen3:8b" in [model.name for model in await provider.models()]
        assert (await provider.describe("qwen3:8b")).name == "mine/qwen3:8b"
        with pytest.raises(ProviderError, match=r"mine has no model 'qwen3:8'\. Did you mean qwen3:8b"):
            await provider.describe("qwen3:8")
        async for _ in provider.stream(ModelRequest("qwen3:8b", ASK)):
            pass
        await provider.aclose()
    assert not provider.cloud
    assert all("sk-openrouter" not in str(request.headers) for request in double.requests)
    assert "provider" not in double.chats[0].body


async def test_what_the_environment_says_of_openai_goes_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "private")
    async with ModelDouble(default="ok") as double:
        provider = providers_for(ModelSettings(openrouter_url=double.openrouter_url), lambda _: "k", {})["openrouter"]
        async for _ in provider.stream(ModelRequest("qwen/qwen3-8b", ASK)):
            pass
        await provider.aclose()
    assert "private" not in str(double.chats[0].headers)


async def test_an_address_where_nobody_answers_is_named() -> None:
    settings = ModelSettings(openrouter_url="http://127.0.0.1:9/api/v1")
    provider = providers_for(settings, lambda _: "k", {})["openrouter"]
    with pytest.raises(ProviderError, match=r"OpenRouter does not answer at http://127\.0\.0\.1:9/api/v1") as caught:
        await anext(provider.stream(ModelRequest("x", ASK)))
    assert caught.value.fault == "unreachable"
    await provider.aclose()


async def test_a_key_that_no_header_can_carry_is_said_without_the_key() -> None:
    provider = providers_for(ModelSettings(), lambda _: "sk-geheimnis-ß", {})["openrouter"]
    with pytest.raises(ProviderError, match="holds characters that no key has") as caught:
        await provider.check()
    assert "geheimnis" not in str(caught.value)


async def test_a_new_key_works_at_once() -> None:
    keys = [None, "wrong", "right"]
    async with ModelDouble(default="ok", key="right") as double:
        settings = ModelSettings(openrouter_url=double.openrouter_url)
        provider = providers_for(settings, lambda _: keys.pop(0), {})["openrouter"]
        for fault in ("no_key", "refused_key"):
            with pytest.raises(ProviderError) as caught:
                await provider.check()
            assert caught.value.fault == fault
        assert await provider.check() == "no limit"
        await provider.aclose()


@pytest.mark.subprocess
def test_importing_the_providers_loads_no_client() -> None:
    modules = "router, configured, ollama, compatible, usage"
    heavy = ["httpx", "httpx2", "openai", "ollama", "jsonschema", "psutil", "keyring", "cryptography"]
    code = f"import sys; from homeport_host.providers import {modules}; import homeport_shared.vault; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
