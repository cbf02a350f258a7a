"""The models that an Ollama holds, through the `ollama` package: list, show, versions, pull, what is in memory."""

from __future__ import annotations

import importlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from urllib.parse import urlsplit

import anyio.to_thread

from homeport_host.providers import refusals
from homeport_host.providers.protocol import Capability, ModelInfo, ProviderError
from homeport_host.providers.refusals import Refusal

if TYPE_CHECKING:
    import ollama

T = TypeVar("T")
_VERSION_SECONDS = 60.0  # how long a model's digest is believed
_CONNECT_SECONDS = 5.0
_SECONDS = 60.0  # longest wait for the next byte; a pull that verifies a large file says nothing for a while


class Library:
    """The models of one Ollama.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._package: ollama.AsyncClient | None = None
        self._versions: dict[str, str] = {}
        self._versions_at = -_VERSION_SECONDS

    async def models(self) -> list[ModelInfo]:
        """List the models on disk that answer; those that only embed are left out.

        Raises:
            ProviderError: When Ollama cannot be asked.
        """
        entries = (await self._ask(lambda client: client.list())).models
        self._versions = {each.model: (each.digest or "")[:12] for each in entries if each.model}
        self._versions_at = time.monotonic()
        return [
            ModelInfo(f"ollama/{each.model}", size_bytes=int(each.size or 0))
            for each in entries
            if each.model and not _embeds(each.model, (each.details and each.details.family) or "")
        ]

    async def show(self, model: str) -> ModelInfo:
        """Tell what one model can do.

        Raises:
            ProviderError: `unknown_model`, with the names that are spelled alike, when there is no such model.
        """
        shown = await self._ask(lambda client: client.show(model), model)
        info: Mapping[str, Any] = shown.modelinfo or {}
        length = next((value for key, value in info.items() if key.endswith(".context_length")), 0)
        known: tuple[Capability, ...] = get_args(Capability)
        capabilities = frozenset[Capability](each for each in known if each in (shown.capabilities or []))
        return ModelInfo(f"ollama/{model}", int(length), capabilities)

    async def version(self, model: str, *, fresh: bool = False) -> str:
        """Return the first 12 digits of the model's sha256, as `ollama list` shows them; empty when there is none.

        Raises:
            ProviderError: When Ollama cannot be asked.
        """
        if fresh or time.monotonic() - self._versions_at > _VERSION_SECONDS:
            await self.models()
        return self._versions.get(model) or self._versions.get(f"{model}:latest", "")

    async def running(self) -> list[ModelInfo]:
        """List the models in memory, each with the context window it was loaded with.

        Raises:
            ProviderError: When Ollama cannot be asked.
        """
        entries = (await self._ask(lambda client: client.ps())).models
        return [
            ModelInfo(
                f"ollama/{each.model}",
                int(each.context_length or 0),
                size_bytes=int(each.size or 0),
                gpu_bytes=int(each.size_vram or 0),
            )
            for each in entries
        ]

    async def pull(self, model: str) -> AsyncGenerator[tuple[str, int, int]]:
        """Download a model, yielding `(status, bytes done, bytes in all)`; Ollama goes on where it was broken off.

        Raises:
            ProviderError: When it does not arrive whole.
        """
        status = ""
        steps = await self._ask(lambda client: client.pull(model, stream=True), model)
        while (step := await self._ask(lambda _: anext(steps, None), model)) is not None:
            status = step.status or ""
            yield status, int(step.completed or 0), int(step.total or 0)
        self._versions_at = -_VERSION_SECONDS
        if status != "success":
            raise refusals.broken_stream("Ollama", f"the download of {model} ended with {status!r}")

    async def unknown(self, model: str) -> ProviderError:
        """Return the error for a model that is not there, with the names that are spelled alike."""
        known = [each.name.removeprefix("ollama/") for each in await self.models()]
        return refusals.unknown_model("Ollama", model, known, f"Get it with `ollama pull {model}`.")

    def unreachable(self) -> ProviderError:
        """Return the error for an Ollama that does not answer."""
        hint = "Start it with `ollama serve`, or install it from https://ollama.com/download."
        return ProviderError("unreachable", f"Ollama does not answer at {self.url}.", hint)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._package is not None:
            await self._package.close()

    async def _ask(self, ask: Callable[[ollama.AsyncClient], Awaitable[T]], model: str = "") -> T:
        if self._package is None:  # its import takes a third of a second
            await anyio.to_thread.run_sync(importlib.import_module, "ollama")
        import httpx
        import ollama

        if self._package is None:
            timeout = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
            self._package = ollama.AsyncClient(host=self.url, timeout=timeout, trust_env=not is_local(self.url))
        try:
            return await ask(self._package)
        except ollama.ResponseError as error:
            if error.status_code == 404:
                raise await self.unknown(model) from error
            raise Refusal("Ollama", "", model, max(error.status_code, 500), error.error).error() from error
        except (ConnectionError, httpx.HTTPError) as error:
            raise self.unreachable() from error


def is_local(url: str) -> bool:
    """Say whether `url` is on this machine, where no proxy of the environment may come between."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def _embeds(model: str, family: str) -> bool:
    """Say whether a model only embeds, by what Ollama's list tells; asking for each one's abilities takes too long."""
    return family.endswith("bert") or "embed" in model
