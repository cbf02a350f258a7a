"""From the pieces of a stream to one answer that holds together, or an error that says why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from homeport_host.providers.calls import FENCE, TEXT_CALL_STARTS, calls_in_text, parse_arguments, with_own_ids
from homeport_host.providers.protocol import (
    Finish,
    ModelAnswer,
    ModelRequest,
    ProviderError,
    TextDelta,
    ToolCall,
    Usage,
)


@dataclass(slots=True)
class Collector:
    """Gathers one answer.

    Text that may turn out to be a tool call is kept back from the reader until the end.
    """

    request: ModelRequest
    provider: str
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    _text: str = ""
    _thinking: str = ""
    _shown: int = 0

    def add_text(self, piece: str) -> TextDelta | None:
        """Take more of the answer and return what may be shown now."""
        self._text += piece
        start = self._text.lstrip()
        maybe_call = self.request.tools and any(s.startswith(start[: len(s)]) for s in TEXT_CALL_STARTS)
        return None if maybe_call else self.rest()

    def add_thinking(self, piece: str) -> TextDelta | None:
        """Take more of the model's thinking and return it."""
        self._thinking += piece
        return TextDelta(piece, thinking=True) if piece else None

    def rest(self) -> TextDelta | None:
        """Return the text that has not been shown yet."""
        text, self._shown = self._text[self._shown :], len(self._text)
        return TextDelta(text) if text else None

    def add_call(self, identity: str, name: str, arguments: Any, *, whole: bool = True) -> None:
        """Take a tool call; `arguments` is the object or the text that should hold one."""
        raw = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        self.calls.append(ToolCall(identity, name, parse_arguments(arguments, whole=whole), raw))

    def answer(self, finish: Finish, usage: Usage, model: str) -> ModelAnswer:
        """Return the answer.

        Raises:
            ProviderError: `invalid_answer` when the model said nothing, or did not keep to the schema.
        """
        calls = with_own_ids(self.calls) or calls_in_text(self._text, self.request.tools)
        text = self._text if self.calls or not calls else ""
        finish = "tool_calls" if calls else finish
        thinking = self._thinking
        answer = ModelAnswer(text, finish, calls, thinking, usage=usage, provider=self.provider, model=model)
        if not calls and not text.strip():
            raise _said_nothing(answer)
        if self.request.schema is None or calls:
            return answer
        return _with_object(answer, self.request.schema)


def _said_nothing(answer: ModelAnswer) -> ProviderError:
    if answer.finish == "length":
        what, hint = "used up its tokens before it answered", "Allow more tokens, or turn thinking off."
    elif answer.thinking:
        what, hint = "thought, but gave no answer", "Ask again, turn thinking off, or choose another model."
    else:
        what, hint = "gave an empty answer", "Ask again, or choose another model."
    return ProviderError("invalid_answer", f"The model {answer.model.partition('@')[0]} {what}.", hint, answer=answer)


def _with_object(answer: ModelAnswer, schema: dict[str, Any]) -> ModelAnswer:
    from dataclasses import replace

    import jsonschema

    fenced = FENCE.match(answer.text)
    try:
        value = json.loads(fenced[1] if fenced else answer.text)
        jsonschema.validate(value, schema)
    except (ValueError, RecursionError) as error:
        reason = f"it is no JSON: {error}"
    except jsonschema.ValidationError as error:
        reason = f"{'.'.join(map(str, error.absolute_path)) or 'the answer'}: {error.message}"
    else:
        return replace(answer, parsed=value)
    model = answer.model.partition("@")[0]
    message = f"The answer of {model} does not fit the form that was asked for: {reason[:300]}."
    raise ProviderError("invalid_answer", message, "Ask again, or choose another model.", answer=answer)
