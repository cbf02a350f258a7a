"""Models, modes and what was used as tools and resources."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from homeport_host.providers.protocol import ModelInfo
from homeport_host.providers.usage import GroupBy
from homeport_host.surface.results import Item, Json, ModelList, Named, Rows, dumped
from homeport_host.surface.services import HostServices
from homeport_host.surface.tools import changing, reading
from homeport_shared.server import Server

MOST = 500


def register(server: Server, host: HostServices) -> None:
    """Add what concerns models."""
    _choosing(server, host)
    _reading(server, host)


def _choosing(server: Server, host: HostServices) -> None:
    changes = server.homeport.changes

    @changing(server, "Choose model", "person-only")
    async def set_model(name: str, agent: str = "", session_id: str = "") -> Named:
        """Choose the model of a chat, or of an agent, or with neither the default."""
        if session_id:
            await host.chats.update(session_id, model=name)
        elif agent:
            host.agents.choose_model(agent, name)
        else:
            await host.models.set_default(name)
        await changes.updated("homeport://models", "homeport://status", "homeport://setup")
        return Named(id=name, state="chosen")

    @changing(server, "Choose mode", "person-only")
    async def set_mode(mode: Literal["LOCAL", "CLOUD", "HYBRID"]) -> Named:
        """Choose whether models run here, in the cloud, or both."""
        await host.models.set_mode(mode)
        await changes.updated("homeport://mode", "homeport://models", "homeport://status")
        return Named(id=mode, state="chosen")

    @reading(server, "Check provider", "person-only")
    async def check_provider(name: str) -> Named:
        """Make a real call to a provider such as ollama or openrouter; an error gives its reason."""
        return Named(id=name, state=await host.models.check(name))

    @changing(server, "Pull model", "person-only")
    async def pull_model(name: str) -> Item:
        """Download a local model; how far it is shows in homeport://models."""
        return Item(**await host.pulling.start(name))


def _reading(server: Server, host: HostServices) -> None:
    @reading(server, "Models")
    async def list_models(query: str = "") -> ModelList:
        """List the models that can be used now."""
        return ModelList(**await _models(host, query))

    @reading(server, "Usage")
    async def usage(by: GroupBy = "day") -> Rows:
        """Total the model calls: number, tokens, US dollars."""
        return Rows(rows=await _usage(host, by))

    @server.resource("homeport://models", title="Models", mime_type="application/json")
    async def models() -> str:
        """The models that can be used now."""
        return dumped(await _models(host, ""))

    @server.resource("homeport://mode", title="Mode", mime_type="application/json")
    async def mode() -> str:
        """Where models may run, and the default model."""
        return dumped({"mode": host.models.mode, "default": host.models.default})

    @server.resource("homeport://usage", title="Usage", mime_type="application/json")
    async def usage_by_day() -> str:
        """The model calls by day."""
        return dumped({"rows": await _usage(host, "day")})


async def _models(host: HostServices, query: str) -> Json:
    found = (await host.models.models(query))[:MOST]
    return {
        "models": [_shaped(model) for model in found],
        "default": host.models.default,
        "mode": host.models.mode,
        "downloads": host.pulling.all(),
    }


def _shaped(model: ModelInfo) -> Json:
    return {
        "name": model.name,
        "context_length": model.context_length,
        "capabilities": sorted(model.capabilities),
        "size_bytes": model.size_bytes,
        "usd_per_million": list(model.usd_per_million) if model.usd_per_million else None,
    }


async def _usage(host: HostServices, by: GroupBy) -> list[Json]:
    return [asdict(total) for total in await host.usage.totals(by)]
