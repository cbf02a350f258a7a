"""The one dispatch path: every tool call, resource read, prompt, completion and model call passes here.

Exposure, pins, schema, rate, policy with labels and taint, effect ledger, call, redaction, audit: no model takes part,
so the whole path is tested without one.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, cast

from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Caller, Decision, Label, Progress, Tool
from homeport_host.governance.ledger import Ledger
from homeport_host.governance.pins import Pins
from homeport_host.governance.policy import decide_model
from homeport_host.governance.stages import (
    ApprovalRequiredError,
    Pending,
    RateStage,
    SchemaStage,
    Stage,
    exposure_stage,
    ledger_stage,
    pin_stage,
    policy_stage,
    recall_stage,
)
from homeport_host.governance.taint import Taints, subject_of
from homeport_host.governance.visibility import Exposures, Offers, View, view_of, visible
from homeport_host.providers.protocol import UsageOwner
from homeport_host.providers.settings import Mode
from homeport_shared.audit import Entry
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError, refuse_broken_text
from homeport_shared.identity import ERROR, PREFIX, strip

APPROVAL = f"{PREFIX}approval"
READS: frozenset[Label] = frozenset({"reads-private", "untrusted-content"})
LONGEST_NAME = 200  # characters of a tool that does not exist, in the audit log
Record = Callable[[Entry, bool], Awaitable[None]]


class Upstreams(Offers, Protocol):
    """Where calls go. `gateway` implements it over the connected servers."""

    def tools(self) -> Iterable[Tool]:
        """Every tool there is."""
        ...

    def tool(self, name: str) -> Tool | None:
        """The tool of that public name."""
        ...

    async def call_tool(self, call: Pending) -> dict[str, Any]:
        """Send a call to its server and return the raw result, URIs already public."""
        ...

    async def read_resource(self, uri: str, caller: Caller, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Read a resource by its public URI."""
        ...

    async def get_prompt(
        self, name: str, arguments: Mapping[str, str], caller: Caller, meta: Mapping[str, Any], extra: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Render a prompt by its public name."""
        ...

    async def complete(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Complete an argument of a prompt or template under its public name."""
        ...

    def reads_own_things(self, uri: str) -> bool:
        """Whether a resource belongs to the host itself, and so brings in neither private nor untrusted content."""
        ...


class Dispatcher:
    """Governs and routes calls.

    Args:
        upstreams: Where calls go.
        exposures: Which tools each exposure shows.
        record: Writes an audit row; its second argument says to return only when the row is stored.
        secrets: The values that must not leave through a result.
        internet: Whether agents and other programs may use the internet.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        exposures: Exposures,
        *,
        approvals: Approvals,
        taints: Taints,
        pins: Pins,
        ledger: Ledger,
        record: Record,
        clock: Clock | None = None,
        secrets: Callable[[], Iterable[str]] = lambda: (),
        internet: Callable[[], bool] = lambda: False,
    ) -> None:
        self._upstreams = upstreams
        self._exposures = exposures
        self._taints = taints
        self._ledger = ledger
        self._record = record
        self._clock = clock or SystemClock()
        self._secrets = secrets
        self.last_used: dict[str, str] = {}
        self._stages: tuple[Stage, ...] = (
            exposure_stage(exposures),
            pin_stage(pins),
            SchemaStage(),
            RateStage(self._clock),
            recall_stage(ledger, approvals),
            policy_stage(taints, approvals, internet),
            ledger_stage(ledger),
        )

    def shown(self, caller: Caller) -> list[Tool]:
        """Return the tools that `caller` may see, and so may call."""
        return [tool for tool in self._upstreams.tools() if visible(caller, tool, self._exposures)]

    def view(self, caller: Caller) -> View:
        """Return which resources and prompts `caller` may see, and so may read."""
        return view_of(caller, self._upstreams.tools(), self._upstreams, self._exposures)

    async def call_tool(
        self,
        caller: Caller,
        name: str,
        arguments: Mapping[str, Any] | None,
        *,
        meta: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        extra: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> dict[str, Any]:
        """Govern and make one call.

        Args:
            caller: Who makes it, as the host knows.
            name: The tool's public name.
            arguments: As the caller gave them.
            meta: The request's `_meta`; `io.homeport/*` in it is not believed.
            progress: Told about progress.
            extra: `inputResponses` and `requestState` when the call answers an `input_required` result.
            key: Idempotency key of the durable step that makes the call: a repeated step has no second effect.

        Returns:
            The raw `tools/call` result; a refusal is a result with `isError` and `_meta["io.homeport/error"]`.
        """
        started = time.perf_counter()
        tool = self._upstreams.tool(name)
        if tool is None:
            error = HomeportError("not_found", f"There is no tool {name!r}.", "List the tools and use one of them.")
            name = name[:LONGEST_NAME].encode(errors="backslashreplace").decode()  # it may be anything
            await self._note(caller, "tools/call", name, {}, "-", error.code, started)
            return refusal(error)
        call = Pending(caller, tool, dict(arguments or {}), strip(meta), extra or {}, progress, key)
        try:
            _refuse_broken_text(call)
            for stage in self._stages:
                await stage(call)
            if call.effectful:
                await self._note(caller, "tools/call", name, call.arguments, _policy(call), "started", started, True)
            result = call.earlier if call.earlier is not None else await self._perform(call)
        except HomeportError as error:
            result = await self._refused(call, error)
        outcome = outcome_of(result)
        await self._note(caller, "tools/call", name, call.arguments, _policy(call), outcome, started, call.effectful)
        return result

    async def read_resource(self, caller: Caller, uri: str, *, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Govern and make one read.

        Raises:
            HomeportError: `not_found`, or what the server answered.
        """

        async def read() -> dict[str, Any]:
            self.view(caller).require_resource(uri)
            return await self._upstreams.read_resource(uri, caller, strip(meta))

        result = await self._relay(caller, "resources/read", uri, {}, read)
        if not self._upstreams.reads_own_things(uri):
            await self._taints.mark(subject_of(caller), READS)
        return result

    async def get_prompt(
        self,
        caller: Caller,
        name: str,
        arguments: Mapping[str, str] | None,
        *,
        meta: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Govern and render one prompt.

        Raises:
            HomeportError: `not_found`, or what the server answered.
        """

        async def get() -> dict[str, Any]:
            self.view(caller).require_prompt(name)
            return await self._upstreams.get_prompt(name, arguments or {}, caller, strip(meta), extra or {})

        return await self._relay(caller, "prompts/get", name, dict(arguments or {}), get)

    async def complete(self, caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
        """Govern and make one completion; `params` as the protocol has them, under public names.

        Raises:
            HomeportError: `not_found`, or what the server answered.
        """
        reference: Mapping[str, Any] = params["ref"]
        of_prompt = reference.get("type") == "ref/prompt"
        target = str(reference["name" if of_prompt else "uri"])

        async def complete() -> dict[str, Any]:
            view = self.view(caller)
            (view.require_prompt if of_prompt else view.require_resource)(target)
            return await self._upstreams.complete({**params, "_meta": strip(params.get("_meta"))}, caller)

        return await self._relay(caller, "completion/complete", target, dict(params.get("argument") or {}), complete)

    async def _relay(
        self,
        caller: Caller,
        action: str,
        target: str,
        arguments: dict[str, Any],
        send: Callable[[], Awaitable[dict[str, Any]]],
    ) -> dict[str, Any]:
        started = time.perf_counter()
        outcome = "ok"
        try:
            return self._redact(await send())
        except HomeportError as error:
            outcome = error.code
            raise
        finally:
            await self._note(caller, action, target, arguments, "default/read", outcome, started)

    async def admit_model(self, name: str, *, mode: Mode, cloud: bool, who: UsageOwner) -> Decision:
        """Decide on a model call before it is made, and write the decision down.

        Args:
            name: The model with its provider.
            mode: Where models may run.
            cloud: What is sent to it leaves this machine.
            who: Who calls it.
        """
        decision = decide_model(mode, name, cloud=cloud)
        outcome = "started" if decision.effect == "allow" else "denied"
        entry = Entry(
            action="models/call",
            target=name,
            actor=who.user or who.agent,
            agent=who.agent,
            run=who.run,
            decision=f"{decision.effect}: {decision.policy}",
            outcome=outcome,
        )
        await self._record(entry, False)
        return decision

    async def inherit(self, run: str, source: str) -> None:
        """Count what another run, or a client, has read as read by `run`: its prompt or history comes from there."""
        await self._taints.inherit(run, source)

    async def _perform(self, call: Pending) -> dict[str, Any]:
        result = self._redact(await self._upstreams.call_tool(call))
        self.last_used[call.tool.name] = iso(self._clock.now())
        if call.begun and result.get("resultType") != "input_required":
            await self._ledger.finish(call.key, result)
        if not result.get("isError"):
            await self._taints.mark(subject_of(call.caller), call.tool.labels)
        return result

    async def _refused(self, call: Pending, error: HomeportError) -> dict[str, Any]:
        # A server that died in the call may have done it: then the intent stays and the next attempt asks.
        if call.begun and error.code not in {"unavailable", "timeout"}:
            await self._ledger.forget(call.key)
        return refusal(error)

    def _redact(self, result: dict[str, Any]) -> dict[str, Any]:
        values = [value for value in self._secrets() if len(value) >= 8]
        return cast("dict[str, Any]", _without(result, values)) if values else result

    async def _note(
        self,
        caller: Caller,
        action: str,
        target: str,
        arguments: dict[str, Any],
        policy: str,
        outcome: str,
        started: float,
        durable: bool = False,
    ) -> None:
        entry = Entry(
            action=action,
            target=target,
            actor=caller.identity.actor or caller.name,
            agent=caller.identity.agent,
            run=caller.identity.run,
            decision=policy,
            outcome=outcome,
            details={"caller": caller.kind, "arguments": arguments},
            milliseconds=round((time.perf_counter() - started) * 1000, 2),
            trace=caller.identity.traceparent,
        )
        await self._record(entry, durable)


def _refuse_broken_text(call: Pending) -> None:
    try:
        refuse_broken_text(call.arguments, call.tool.name)
    except HomeportError:
        call.arguments = {}  # the audit log cannot hold them either
        raise


def _policy(call: Pending) -> str:
    return f"{call.decision.effect}: {call.decision.policy}" if call.decision else "-"


def refusal(error: HomeportError) -> dict[str, Any]:
    """Return `error` as the raw result of a tool call."""
    meta: dict[str, Any] = {ERROR: error.as_dict()}
    if isinstance(error, ApprovalRequiredError):
        meta[APPROVAL] = error.approval
    return {"content": [{"type": "text", "text": str(error)}], "isError": True, "_meta": meta}


def outcome_of(result: Mapping[str, Any]) -> str:
    """Return `ok`, `input_required`, or the error code of a raw result."""
    if result.get("resultType") == "input_required":
        return "input_required"
    if not result.get("isError"):
        return "ok"
    meta = cast("dict[str, Any]", result.get("_meta") or {})
    error = cast("dict[str, Any]", meta.get(ERROR) or {})
    return str(error.get("code", "error"))


def _without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "[hidden]")
        return value
    if isinstance(value, dict):
        return {name: _without(item, secrets) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_without(item, secrets) for item in cast("list[Any]", value)]
    return value
