"""The providers that the settings and the environment name, and the model that suits this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from homeport_host.providers.compatible import OPENROUTER, Address, CompatibleProvider
from homeport_host.providers.ollama import OllamaProvider, address
from homeport_host.providers.protocol import Provider
from homeport_host.providers.settings import ModelSettings

_GIB = 1 << 30
_BESIDE = 3 * _GIB  # for the system, the browser and Homeport itself
_WINDOW = 1.25  # a context of 8k tokens takes about a quarter of the weights again


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model for a machine.

    Attributes:
        name: For `ollama pull`, or empty when the memory is too small for any.
        size_bytes: The download.
        reason: One sentence for people.
    """

    name: str
    size_bytes: int
    reason: str


# Names and sizes of ollama.com/library/qwen3, all with tools; the largest that fits is taken.
_LADDER = (
    ("qwen3:30b", 19_000_000_000),
    ("qwen3:14b", 9_300_000_000),
    ("qwen3:8b", 5_200_000_000),
    ("qwen3:4b", 2_500_000_000),
    ("qwen3:1.7b", 1_400_000_000),
)


def providers_for(
    settings: ModelSettings, key: Callable[[str], str | None], environment: Mapping[str, str] = os.environ
) -> dict[str, Provider]:
    """Return the providers by the prefix of their models: `ollama`, `openrouter` and each `[[models.compatible]]`.

    Args:
        settings: The section `models`.
        key: Returns the key of that name, as `Vault.get` does.
        environment: Where `OLLAMA_HOST` and `OPENROUTER_BASE_URL` are looked up.
    """
    local = OllamaProvider(address(settings.ollama_url or environment.get("OLLAMA_HOST", "")), num_ctx=settings.num_ctx)
    url = settings.openrouter_url or environment.get("OPENROUTER_BASE_URL", "") or OPENROUTER
    preferences = {"data_collection": settings.data_collection}
    addresses = [Address("openrouter", "OpenRouter", url.rstrip("/"), "OPENROUTER_API_KEY", preferences=preferences)]
    addresses += [Address(each.name, each.name, each.url, each.key_name, each.cloud) for each in settings.compatible]
    return {"ollama": local, **{each.name: CompatibleProvider(each, key) for each in addresses}}


def recommend(memory_bytes: int = 0) -> Recommendation:
    """Return the local model for a machine with so much memory.

    Args:
        memory_bytes: Of the whole machine; 0 = this one's.
    """
    if not memory_bytes:
        import psutil

        memory_bytes = psutil.virtual_memory().total
    has = f"This machine has {memory_bytes / _GIB:.0f} GiB of memory"
    for name, size in _LADDER:
        if size * _WINDOW + _BESIDE <= memory_bytes:
            return Recommendation(name, size, f"{has}; {name} ({size / 1e9:.1f} GB) runs well in it and can use tools.")
    return Recommendation("", 0, f"{has}, too little for a local model; use OpenRouter, or go without for now.")
