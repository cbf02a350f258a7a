"""The models that the double pretends to hold."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Capabilities = frozenset[str]


@dataclass(frozen=True, slots=True)
class Model:
    """A model.

    Attributes:
        name: As the provider calls it: `qwen3:8b` of Ollama, `qwen/qwen3-8b` of OpenRouter.
        capabilities: As `/api/show` names them: completion, tools, thinking, vision, embedding, insert.
        context_length: The most tokens it was made for.
        cloud: Offered under the OpenRouter address, not under Ollama's.
        size: Bytes on disk.
        price: US dollars per prompt token and per completion token.
        ignores_shift: Cuts a long prompt silently even with `shift: false` (ollama#17889).
    """

    name: str
    capabilities: Capabilities = frozenset({"completion", "tools"})
    context_length: int = 32_768
    cloud: bool = False
    size: int = 5_000_000_000
    family: str = "qwen3"
    parameters: str = "8.2B"
    price: tuple[float, float] = (0.0, 0.0)
    ignores_shift: bool = False

    @property
    def digest(self) -> str:
        """The sha256 that stands for its weights."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def details(self) -> dict[str, Any]:
        """Return Ollama's `details`."""
        return {
            "parent_model": "", "format": "gguf", "family": self.family, "families": [self.family],
            "parameter_size": self.parameters, "quantization_level": "Q4_K_M",
        }  # fmt: skip

    def tag(self) -> dict[str, Any]:
        """Return its entry in `/api/tags`."""
        return {
            "name": self.name, "model": self.name, "modified_at": "2026-10-01T08:00:00.123456789Z", "size": self.size,
            "digest": self.digest, "details": self.details(),
        }  # fmt: skip

    def running(self, num_ctx: int, now: datetime) -> dict[str, Any]:
        """Return its entry in `/api/ps` when it is loaded with `num_ctx`."""
        return {
            "name": self.name, "model": self.name, "size": self.size, "digest": self.digest, "details": self.details(),
            "expires_at": (now + timedelta(minutes=5)).isoformat(), "size_vram": self.size, "context_length": num_ctx,
        }  # fmt: skip

    def show(self) -> dict[str, Any]:
        """Return what `/api/show` says."""
        info = {"general.architecture": self.family, f"{self.family}.context_length": self.context_length}
        return {
            "license": "", "modelfile": f"FROM {self.name}\n", "template": "{{ .Prompt }}", "details": self.details(),
            "model_info": info, "capabilities": sorted(self.capabilities),
            "modified_at": "2026-10-01T08:00:00.123456789Z",
        }  # fmt: skip

    def listing(self) -> dict[str, Any]:
        """Return its entry in OpenRouter's `/models`."""
        parameters = ["max_tokens", "temperature", "response_format", "structured_outputs"]
        parameters += ["tools", "tool_choice"] if "tools" in self.capabilities else []
        parameters += ["reasoning", "include_reasoning"] if "thinking" in self.capabilities else []
        return {
            "id": self.name, "canonical_slug": f"{self.name}-2026-10", "name": self.name, "created": 1_790_000_000,
            "description": "", "context_length": self.context_length,
            "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": f"{self.price[0]:.10f}", "completion": f"{self.price[1]:.10f}", "request": "0"},
            "top_provider": {"context_length": self.context_length, "max_completion_tokens": None},
            "supported_parameters": parameters,
        }  # fmt: skip


MODELS = (
    Model("qwen3:8b", frozenset({"completion", "tools", "thinking"}), 40_960),
    Model("llama3.2:3b", context_length=131_072, size=2_000_000_000, family="llama", parameters="3.2B"),
    Model("gemma3:4b", frozenset({"completion", "vision"}), 131_072, size=3_300_000_000, family="gemma3"),
    Model("nomic-embed-text:latest", frozenset({"embedding"}), 2_048, size=274_000_000, family="nomic-bert"),
    Model("qwen/qwen3-8b", frozenset({"completion", "tools", "thinking"}), 40_960, True, price=(3.5e-8, 1.38e-7)),
    Model("meta-llama/llama-3.2-3b-instruct", context_length=131_072, cloud=True, price=(1e-8, 2e-8)),
    Model("acme/plain", frozenset({"completion"}), 8_192, cloud=True, price=(1e-6, 2e-6)),
)


def find(models: Iterable[Model], name: str, *, cloud: bool) -> Model | None:
    """Return the model called `name`; `:latest` may be left out."""
    names = {name, f"{name}:latest"}
    return next((model for model in models if model.cloud == cloud and model.name in names), None)


def vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that depends on nothing but `text`: shape `(dimensions,)`."""
    data = hashlib.shake_256(text.encode()).digest(dimensions * 2)
    values = [value / 32_768 for value in struct.unpack(f"<{dimensions}h", data)]
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [value / length for value in values]


def nanoseconds_now() -> str:
    """Return the time now as Go writes it: RFC 3339 with nine digits."""
    return f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}000Z"
