"""The first run: a model, a folder, a question."""

from __future__ import annotations

from typing import Any

import psutil
from pydantic import BaseModel, Field

from homeport_host.surface.services import HostServices, Json
from homeport_shared import settings
from homeport_shared.errors import HomeportError

SECTION = "setup"
GIB = 1 << 30
# Memory that a model of this size needs beside everything else, from its 4-bit weights and a context of 8,192 tokens.
BY_MEMORY = ((40, "ollama/qwen3:32b"), (20, "ollama/qwen3:14b"), (12, "ollama/qwen3:8b"), (6, "ollama/qwen3:4b"))
SMALLEST = "ollama/qwen3:1.7b"


class SetupSettings(BaseModel):
    """How far the first run came."""

    done: bool = Field(default=False, description="the first run is over, or was skipped")


async def describe(host: HostServices) -> Json:
    """Return how far the first run is and what this machine can do."""
    done = settings.load(SetupSettings, SECTION, home=host.home).done
    folders = host.folders()
    step = "model" if not host.models.default else "question" if folders else "folder"
    return {
        "done": done,
        "step": step,
        "model": await _found(host),
        "folders": folders,
        "recommendation": recommendation(psutil.virtual_memory().total),
    }


def finish(host: HostServices) -> None:
    """Note that the first run is over."""
    settings.save(host.home, SECTION, {"done": True})


def recommendation(memory: int) -> Json:
    """Return a local model that fits into `memory` bytes, and why."""
    gib = memory / GIB
    model = next((name for least, name in BY_MEMORY if gib >= least), SMALLEST)
    return {"model": model, "reason": f"It fits into this machine's {gib:.0f} GB of memory."}


async def _found(host: HostServices) -> Json:
    """Return which models can be used, or why none can."""
    found: dict[str, Any] = {"default": host.models.default, "models": [], "problem": ""}
    try:
        found["models"] = [model.name for model in (await host.models.models())[:50]]
    except HomeportError as error:
        found["problem"] = str(error)
    return found
