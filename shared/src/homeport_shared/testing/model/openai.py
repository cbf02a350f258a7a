"""The OpenAI form: OpenRouter under `/api/v1`, and what Ollama makes of it under `/v1`, with its gaps.

Shapes after openrouter.ai/docs and `openai/openai.go`, `middleware/openai.go` of ollama 0.33.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import anyio

from homeport_shared.testing.model import models, window
from homeport_shared.testing.model.delivery import Frames, Spoken, deliver, deliver_whole, pieces, speak
from homeport_shared.testing.model.faults import SpoiledCall
from homeport_shared.testing.model.models import Model
from homeport_shared.testing.model.state import Exchange
from homeport_shared.testing.model.window import RefusedError
from homeport_shared.testing.model.wire import SSE

CREATED = 1_790_000_000
DONE = b"data: [DONE]\n\n"
PROCESSING = b": OPENROUTER PROCESSING\n\n"


async def list_models(exchange: Exchange) -> None:
    """`GET …/models`."""
    if _is_cloud(exchange):
        data = [each.listing() for each in exchange.state.models if each.cloud]
        await exchange.response.json(200, {"data": data})
        return
    local = [each for each in exchange.state.models if not each.cloud]
    data = [{"id": each.name, "object": "model", "created": CREATED, "owned_by": "library"} for each in local]
    await exchange.response.json(200, {"object": "list", "data": data})


async def key(exchange: Exchange) -> None:
    """`GET /api/v1/key`."""
    _authorise(exchange)
    data = {"label": "sk-or-v1-…", "limit": None, "limit_remaining": None, "usage": 0.25, "is_free_tier": False}
    await exchange.response.json(200, {"data": data})


async def embeddings(exchange: Exchange) -> None:
    """`POST …/embeddings`, as numbers or as base64 of 32-bit floats."""
    _authorise(exchange)
    body = exchange.request.body
    _find(exchange)
    texts: list[str] = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors = [models.vector(text, body.get("dimensions") or 384) for text in texts]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": n, "embedding": _packed(each) if packed else each}
        for n, each in enumerate(vectors)
    ]
    count = sum(window.tokens(text) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    await exchange.response.json(200, {"object": "list", "data": data, "model": exchange.request.model, "usage": usage})


async def rerank(exchange: Exchange) -> None:
    """`POST …/rerank`: relevance is the share of the query's words that a document holds."""
    _authorise(exchange)
    body = exchange.request.body
    _find(exchange)
    words = set(str(body["query"]).casefold().split())
    texts: list[str] = body["documents"]
    scores = [len(words & set(text.casefold().split())) / max(len(words), 1) for text in texts]
    results = [{"index": n, "relevance_score": score} for n, score in enumerate(scores)]
    results.sort(key=lambda result: -float(result["relevance_score"]))
    await exchange.response.json(200, {"model": exchange.request.model, "results": results})


async def chat(exchange: Exchange) -> None:
    """`POST …/chat/completions`."""
    _authorise(exchange)
    model = _find(exchange)
    _check(exchange, model)
    reply = exchange.state.script.reply(exchange.request)
    await anyio.sleep(reply.delay)
    if await exchange.refuse(reply):
        return
    spoken = speak(reply, exchange.dice, think="thinking" in model.capabilities)
    usage = _usage(exchange, model, spoken)
    if not exchange.request.body.get("stream"):
        await deliver_whole(exchange.response, _whole(exchange, spoken, reply.fault, usage), reply)
        return
    frames = _frames(exchange, spoken, reply.fault, usage)
    extra = {"X_Generation_Id": _id(exchange)} if _is_cloud(exchange) else {}
    await deliver(exchange.response, SSE, frames, reply, exchange.dice, **extra)


def _frames(exchange: Exchange, spoken: Spoken, fault: str, usage: dict[str, Any]) -> Frames:
    cloud = _is_cloud(exchange)
    deltas: list[dict[str, Any]] = [{"reasoning": piece} for piece in pieces(spoken.thinking, exchange.dice)]
    deltas += [{"content": piece} for piece in pieces(spoken.text, exchange.dice)]
    for each in spoken.calls:
        deltas += _call_deltas(each, fault, exchange) if cloud else [{"tool_calls": [_call(each, fault)]}]
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    body = [_event({**_base(exchange), "choices": [_choice(delta)]}) for delta in [first, *deltas]]
    finish = "tool_calls" if spoken.calls else spoken.finish
    end = [_event({**_base(exchange), "choices": [_choice({"content": ""} if cloud else {}, finish)]})]
    options: dict[str, Any] = exchange.request.body.get("stream_options") or {}
    if cloud or options.get("include_usage"):
        end.append(_event({**_base(exchange), "choices": [], "usage": usage}))
    # Ollama reads its own error line as an empty answer and sends that: the error itself is lost
    error = {**_base(exchange), "choices": [_choice({"role": "assistant", "content": ""})]}
    if cloud:
        broken = exchange.error_value(502, "Provider disconnected")
        error = {**_base(exchange), "error": broken, "choices": [_choice({"content": ""}, "error")]}
    keep_alive = [PROCESSING, PROCESSING] if cloud else []
    odd = _event({**_base(exchange), "choices": [{"index": 0, "delta": "text", "finish_reason": None}]})
    return Frames([*keep_alive, *body], [*end, DONE], [_event(error)], b'data: {"id":"gen-1","choi\n\n', odd)


def _whole(exchange: Exchange, spoken: Spoken, fault: str, usage: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": spoken.text}
    if spoken.thinking:
        message["reasoning"] = spoken.thinking
    if spoken.calls:
        message["tool_calls"] = [_call(each, fault) for each in spoken.calls]
    finish = "tool_calls" if spoken.calls else spoken.finish
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**_base(exchange), "object": "chat.completion", "choices": [choice], "usage": usage}


def _call(each: SpoiledCall, fault: str) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "function", "function": {"name": each.name, "arguments": _written(each, fault)}}
    if each.index is not None:
        value["index"] = each.index
    return value if each.id is None else {**value, "id": each.id}


def _call_deltas(each: SpoiledCall, fault: str, exchange: Exchange) -> list[dict[str, Any]]:
    """The name first, then the arguments in fragments that carry nothing but the index."""
    index = {} if each.index is None else {"index": each.index}
    head = {**_call(each, fault), "function": {"name": each.name, "arguments": ""}}
    rest = [{**index, "function": {"arguments": piece}} for piece in pieces(_written(each, fault), exchange.dice)]
    return [{"tool_calls": [part]} for part in [head, *rest]]


def _written(each: SpoiledCall, fault: str) -> str:
    text = json.dumps(each.arguments, ensure_ascii=False)
    spoiled = {"bad_arguments": f"path = {text[1:-1]};", "partial_arguments": text[: max(1, len(text) // 2)]}
    return json.dumps(text) if fault == "double_encoded" else spoiled.get(fault, text)


def _usage(exchange: Exchange, model: Model, spoken: Spoken) -> dict[str, Any]:
    read = exchange.request.prompt_tokens
    said = window.tokens(spoken.text + spoken.thinking) + sum(window.tokens(each.arguments) for each in spoken.calls)
    usage: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}
    if _is_cloud(exchange):
        usage["cost"] = read * model.price[0] + said * model.price[1]
        usage["completion_tokens_details"] = {"reasoning_tokens": window.tokens(spoken.thinking)}
        usage["prompt_tokens_details"] = {"cached_tokens": 0}
    return usage


def _check(exchange: Exchange, model: Model) -> None:
    body, request = exchange.request.body, exchange.request
    cloud = _is_cloud(exchange)
    if body.get("tools") and "tools" not in model.capabilities:
        if cloud:
            raise RefusedError(404, "No endpoints found that support tool use.")
        raise RefusedError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    size = model.context_length if cloud else exchange.state.num_ctx
    try:
        # nothing in this form sets Ollama's window, so what is too long is silently cut there
        fitted = window.fit(request.messages, body.get("tools") or [], size, truncate=not cloud, shift=not cloud)
    except RefusedError as error:
        if not cloud:
            raise
        wording = f"This endpoint's maximum context length is {size} tokens. However, you requested more."
        raise RefusedError(400, wording) from error
    request.kept, request.prompt_tokens = fitted.messages, fitted.tokens
    if not cloud:
        exchange.state.load(model, size)


def _find(exchange: Exchange) -> Model:
    cloud, name = _is_cloud(exchange), exchange.request.model
    model = models.find(exchange.state.models, name, cloud=cloud)
    if model is None:
        raise (
            RefusedError(400, f"{name} is not a valid model ID")
            if cloud
            else RefusedError(404, f"model '{name}' not found")
        )
    return model


def _authorise(exchange: Exchange) -> None:
    if not _is_cloud(exchange) or not exchange.state.key:
        return
    if not exchange.request.key:
        raise RefusedError(401, "No auth credentials found")
    if exchange.request.key != exchange.state.key:
        raise RefusedError(401, "User not found.")


def _is_cloud(exchange: Exchange) -> bool:
    return exchange.request.path.startswith("/api/v1/")


def _base(exchange: Exchange) -> dict[str, Any]:
    base = {"id": _id(exchange), "object": "chat.completion.chunk", "created": CREATED, "model": exchange.request.model}
    return {**base, "provider": "Acme"} if _is_cloud(exchange) else {**base, "system_fingerprint": "fp_ollama"}


def _id(exchange: Exchange) -> str:
    number = exchange.state.requests.index(exchange.request)
    return f"gen-{CREATED}-{number:06d}" if _is_cloud(exchange) else f"chatcmpl-{number}"


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
