"""The context window as Ollama treats it, so that a host that overflows it fails its tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CHARACTERS_PER_TOKEN = 4


class RefusedError(Exception):
    """The server does not answer this request.

    Args:
        status: HTTP status.
        message: The text of the error, as the server words it.
        retry_after: Seconds in a `Retry-After` header; None = no header.
    """

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Fitted:
    """What of a conversation the model reads."""

    messages: list[dict[str, Any]]
    tokens: int


def tokens(value: Any) -> int:
    """Return the number of tokens of a text, or of a JSON value as it goes into the prompt: characters / 4."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def fit(
    messages: Sequence[dict[str, Any]], tools: Sequence[Any], num_ctx: int, *, truncate: bool, shift: bool
) -> Fitted:
    """Return what is left of `messages` in a window of `num_ctx` tokens.

    After `chatPrompt` and `contextShiftPromptLimit` of Ollama 0.33: messages go from the front while system messages
    and the last one stay; a prompt that is still too long is cut to half the window.

    Raises:
        RefusedError: 400 with `shift` off and a prompt that is too long; 500 when no user message is left.
    """
    kept = _without_front(messages, tools, num_ctx) if truncate else list(messages)
    size = _size(kept, tools)
    if size > num_ctx:
        if not shift or not truncate:
            raise RefusedError(
                400, f"the prompt is longer than the context length: {size} tokens, the context length is {num_ctx}"
            )
        size = num_ctx // 2
    if kept and not any(message["role"] == "user" for message in kept):
        raise RefusedError(500, "no user query found in messages")
    return Fitted(kept, size)


def _without_front(messages: Sequence[dict[str, Any]], tools: Sequence[Any], num_ctx: int) -> list[dict[str, Any]]:
    for start in range(len(messages)):
        kept = [m for m in messages[:start] if m["role"] == "system"] + list(messages[start:])
        if _size(kept, tools) <= num_ctx or start == len(messages) - 1:
            return kept
    return []


def _size(messages: Sequence[dict[str, Any]], tools: Sequence[Any]) -> int:
    calls = sum(tokens(message["tool_calls"]) for message in messages if message.get("tool_calls"))
    return sum(tokens(message["content"]) for message in messages) + calls + (tokens(list(tools)) if tools else 0)
