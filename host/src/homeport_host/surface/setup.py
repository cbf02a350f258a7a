"""The first run: a model, a folder, a question."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import anyio
from pydantic import BaseModel, Field

from homeport_host.providers.configured import recommend
from homeport_host.surface.services import HostServices, Json
from homeport_shared import settings
from homeport_shared.errors import HomeportError

SECTION = "setup"
PATIENCE = 0.5  # seconds; the first page waits for this


class SetupSettings(BaseModel):
    """How far the first run came."""

    done: bool = Field(default=False, description="the first run is over, or was skipped")


async def describe(host: HostServices) -> Json:
    """Return how far the first run is and what this machine can do."""
    done = settings.load(SetupSettings, SECTION, home=host.home).done
    folders = host.folders()
    asked = bool(host.models.default and folders and sum((await host.run_store.count()).values()))
    step = "model" if not host.models.default else "question" if folders else "folder"
    return {
        "done": done or asked,  # who did it all on the command line has nothing left to set up
        "step": step,
        "model": await _found(host),
        "folders": folders,
        "recommendation": asdict(recommend()),
    }


def finish(host: HostServices) -> None:
    """Note that the first run is over."""
    settings.save(host.home, SECTION, {"done": True})


async def _found(host: HostServices) -> Json:
    """Return which models can be used, or why none can."""
    found: dict[str, Any] = {"default": host.models.default, "models": [], "problem": "A provider answers slowly."}
    with anyio.move_on_after(PATIENCE):
        try:
            models = await host.models.models()
            found |= {"models": [model.name for model in models[:50]], "problem": ""}
        except HomeportError as error:
            found["problem"] = str(error)
    return found
