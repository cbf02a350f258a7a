"""What a provider's error status means, in words that say what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from homeport_host.providers.protocol import ProviderError
from homeport_shared import redaction


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error status of a provider.

    Attributes:
        provider: As people call it, such as `OpenRouter`.
        key_hint: Where its key comes from.
        message: The provider's own words.
        retry_after: Seconds it asked to wait; None where it did not.
    """

    provider: str
    key_hint: str
    model: str
    status: int
    message: str
    retry_after: float | None = None

    def error(self) -> ProviderError:
        """Return the error for this status."""
        said = redaction.text(_words(self.message))[:500].strip().rstrip(".") or f"status {self.status}"
        if by_words := self._by_words(said):
            return by_words
        who, wait = self.provider, self.retry_after
        if self.status in (401, 403):
            fault = "refused_key" if self.status == 401 else "bad_request"
            hint = self.key_hint if self.status == 401 else "Change the request or choose another model."
            return ProviderError(fault, f"{who} refused the call: {said}.", hint, code="denied")
        if self.status == 402:
            return ProviderError("no_credit", f"{who} has no credit left for this call: {said}.", "Add credit there.")
        if self.status == 404:
            return unknown_model(who, self.model, ())
        if self.status in (408, 504):
            return ProviderError("timeout", f"{who} took too long: {said}.", "Try again.", code="timeout")
        if self.status in (429, 503):
            return ProviderError(
                "rate_limited", f"{who} takes no more calls for now: {said}.", _pause(wait),
                code="limit", retry_after=wait,
            )  # fmt: skip
        if self.status >= 499:
            hint = "Try again, or choose another model."
            return ProviderError("server_error", f"{who} failed on {self.model}: {said}.", hint)
        hint = "Change the request or choose another model."
        return ProviderError("bad_request", f"{who} did not accept the call: {said}.", hint, code="invalid")

    def _by_words(self, said: str) -> ProviderError | None:
        words = said.lower()
        name = self.model
        if "context length" in words or "no user query" in words:
            return context_overflow(name, said)
        if "support tool" in words or "not support tools" in words:
            hint = "Choose a model that can use tools, such as qwen3."
            return ProviderError("unsupported", f"The model {name} cannot use tools.", hint, code="unsupported")
        if "not support thinking" in words:
            hint = "Turn thinking off for it."
            return ProviderError("unsupported", f"The model {name} cannot think aloud.", hint, code="unsupported")
        if "does not support" in words:
            return ProviderError(
                "unsupported", f"{self.provider}: {said}.", "Choose another model.", code="unsupported"
            )
        if "not a valid model id" in words:
            return unknown_model(self.provider, name, ())
        if "error parsing tool call" in words:
            hint = "Ask again, or choose another model."
            return ProviderError("invalid_answer", f"The model {name} wrote a tool call that cannot be read.", hint)
        return None


def _words(message: str) -> str:
    """Return the words of a message; a gateway in between answers with a page."""
    return " ".join(re.sub(r"<[^<>]*>", " ", message).split()) if message.lstrip().startswith("<") else message


def _pause(seconds: float | None) -> str:
    if seconds is None or seconds < 90:
        return "Wait a little and try again, or choose another model."
    time = f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
    return f"It asks to wait {time}; or choose another model."


def context_overflow(model: str, said: str) -> ProviderError:
    """Return the error for a conversation that does not fit into the model's context window."""
    hint = "Start a new conversation, send less, or set a larger num_ctx."
    message = f"The conversation is too long for the context window of {model}: {said}."
    return ProviderError("context_overflow", message, hint, code="too_large")


def unknown_model(provider: str, model: str, known: Iterable[str], hint: str = "") -> ProviderError:
    """Return the error for a model that the provider does not have; it names those that are spelled alike."""
    near = difflib.get_close_matches(model, [name for name in known if name != model], n=3, cutoff=0.5)
    parts = [f"Did you mean {' or '.join(near)}?"] if near else []
    parts += [hint or "Choose one of the models that are listed."]
    return ProviderError("unknown_model", f"{provider} has no model {model!r}.", " ".join(parts), code="not_found")


def broken_stream(provider: str, reason: str) -> ProviderError:
    """Return the error for an answer that broke off."""
    return ProviderError("broken_stream", f"The answer of {provider} broke off: {reason}.", "Try again.")


def timed_out(provider: str, seconds: float) -> ProviderError:
    """Return the error for a call that ran out of time."""
    hint = "Try again, choose a smaller model, or allow more time: `seconds` of the run or of [models]."
    message = f"{provider} did not finish within {seconds:g} seconds."
    return ProviderError("timeout", message, hint, code="timeout")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in a `Retry-After` header, which holds seconds or a date; None where there is none."""
    value = headers.get("retry-after", "").strip()
    try:
        if value.replace(".", "", 1).isdecimal():
            return float(value)
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
