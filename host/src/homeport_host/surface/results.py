"""What the host's tools return. Lists hold plain objects, so that the list of tools stays short."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeport_host.agents.runs import Run
from homeport_host.chat.store import Message, Session

Json = dict[str, Any]
NO_JSON: Json = {}
NONE: list[str] = []


class Sent(BaseModel):
    """What a message started."""

    session_id: str
    message_id: str
    run_id: str


class Named(BaseModel):
    """The thing that was acted on, and its state after it."""

    id: str
    state: str = ""


class Item(BaseModel):
    """One thing with all its fields."""

    model_config = ConfigDict(extra="allow")


class Attached(BaseModel):
    """An attachment."""

    session_id: str
    reference: str
    title: str


class Chats(BaseModel):
    """A page of conversations."""

    chats: list[Json]
    next: str


class RunList(BaseModel):
    """A page of runs."""

    runs: list[Json]
    counts: Json
    next: str


class Started(BaseModel):
    """A run that was started."""

    run_id: str


class RunEvents(BaseModel):
    """Events of a run: go on with `next` as `after` until the state is final and none come."""

    events: list[Json]
    next: int
    state: str


class AgentList(BaseModel):
    """The agents."""

    agents: list[Json]


class ModelList(BaseModel):
    """Models that can be used now."""

    models: list[Json]
    default: str
    mode: str
    downloads: list[Json]


class Rows(BaseModel):
    """Rows, newest first."""

    rows: list[Json]


class Ticket(BaseModel):
    """An address that works once."""

    url: str
    expires: str


def session_json(session: Session, running: str, messages: Iterable[Message] | None = None) -> Json:
    """Return a conversation as the contract shapes it; with its messages where they are given."""
    shaped: Json = {**asdict(session), "running_run": running}
    if messages is not None:
        shaped["messages"] = [{k: v for k, v in asdict(message).items() if k != "session"} for message in messages]
    return shaped


def run_json(run: Run) -> Json:
    """Return a run as the contract shapes it."""
    return {**asdict(run), "own_tags": run.own_tags, "waits_for": run.waits_for}


def dumped(value: Any) -> str:
    """Return the text of a JSON resource."""
    return json.dumps(value, ensure_ascii=False)
