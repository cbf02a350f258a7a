"""An answer as far as it is written, read from the events of its run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from homeport_host.agents.runs import RunEvent
from homeport_host.chat.store import Message


def live(message: Message, events: list[RunEvent], asked: str) -> Message:
    """Return a running message with what its run has told so far.

    Args:
        message: As it is stored.
        events: The events of its run.
        asked: The model that was asked, with its provider.
    """
    return replace(message, text=text_of(events), calls=calls_of(events), **_model_of(events, asked))


def text_of(events: list[RunEvent]) -> str:
    """Return the text of an answer as far as it was written; a restart makes what came before void."""
    text = ""
    for event in events:
        if event.kind == "restart":
            text = ""
        elif event.kind == "text":
            text += event.data["text"]
    return text


def calls_of(events: list[RunEvent]) -> list[dict[str, Any]]:
    """Return the calls of a run, each as it was told last."""
    calls: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.kind == "call":
            calls[event.data["id"]] = event.data
    return list(calls.values())


def _model_of(events: list[RunEvent], asked: str) -> dict[str, str]:
    told = [event.data for event in events if event.kind == "usage" and event.data.get("model")]
    provider = asked.partition("/")[0]
    return (
        {"model": told[-1]["model"], "provider": told[-1]["provider"]}
        if told
        else {"model": asked, "provider": provider}
    )
