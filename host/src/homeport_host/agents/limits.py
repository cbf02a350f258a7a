"""What a run may use up, and what it has used. The host enforces it; no model is asked."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeport_host.providers.protocol import Usage
from homeport_shared.errors import HomeportError

WARN_AT, STOP_AT = 3, 4
COUNTED = ("turns", "tool_calls", "tokens_in", "tokens_out", "usd", "seconds")
Verdict = Literal["go on", "warn", "stop"]


class Limits(BaseModel):
    """The most that one run may use. 0 = no limit, except for turns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(default=20, ge=1, le=1_000, description="answers of the model")
    tool_calls: int = Field(default=60, ge=0, description="calls of tools")
    tokens_in: int = Field(default=1_000_000, ge=0, description="prompt tokens over all turns")
    tokens_out: int = Field(default=100_000, ge=0, description="generated tokens over all turns")
    usd: float = Field(default=1.0, ge=0, description="US dollars, as the provider reports them")
    seconds: float = Field(default=1_800, ge=0, description="working time in seconds; waiting for approval is free")


@dataclass
class Spent:
    """What a run has used up so far."""

    turns: int = 0
    tool_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    model_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0

    def turn(self, usage: Usage, seconds: float) -> None:
        """Count one answer of the model."""
        self.turns += 1
        self.tokens_in += usage.prompt_tokens
        self.tokens_out += usage.completion_tokens
        self.usd += usage.usd
        self.seconds += seconds
        self.model_seconds += seconds

    def call(self, seconds: float) -> None:
        """Count one call of a tool."""
        self.tool_calls += 1
        self.seconds += seconds

    def share(self, limits: Limits) -> float:
        """Return how much of the limit that is nearest has been used, 0 to 1."""
        pairs = [(getattr(self, name), getattr(limits, name)) for name in COUNTED]
        return max((used / most for used, most in pairs if most), default=0.0)

    def seconds_left(self, limits: Limits) -> float:
        """Return how long the next answer may take."""
        return max(limits.seconds - self.seconds, 1.0) if limits.seconds else math.inf

    def check(self, limits: Limits) -> None:
        """Refuse to go on once something is used up.

        Raises:
            HomeportError: `limit`, naming what and how much.
        """
        for name in COUNTED:
            used, most = getattr(self, name), getattr(limits, name)
            if most and used >= most:
                raise HomeportError(
                    "limit",
                    f"The run stopped at its limit of {most:g} {name.replace('_', ' ')} ({used:g} used).",
                    f"Ask for less at once, or raise the limit {name!r} of the agent or of this run.",
                )

    def as_usage(self) -> dict[str, Any]:
        """Return it in the form in which runs and messages report their usage."""
        return {
            "prompt_tokens": self.tokens_in,
            "completion_tokens": self.tokens_out,
            "usd": round(self.usd, 6),
            "seconds": round(self.seconds, 3),
            "model_seconds": round(self.model_seconds, 3),
            "turns": self.turns,
            "tool_calls": self.tool_calls,
            "cpu_seconds": round(self.cpu_seconds, 4),
            "memory_mib": self.memory_mib,
        }


@dataclass
class Repeats:
    """Notices a model that makes the same call with the same arguments over and over."""

    _seen: Counter[str] = field(default_factory=Counter[str])

    def note(self, tool: str, arguments: dict[str, Any] | None) -> Verdict:
        """Count a call; the third of its kind is warned about, the fourth stops the run."""
        key = f"{tool}\n{json.dumps(arguments, sort_keys=True)}"
        self._seen[key] += 1
        if self._seen[key] >= STOP_AT:
            return "stop"
        return "warn" if self._seen[key] >= WARN_AT else "go on"
