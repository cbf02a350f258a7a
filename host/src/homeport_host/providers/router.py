"""One way to every model: the mode, the waiting for rate limits, the fallback order and the record of each call."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

from homeport_host.governance.calls import Decision
from homeport_host.governance.policy import decide_model
from homeport_host.providers.protocol import (
    Message,
    ModelAnswer,
    ModelEvent,
    ModelInfo,
    ModelRequest,
    Provider,
    ProviderError,
    ProviderFault,
    Restarted,
    UsageOwner,
)
from homeport_host.providers.settings import Mode, ModelSettings
from homeport_shared import settings as settings_file
from homeport_shared.clock import Clock, SystemClock
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from homeport_host.providers.usage import UsageStore

FALLS_BACK: frozenset[ProviderFault] = frozenset({
    "unreachable", "timeout", "broken_stream", "server_error", "rate_limited", "no_key", "refused_key", "no_credit"
})  # fmt: skip
_MINUTE = 60.0  # seconds


class Admit(Protocol):
    """Policy over model calls; `governance.dispatch.Dispatcher.admit_model` is the one of the host."""

    async def __call__(self, name: str, *, mode: Mode, cloud: bool, who: UsageOwner) -> Decision:
        """Decide on a call, and write the decision down."""
        ...


class Models:
    """Every model of every provider, by names such as `ollama/qwen3:8b`.

    Args:
        providers: By the prefix of their models.
        settings: The section `models`.
        usage: Where each call is recorded.
        admit: Decides on each call before it is made.
        home: Data root, for changes of settings that are to stay; None = they last as long as this object.
        clock: Replaces the machine's clock.
        sleep: Replaces `anyio.sleep`, for the waits between attempts.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        settings: ModelSettings,
        usage: UsageStore,
        *,
        admit: Admit,
        home: Path | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._providers = dict(providers)
        self._settings = settings
        self._usage = usage
        self._admit = admit
        self._home = home
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._recent: dict[str, deque[float]] = {name: deque() for name in providers}

    @property
    def mode(self) -> Mode:
        """Where calls may go."""
        return self._settings.mode

    @property
    def default(self) -> str:
        """The model for those that name none; empty = none is chosen."""
        return self._settings.default

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers by name."""
        return self._providers

    async def set_mode(self, mode: Mode) -> None:
        """Change the mode for good; calls that already run go on.

        Raises:
            HomeportError: `invalid`, when the settings file does not parse.
        """
        await self._change(self._settings.model_copy(update={"mode": mode}), {"mode": mode})

    async def set_default(self, name: str) -> None:
        """Change the default model for good; empty = none.

        Raises:
            ProviderError: When there is no such model, or it cannot be asked for.
        """
        if name:
            await self.describe(name)
        await self._change(self._settings.model_copy(update={"default": name}), {"default": name})

    async def stream(
        self, name: str, request: ModelRequest, *, who: UsageOwner | None = None
    ) -> AsyncGenerator[ModelEvent]:
        """Yield deltas, then the answer of `name` or of the first fallback that has one.

        When an attempt fails after deltas have been sent, `Restarted` says that they are void. Close the generator
        (`contextlib.aclosing`) to stop the model.

        Args:
            name: Such as `ollama/qwen3:8b`; empty = the default.
            request: Its `model` is set from `name`.
            who: Whom the call is counted for.

        Raises:
            ProviderError: `forbidden_by_mode`; the fault itself where no other model would help; otherwise the last
                one, with each attempt and its reason in the message.
        """
        request = replace(request, seconds=min(request.seconds, self._settings.seconds))
        attempts: list[str] = []
        names = self._order(name or self.default)
        for number, candidate in enumerate(names, start=1):
            sent = False
            try:
                async with aclosing(self._patiently(candidate, request, who or UsageOwner())) as events:
                    async for event in events:
                        sent = not isinstance(event, Restarted)
                        yield replace(event, attempts=tuple(attempts)) if isinstance(event, ModelAnswer) else event
                return
            except ProviderError as error:
                attempts.append(f"{candidate}: {error.message}")
                if error.fault not in FALLS_BACK or number == len(names):
                    raise _all_failed(error, attempts) from error
                if sent:
                    yield Restarted(f"{error.message} Going on with {names[number]}.")

    async def complete(self, name: str, request: ModelRequest, *, who: UsageOwner | None = None) -> ModelAnswer:
        """Return the whole answer; see `stream`.

        Raises:
            ProviderError: As `stream` does.
        """
        async with aclosing(self.stream(name, request, who=who)) as events:
            async for event in events:
                if isinstance(event, ModelAnswer):
                    return event
        raise ProviderError("broken_stream", f"{name} gave no answer.", "Try again.")

    async def models(self, query: str = "") -> list[ModelInfo]:
        """List what the mode allows and can be reached now; each word of `query` must be in the name.

        Raises:
            ProviderError: When no provider can be asked; it says why for each.
        """
        found: dict[str, list[ModelInfo]] = {}
        failed: list[ProviderError] = []
        allowed = [provider for provider in self._providers.values() if self._allows(provider)]

        async def ask(provider: Provider) -> None:
            try:
                found[provider.name] = await provider.models()
            except ProviderError as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            for provider in allowed:
                tasks.start_soon(ask, provider)
        if failed and not found:
            reasons = " ".join(str(error) for error in failed)
            raise ProviderError(failed[0].fault, f"No models can be listed. {reasons}")
        words = query.lower().split()
        listed = [model for provider in allowed for model in found.get(provider.name, [])]
        return [model for model in listed if all(word in model.name.lower() for word in words)]

    async def describe(self, name: str) -> ModelInfo:
        """Tell what one model can do.

        Raises:
            ProviderError: `unknown_model`, `forbidden_by_mode`, or why its provider cannot be asked.
        """
        provider, model = self._find(name or self.default)
        _require(decide_model(self.mode, name or self.default, cloud=provider.cloud))
        return await provider.describe(model)

    async def check(self, provider: str) -> str:
        """Make a real test call and return what the provider says, such as how many models it has.

        Raises:
            ProviderError: Why it does not work: `unreachable`, `no_key`, `refused_key` with its reason.
            HomeportError: `not_found`, when there is no such provider.
        """
        if provider not in self._providers:
            known = ", ".join(self._providers)
            raise HomeportError("not_found", f"There is no provider {provider!r}.", f"Providers: {known}.")
        return await self._providers[provider].check()

    async def aclose(self) -> None:
        """Close every provider's connections."""
        for provider in self._providers.values():
            await provider.aclose()

    async def _change(self, new: ModelSettings, values: dict[str, str]) -> None:
        if self._home is not None:
            await anyio.to_thread.run_sync(settings_file.save, self._home, "models", values)
        self._settings = new

    def _order(self, name: str) -> list[str]:
        """Return `name` and the fallbacks after it that the mode allows."""
        self._find(name)
        others = [each for each in self._settings.fallback if each != name]
        return [name, *(each for each in others if self._allows(self._providers.get(each.partition("/")[0])))]

    def _find(self, name: str) -> tuple[Provider, str]:
        prefix, _, model = name.partition("/")
        provider = self._providers.get(prefix)
        if not name:
            hint = "Choose one beside the chat's title, in the set-up, or with `homeport models use NAME`."
            raise ProviderError("unknown_model", "No model is chosen.", hint, code="not_found")
        if provider is None or not model:
            example = f"Write it with its provider, such as ollama/{name}. Providers: {', '.join(self._providers)}."
            raise ProviderError("unknown_model", f"There is no model {name!r}.", example, code="not_found")
        return provider, model

    def _allows(self, provider: Provider | None) -> bool:
        return provider is not None and decide_model(self.mode, "", cloud=provider.cloud).effect == "allow"

    async def _patiently(self, name: str, request: ModelRequest, who: UsageOwner) -> AsyncGenerator[ModelEvent]:
        """Ask one model, again after a rate limit and once more after an answer that does not fit its schema."""
        waits, corrected, sent = 0, False, False
        while True:
            try:
                async with aclosing(self._once(name, request, who)) as events:
                    async for event in events:
                        sent = True
                        yield event
                return
            except ProviderError as error:
                if error.fault == "rate_limited" and waits < self._settings.retries:
                    waits += 1
                    wait = float(2 ** (waits - 1)) if error.retry_after is None else error.retry_after
                    if wait > self._settings.longest_wait:
                        raise
                    await self._sleep(wait)
                elif error.fault == "invalid_answer" and request.schema and error.answer and not corrected:
                    corrected = True
                    request = _with_correction(request, error.answer, error.message)
                else:
                    raise
                if sent:
                    yield Restarted(error.message)

    async def _once(self, name: str, request: ModelRequest, who: UsageOwner) -> AsyncGenerator[ModelEvent]:
        provider, model = self._find(name)
        await self._wait_for_turn(provider.name)
        # last, as the mode may have changed while we waited
        _require(await self._admit(name, mode=self.mode, cloud=provider.cloud, who=who))
        try:
            async with aclosing(provider.stream(replace(request, model=model))) as events:
                async for event in events:
                    if isinstance(event, ModelAnswer):
                        await self._usage.record(event, who, key=request.key)
                    yield event
        except ProviderError as error:
            if error.answer is not None:
                await self._usage.record(error.answer, who, key=request.key)
            raise

    async def _wait_for_turn(self, provider: str) -> None:
        """Keep to our own limit of requests per minute."""
        limit = self._settings.requests_per_minute.get(provider, 0)
        recent = self._recent[provider]
        while limit and len(recent) >= limit:
            wait = recent[0] + _MINUTE - self._clock.monotonic()
            if wait > 0:
                await self._sleep(wait)
            if recent and recent[0] + _MINUTE <= self._clock.monotonic():
                recent.popleft()
        recent.append(self._clock.monotonic())


def _require(decision: Decision) -> None:
    if decision.effect != "allow":
        hint = f"Change the mode, or choose another model (policy {decision.policy})."
        raise ProviderError("forbidden_by_mode", decision.reason, hint, code="denied")


def _with_correction(request: ModelRequest, answer: ModelAnswer, reason: str) -> ModelRequest:
    form = json.dumps(request.schema, ensure_ascii=False)
    again = f"{reason} Answer again with nothing but one JSON object that fits this JSON Schema: {form}"
    said = Message("assistant", answer.text)
    return replace(request, messages=(*request.messages, said, Message("user", again)))


def _all_failed(error: ProviderError, attempts: list[str]) -> ProviderError:
    if len(attempts) == 1:
        return error
    message = f"No model answered. {' '.join(f'({n}) {each}' for n, each in enumerate(attempts, start=1))}"
    return ProviderError(error.fault, message, error.hint, code=error.code, retry_after=error.retry_after)
