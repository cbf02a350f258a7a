"""What was asked of the model double, for tests to assert on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import anyio

Outcome = Literal["pending", "answered", "refused", "cut", "client_gone"]


@dataclass(slots=True)
class Recorded:
    """One request.

    Attributes:
        path: Such as `/api/chat`.
        headers: Names in lower case.
        body: The JSON body; empty where there is none.
        outcome: `refused` is an error status, `cut` a stream that was broken on purpose, `client_gone` a client that
            closed its connection before the end.
        kept: The messages that the model saw after the context window took its toll.
        prompt_tokens: What the model read of them.
        finished: Set when the outcome is known.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    outcome: Outcome = "pending"
    kept: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    prompt_tokens: int = 0
    finished: anyio.Event = field(default_factory=anyio.Event)

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, each with its content as one string."""
        given: list[dict[str, Any]] = self.body.get("messages") or []
        if not given and self.body.get("prompt"):
            given = [{"role": "user", "content": self.body["prompt"]}]
        return [{**message, "content": _text(message.get("content"))} for message in given]

    @property
    def tools(self) -> list[str]:
        """The names of the tools that were offered."""
        offered: list[dict[str, Any]] = self.body.get("tools") or []
        return [tool["function"]["name"] for tool in offered]

    @property
    def num_ctx(self) -> int | None:
        """The context window that was asked for, tokens."""
        return cast("dict[str, Any]", self.body.get("options") or {}).get("num_ctx")

    @property
    def key(self) -> str:
        """The bearer token that came with it."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def question(self) -> str:
        """The text of the last user message."""
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")

    @property
    def result(self) -> str:
        """The text of the last tool result since the last user message."""
        for message in reversed(self.messages):
            if message["role"] in ("tool", "user"):
                return message["content"] if message["role"] == "tool" else ""
        return ""

    @property
    def step(self) -> int:
        """How many answers the model has given since the last user message."""
        count = 0
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            count += message["role"] == "assistant"
        return count


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = cast("list[dict[str, Any]]", content)
        return "".join(str(part.get("text", "")) for part in parts)
    return content if isinstance(content, str) else "" if content is None else json.dumps(content)
