"""What the model double answers: replies, the rules that choose one, and their form as a JSON file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from homeport_shared.testing.model.faults import FAULTS
from homeport_shared.testing.model.journal import Recorded


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model makes. `{question}` and `{result}` in strings are filled in."""

    name: str
    arguments: dict[str, Any]


def call(name: str, /, **arguments: Any) -> Call:
    """Return a call of tool `name`."""
    return Call(name, arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the model, and how it goes wrong on its way.

    Attributes:
        text: The answer; `{question}` becomes the last user message, `{result}` the last tool result.
        calls: Tools the model wants called.
        thinking: What a thinking model thinks first.
        fault: A name of `faults.FAULTS`; the answer is then spoiled in that way.
        times: How often the fault happens at this place of the conversation before the answer comes whole; 0 = always.
        retry_after: Seconds in the `Retry-After` header of a `http_429` or `http_503`; None = no header.
        finish: `stop`, or `length` for an answer that was cut by its token limit.
        delay: Seconds before the first byte.
        pace: Seconds between two pieces of a stream.
        ragged: Cut the stream's HTTP chunks at random bytes, also inside lines and characters.
    """

    text: str = ""
    calls: Sequence[Call] = ()
    thinking: str = ""
    fault: str = ""
    times: int = 0
    retry_after: float | None = None
    finish: str = "stop"
    delay: float = 0.0
    pace: float = 0.0
    ragged: bool = False

    def __post_init__(self) -> None:
        if self.fault and self.fault not in FAULTS:
            raise ValueError(f"There is no fault {self.fault!r}. Faults: {', '.join(sorted(FAULTS))}.")


Answer = Reply | str | Call | Callable[[Recorded], Reply]


@dataclass(frozen=True, slots=True)
class Rule:
    """Replies to a user message that `when` is found in, one for each step of the turn.

    Attributes:
        when: Regular expression searched in the last user message, without regard to case.
        replies: The first answers the message itself, the next one the tool results, and so on; then the last again.
        model: Regular expression the model's name must match whole; empty = every model.
    """

    when: str
    replies: tuple[Answer, ...]
    model: str = ""


def on(when: str, *replies: Answer, model: str = "") -> Rule:
    """Return the rule: to a user message matching `when`, answer `replies` step by step."""
    return Rule(when, replies, model)


NO_MORE = Reply("The script has no more answers.")


@dataclass(slots=True)
class Script:
    """Chooses the reply to a request from the request alone, so conversations run in parallel and can be replayed.

    Attributes:
        rules: Asked in order; the first that matches answers.
        sequence: Where no rule matches: the n-th answer of a conversation; then `default`.
        default: Where nothing else is left.
    """

    rules: tuple[Rule, ...] = ()
    sequence: tuple[Answer, ...] = ()
    default: Answer = NO_MORE
    _seen: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])

    @classmethod
    def of(cls, items: Sequence[Answer | Rule], default: Answer | None = None) -> Script:
        """Return the script of `items`: rules, and answers that are given one after the other."""
        rules = tuple(item for item in items if isinstance(item, Rule))
        sequence = tuple(item for item in items if not isinstance(item, Rule))
        return cls(rules, sequence, NO_MORE if default is None else default)

    def reply(self, request: Recorded) -> Reply:
        """Return the answer to `request`; a fault that has happened often enough is taken out."""
        reply = _filled(_as_reply(self._choose(request), request), request)
        if reply.fault and reply.times:
            place = (request.model, reply.fault, *(f"{m['role']}:{m['content']}" for m in request.messages))
            self._seen[place] += 1
            if self._seen[place] > reply.times:
                return replace(reply, fault="")
        return reply

    def _choose(self, request: Recorded) -> Answer:
        for rule in self.rules:
            fits = not rule.model or re.fullmatch(rule.model, request.model)
            if fits and rule.replies and re.search(rule.when, request.question, re.IGNORECASE):
                return rule.replies[min(request.step, len(rule.replies) - 1)]
        place = sum(message["role"] == "assistant" for message in request.messages)
        return self.sequence[place] if place < len(self.sequence) else self.default


def read_script(path: Path) -> Script:
    """Return the script in the JSON file `path`.

    The file is a list whose items are a string, a reply `{"text", "calls": [{"name", "arguments"}], "fault", …}` with
    the fields of `Reply`, or a rule `{"when", "replies": […], "model"}`; or `{"script": [as above], "default": reply}`.

    Raises:
        ValueError: When it is something else.
    """
    value: Any = json.loads(path.read_text("utf-8"))
    content = cast("dict[str, Any]", {"script": value} if isinstance(value, list) else value)
    default = _parsed(content["default"]) if "default" in content else None
    return Script.of([_parsed_item(item) for item in content["script"]], default)


def _parsed_item(item: Any) -> Answer | Rule:
    if isinstance(item, Mapping) and "when" in item:
        rule = cast("Mapping[str, Any]", item)
        return on(rule["when"], *(_parsed(reply) for reply in rule["replies"]), model=rule.get("model", ""))
    return _parsed(item)


def _parsed(item: Any) -> Answer:
    if isinstance(item, str):
        return item
    fields = dict(cast("Mapping[str, Any]", item))
    calls = [Call(entry["name"], entry.get("arguments", {})) for entry in fields.pop("calls", [])]
    try:
        return Reply(calls=calls, **fields)
    except TypeError as error:
        raise ValueError(f"{item} is no reply: {error}.") from error


def _as_reply(answer: Answer, request: Recorded) -> Reply:
    if isinstance(answer, Reply):
        return answer
    if isinstance(answer, str):
        return Reply(answer)
    return Reply(calls=(answer,)) if isinstance(answer, Call) else answer(request)


def _filled(reply: Reply, request: Recorded) -> Reply:
    calls = tuple(Call(each.name, _fill(each.arguments, request)) for each in reply.calls)
    return replace(reply, text=_fill(reply.text, request), calls=calls)


def _fill(value: Any, request: Recorded) -> Any:
    if isinstance(value, str):
        return value.replace("{question}", request.question).replace("{result}", request.result)
    if isinstance(value, dict):
        return {name: _fill(item, request) for name, item in cast("dict[str, Any]", value).items()}
    return [_fill(item, request) for item in cast("list[Any]", value)] if isinstance(value, list) else value
