"""Keep a conversation within the model's context: what is dropped is chosen here, not by the provider.

The system message, the user's question and everything since stay as long as possible: first the oldest turns before
the question go, whole, then the texts of the oldest tool results of this run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from homeport_host.agents.toolbox import tokens_of
from homeport_host.providers.protocol import Message
from homeport_shared.errors import HomeportError

LOCAL_DEFAULT, CLOUD_DEFAULT = 8_192, 32_768
REPLY_SHARE = 0.15
DROPPED = "[This result was dropped to save space. Call the tool again if it is needed.]"


def window_of(asked: int, *, longest: int, local: bool) -> int:
    """Return the context to use, in tokens.

    Args:
        asked: What the run or the agent asks for; 0 = nothing.
        longest: What the model takes; 0 = not known.
        local: The model runs on this machine, where a large context costs its memory.
    """
    default = min(longest or LOCAL_DEFAULT, LOCAL_DEFAULT) if local else longest or CLOUD_DEFAULT
    return min(asked, longest) if asked and longest else asked or default


def message_tokens(message: Message) -> int:
    """Estimate what a message costs."""
    calls = sum(tokens_of(call.name + json.dumps(call.arguments, ensure_ascii=False)) + 12 for call in message.calls)
    return tokens_of(message.content) + calls + 6


def fit(before: Sequence[Message], since: Sequence[Message], room: int) -> tuple[list[Message], int]:
    """Shorten a conversation until it takes at most `room` tokens.

    Args:
        before: The earlier turns: a user's message and what follows it, each.
        since: The user's question and everything after it in this run.
        room: Tokens left beside system message and tools.

    Returns:
        The messages to send, and how many of the earlier ones were left out.

    Raises:
        HomeportError: `too_large`, when even the question and the last step do not fit.
    """
    current = list(since)
    costs = [message_tokens(message) for message in current]
    results = [index for index, message in enumerate(current) if message.role == "tool" and message.content != DROPPED]
    while results[1:] and sum(costs) > room:
        oldest = results.pop(0)
        current[oldest] = replace(current[oldest], content=DROPPED)
        costs[oldest] = message_tokens(current[oldest])
    left = room - sum(costs)
    if left < 0:
        raise HomeportError(
            "too_large",
            f"The question and its results need about {sum(costs)} tokens; the context has room for {room}.",
            "Ask a shorter question, give the agent a larger num_ctx, or choose a model with a larger context.",
        )
    kept: list[Message] = []
    for turn in reversed(turns_of(before)):
        left -= sum(map(message_tokens, turn))
        if left < 0:
            break
        kept = [*turn, *kept]
    return [*kept, *current], len(before) - len(kept)


def turns_of(messages: Sequence[Message]) -> list[list[Message]]:
    """Split a conversation into turns, each beginning with a message of the user."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns
