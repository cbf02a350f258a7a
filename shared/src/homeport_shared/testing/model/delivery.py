"""One scripted answer on its way to the client: cut into pieces, paced, and broken where the script says so."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio

from homeport_shared.testing.model.faults import ANSWER, STREAM, SpoiledCall, spoil
from homeport_shared.testing.model.script import Reply
from homeport_shared.testing.model.wire import CutError, Response


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream in one dialect.

    Attributes:
        body: The pieces of the answer.
        end: What tells the client that the answer is whole.
        error: What an error in the middle looks like; the stream ends after it.
        garbage: A frame that is no JSON.
        odd: A frame that is JSON of another shape.
    """

    body: list[bytes]
    end: list[bytes]
    error: list[bytes]
    garbage: bytes
    odd: bytes


@dataclass(frozen=True, slots=True)
class Spoken:
    """The content of an answer after its fault has had its way with it."""

    text: str
    thinking: str
    calls: list[SpoiledCall]
    finish: str


def speak(reply: Reply, dice: random.Random, *, think: bool) -> Spoken:
    """Return what the model says: tool calls with ids, or as text where the fault is that.

    Args:
        reply: The script's answer.
        dice: Makes the ids.
        think: The model thinks aloud.
    """
    calls = [
        SpoiledCall(f"call_{_letters(dice)}", index, each.name, each.arguments)
        for index, each in enumerate(reply.calls)
    ]
    thinking = reply.thinking if think else ""
    if reply.fault in ANSWER:
        only = (thinking or "Let me think.") if reply.fault == "thinking_only" else ""
        return Spoken("", only, [], reply.finish)
    if reply.fault.startswith("text_"):
        return Spoken(reply.text + "\n".join(_as_text(each, reply.fault) for each in calls), thinking, [], reply.finish)
    return Spoken(reply.text, thinking, spoil(calls, reply.fault), reply.finish)


def pieces(text: str, dice: random.Random) -> Iterator[str]:
    """Yield `text` in pieces of about a token's length."""
    start = 0
    while start < len(text):
        size = dice.randint(1, 6)
        yield text[start : start + size]
        start += size


async def deliver(
    response: Response, content_type: str, frames: Frames, reply: Reply, dice: random.Random, **headers: str
) -> None:
    """Send `frames` as a stream, in the way and up to the point that `reply` says.

    Raises:
        CutError: When the connection is to be broken here.
    """
    await response.start(content_type, {name.replace("_", "-"): value for name, value in headers.items()})
    broken = reply.fault in STREAM
    for frame in frames.body[: max(1, len(frames.body) // 2)] if broken else frames.body:
        await _send(response, frame, reply, dice)
    if reply.fault == "stall":
        await anyio.sleep_forever()
    if reply.fault == "cut":
        frame = (frames.end or frames.body)[0]
        await response.chunk(frame[: len(frame) // 2])
        raise CutError
    last = {
        "no_end": [], "error_midstream": frames.error, "garbage": [frames.garbage, *frames.end],
        "wrong_shape": [frames.odd, *frames.end],
    }  # fmt: skip
    for frame in last.get(reply.fault, frames.end):
        await _send(response, frame, reply, dice)
    await response.end()


async def deliver_whole(response: Response, value: dict[str, Any], reply: Reply) -> None:
    """Send `value` as one JSON body; a fault of a stream breaks it off or keeps it back.

    Raises:
        CutError: When the connection is to be broken here.
    """
    if reply.fault == "stall":
        await anyio.sleep_forever()
    if reply.fault in STREAM:
        await response.start("application/json")
        await response.chunk(json.dumps(value).encode()[:20])
        raise CutError
    await response.json(200, value)


async def _send(response: Response, frame: bytes, reply: Reply, dice: random.Random) -> None:
    if reply.pace:
        await anyio.sleep(reply.pace)
    while reply.ragged and len(frame) > 1:
        cut = dice.randint(1, min(7, len(frame) - 1))
        await response.chunk(frame[:cut])
        frame = frame[cut:]
    await response.chunk(frame)


def _as_text(each: SpoiledCall, fault: str) -> str:
    value = json.dumps({"name": each.name, "arguments": each.arguments}, ensure_ascii=False)
    forms = {"text_fence": f"```json\n{value}\n```", "text_tag": f"<tool_call>\n{value}\n</tool_call>"}
    return forms.get(fault, value)


def _letters(dice: random.Random) -> str:
    return "".join(dice.choices(string.ascii_lowercase + string.digits, k=8))
