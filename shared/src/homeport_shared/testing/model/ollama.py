"""Ollama's own API: NDJSON, tool calls whole, durations in nanoseconds, zero fields left out.

Shapes after `api/types.go` and `server/routes.go` of ollama 0.33.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from homeport_shared.testing.model import models, window
from homeport_shared.testing.model.delivery import Frames, Spoken, deliver, deliver_whole, pieces, speak
from homeport_shared.testing.model.faults import SpoiledCall
from homeport_shared.testing.model.models import Model
from homeport_shared.testing.model.script import Reply
from homeport_shared.testing.model.state import Exchange
from homeport_shared.testing.model.window import RefusedError
from homeport_shared.testing.model.wire import NDJSON

Shape = Callable[[dict[str, Any]], dict[str, Any]]
VERSION = "0.33.0"
LOAD_NS, PROMPT_NS, TOKEN_NS = 1_200_000_000, 400_000, 9_000_000


async def version(exchange: Exchange) -> None:
    """`GET /api/version`."""
    await exchange.response.json(200, {"version": VERSION})


async def tags(exchange: Exchange) -> None:
    """`GET /api/tags`."""
    await exchange.response.json(200, {"models": [each.tag() for each in exchange.state.models if not each.cloud]})


async def running(exchange: Exchange) -> None:
    """`GET /api/ps`."""
    await exchange.response.json(200, {"models": list(exchange.state.loaded.values())})


async def show(exchange: Exchange) -> None:
    """`POST /api/show`."""
    await exchange.response.json(200, _model(exchange).show())


async def pull(exchange: Exchange) -> None:
    """`POST /api/pull`: any name but one that begins with `no` is found and is there afterwards."""
    name = exchange.request.model
    if name.startswith("no"):
        raise RefusedError(500, "pull model manifest: file does not exist")
    model = Model(name if ":" in name else f"{name}:latest", size=4_000_000_000)
    digest = f"sha256:{model.digest}"
    steps: list[dict[str, Any]] = [{"status": "pulling manifest"}]
    for done in range(1, 5):
        total = model.size
        steps.append(
            {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total, "completed": total * done // 4}
        )
    steps += [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"}]
    if models.find(exchange.state.models, name, cloud=False) is None:
        exchange.state.models.append(model)
    if exchange.request.body.get("stream") is False:
        await exchange.response.json(200, steps[-1])
        return
    frames = Frames([_line(step) for step in steps], [], [], b"", b"")
    await deliver(exchange.response, NDJSON, frames, Reply(), exchange.dice)


async def embed(exchange: Exchange) -> None:
    """`POST /api/embed`."""
    model, body = _model(exchange), exchange.request.body
    texts: list[str] = [body["input"]] if isinstance(body.get("input"), str) else body.get("input") or []
    count = sum(window.tokens(text) for text in texts)
    if body.get("truncate") is False and any(window.tokens(text) > model.context_length for text in texts):
        raise RefusedError(400, "the input length exceeds the context length")
    vectors = [models.vector(text, body.get("dimensions") or 384) for text in texts]
    value = {
        "model": exchange.request.model,
        "embeddings": vectors,
        "total_duration": LOAD_NS,
        "load_duration": LOAD_NS,
    }
    await exchange.response.json(200, {**value, **_present({"prompt_eval_count": count})})


async def chat(exchange: Exchange) -> None:
    """`POST /api/chat`."""
    await _generate(exchange, _as_message)


async def generate(exchange: Exchange) -> None:
    """`POST /api/generate`."""
    await _generate(exchange, _as_response)


def _as_message(part: dict[str, Any]) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "", **part}}


def _as_response(part: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in part.items() if name != "content"}
    return {"response": part.get("content", ""), **rest}


async def _generate(exchange: Exchange, shape: Shape) -> None:
    request, body = exchange.request, exchange.request.body
    model = _model(exchange)
    _check(model, body)
    if not request.messages:
        reason = "unload" if body.get("keep_alive") in (0, "0") else "load"
        await exchange.response.json(200, {**_base(exchange), **shape({}), "done": True, "done_reason": reason})
        return
    _fit(exchange, model)
    reply = exchange.state.script.reply(request)
    await anyio.sleep(reply.delay)
    if await exchange.refuse(reply):
        return
    think = "thinking" in model.capabilities and body.get("think") is not False
    spoken = speak(reply, exchange.dice, think=think)
    end = _end(exchange, spoken)
    if body.get("stream") is False:
        calls = {"tool_calls": [_call(each, reply.fault) for each in spoken.calls]} if spoken.calls else {}
        message = {"content": spoken.text, **_present({"thinking": spoken.thinking}), **calls}
        await deliver_whole(exchange.response, {**_base(exchange), **shape(message), **end}, reply)
        return
    frames = _frames(exchange, spoken, reply.fault, shape, end)
    await deliver(exchange.response, NDJSON, frames, reply, exchange.dice)


def _frames(exchange: Exchange, spoken: Spoken, fault: str, shape: Shape, end: dict[str, Any]) -> Frames:
    parts: list[dict[str, Any]] = [{"thinking": piece} for piece in pieces(spoken.thinking, exchange.dice)]
    parts += [{"content": piece} for piece in pieces(spoken.text, exchange.dice)]
    body = [_line({**_base(exchange), **shape(part), "done": False}) for part in parts]
    last = [_line({**_base(exchange), **shape({}), **end})]
    error = _line({"error": "an error was encountered while running the model: unexpected EOF"})
    if spoken.calls and fault in ("bad_arguments", "partial_arguments"):
        # the server parses the model's call itself, so what reaches the client is its complaint
        complaint = "error parsing tool call: raw='{\"path\": ', err=unexpected end of JSON input"
        return Frames(body, [_line({"error": complaint})], [error], b"", b"")
    for each in spoken.calls:
        part = {"tool_calls": [_call(each, fault)]}
        body.append(_line({**_base(exchange), **shape(part), "done": False}))
    odd = _line({"model": exchange.request.model, "message": ["a", "list"], "done": False})
    return Frames(body, last, [error], b'{"model":"x","message":{"role":"assist\n', odd)


def _call(each: SpoiledCall, fault: str) -> dict[str, Any]:
    arguments = json.dumps(each.arguments) if fault == "double_encoded" else each.arguments
    index = {} if each.index is None else {"index": each.index}
    function = {**index, "name": each.name, "arguments": arguments}
    return {"function": function} if each.id is None else {"id": each.id, "function": function}


def _end(exchange: Exchange, spoken: Spoken) -> dict[str, Any]:
    read = exchange.request.prompt_tokens
    said = window.tokens(spoken.text + spoken.thinking) + sum(window.tokens(each.arguments) for each in spoken.calls)
    load = 0 if exchange.request.model in exchange.state.loaded else LOAD_NS
    metrics = {
        "total_duration": load + read * PROMPT_NS + said * TOKEN_NS, "load_duration": load or 30_000_000,
        "prompt_eval_count": read, "prompt_eval_duration": read * PROMPT_NS,
        "eval_count": said, "eval_duration": said * TOKEN_NS,
    }  # fmt: skip
    return {"done": True, "done_reason": spoken.finish, **_present(metrics)}


def _fit(exchange: Exchange, model: Model) -> None:
    body = exchange.request.body
    num_ctx = min(exchange.request.num_ctx or exchange.state.num_ctx, model.context_length)
    fitted = window.fit(
        exchange.request.messages,
        body.get("tools") or [],
        num_ctx,
        truncate=model.ignores_shift or body.get("truncate") is not False,
        shift=model.ignores_shift or body.get("shift") is not False,
    )
    exchange.request.kept, exchange.request.prompt_tokens = fitted.messages, fitted.tokens
    exchange.state.load(model, num_ctx)


def _check(model: Model, body: Mapping[str, Any]) -> None:
    if "completion" not in model.capabilities:
        raise RefusedError(400, f'"{model.name}" does not support chat')
    if body.get("tools") and "tools" not in model.capabilities:
        raise RefusedError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    if body.get("think") and "thinking" not in model.capabilities:
        raise RefusedError(400, f'"{model.name}" does not support thinking')


def _model(exchange: Exchange) -> Model:
    model = models.find(exchange.state.models, exchange.request.model, cloud=False)
    if model is None:
        raise RefusedError(404, f"model '{exchange.request.model}' not found")
    return model


def _base(exchange: Exchange) -> dict[str, Any]:
    return {"model": exchange.request.model, "created_at": models.nanoseconds_now()}


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    """Go's `omitempty`: what is zero or empty is not written."""
    return {name: value for name, value in fields.items() if value}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
