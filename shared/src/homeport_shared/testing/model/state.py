"""What the endpoints of one double share: models, script, journal, dice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from homeport_shared.testing.model.faults import STATUS
from homeport_shared.testing.model.journal import Recorded
from homeport_shared.testing.model.models import Model
from homeport_shared.testing.model.script import Reply, Script
from homeport_shared.testing.model.window import RefusedError
from homeport_shared.testing.model.wire import Response


@dataclass(slots=True)
class State:
    """One double's world.

    Attributes:
        num_ctx: Ollama's default context window, tokens.
        key: The bearer token that the OpenRouter address wants; empty = none.
        loaded: Entries of `/api/ps` by model name.
    """

    script: Script
    models: list[Model]
    num_ctx: int
    key: str
    seed: int
    loaded: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    requests: list[Recorded] = field(default_factory=list[Recorded])

    def load(self, model: Model, num_ctx: int) -> None:
        """Note that `model` is in memory with a window of `num_ctx` tokens."""
        self.loaded[model.name] = model.running(num_ctx, datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with what is needed to answer it."""

    state: State
    request: Recorded
    response: Response
    dice: random.Random

    async def refuse(self, reply: Reply) -> bool:
        """Answer with the error that `reply` asks for before any content; False when it asks for none.

        Raises:
            RefusedError: For an error status, which each dialect words in its own way.
        """
        if reply.fault in STATUS:
            status, message = STATUS[reply.fault]
            raise RefusedError(status, message.format(model=self.request.model), retry_after=reply.retry_after)
        if reply.fault == "error_body":
            await self.response.json(200, {"error": self.error_value(502, "Provider returned error")})
        elif reply.fault == "html_body":
            await self.response.html("<html><body>Welcome to the hotel network</body></html>")
        return reply.fault in ("error_body", "html_body")

    def error_value(self, status: int, message: str) -> Any:
        """Return the value of `error` in the dialect of this request's address."""
        if self.request.path.startswith("/api/v1/"):
            return {"code": status, "message": message, "metadata": {"provider_name": "Acme", "raw": message}}
        if self.request.path.startswith("/v1/"):
            kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
            return {"message": message, "type": kind, "param": None, "code": None}
        return message


def new_state(script: Script, models: Sequence[Model], num_ctx: int, key: str, seed: int) -> State:
    """Return the state of a double that nobody has asked yet."""
    return State(script, list(models), num_ctx, key, seed)
