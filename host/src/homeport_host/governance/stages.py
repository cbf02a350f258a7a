"""The stages that a call passes before it reaches a server. Each looks at one thing and refuses by raising."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from homeport_host.governance.approvals import Approvals
from homeport_host.governance.calls import Caller, Decision, Progress, Tool, digest
from homeport_host.governance.ledger import Ledger
from homeport_host.governance.pins import Pins
from homeport_host.governance.policy import decide
from homeport_host.governance.taint import Taints, subject_of
from homeport_host.governance.visibility import Exposures, visible
from homeport_shared.clock import Clock
from homeport_shared.errors import HomeportError

CALLS_PER_MINUTE = 600


@dataclass
class Pending:
    """A call on its way.

    Attributes:
        key: Idempotency key of the step that makes it; empty where there is none.
        earlier: The result of the same step before a crash; the tool is then not called again.
        begun: The ledger holds the intent.
    """

    caller: Caller
    tool: Tool
    arguments: dict[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    progress: Progress | None = None
    key: str = ""
    digest: str = ""
    decision: Decision | None = None
    earlier: dict[str, Any] | None = None
    begun: bool = False

    @property
    def effectful(self) -> bool:
        """Whether the call changes anything."""
        return "read-only" not in self.tool.labels


Stage = Callable[[Pending], Awaitable[None]]


def exposure_stage(exposures: Exposures) -> Stage:
    """Refuse what this caller is not shown: it does not learn whether such a tool exists."""

    async def stage(call: Pending) -> None:
        if not visible(call.caller, call.tool, exposures):
            raise HomeportError(
                "not_found", f"There is no tool {call.tool.name!r} for you.", "List the tools and use one of them."
            )

    return stage


def pin_stage(pins: Pins) -> Stage:
    """Refuse a third-party tool whose definition changed since a person accepted it."""

    async def stage(call: Pending) -> None:
        pins.check(call.tool)

    return stage


class SchemaStage:
    """Refuse arguments that do not fit the tool's input schema, naming each wrong field."""

    def __init__(self) -> None:
        self._validators: dict[str, Draft202012Validator] = {}

    async def __call__(self, call: Pending) -> None:
        """Validate the arguments of `call`."""
        found = self._validator(call.tool).iter_errors(call.arguments)  # pyright: ignore[reportUnknownMemberType]
        errors = [describe(error) for error in found]
        if errors:
            raise HomeportError(
                "invalid",
                f"{call.tool.name} cannot take these arguments: {'; '.join(errors[:8])}.",
                "Correct them and call again.",
            )

    def _validator(self, tool: Tool) -> Draft202012Validator:
        schema = cast("dict[str, Any]", tool.definition.get("inputSchema") or {})
        fingerprint = json.dumps(schema, sort_keys=True)
        if fingerprint not in self._validators:
            if len(self._validators) > 2_000:
                self._validators.clear()
            self._validators[fingerprint] = Draft202012Validator(schema)
        return self._validators[fingerprint]


def describe(error: ValidationError) -> str:
    """Return `field: what is wrong` without the value, which may be private or long."""
    path = ".".join(str(part) for part in error.absolute_path) or "arguments"
    rule, wanted = str(error.validator), cast("Any", error.validator_value)
    if rule == "required":
        present = cast("dict[str, Any]", error.instance)
        return f"{path}: missing {', '.join(repr(name) for name in wanted if name not in present)}"
    if rule == "additionalProperties":
        known = cast("dict[str, Any]", cast("dict[str, Any]", error.schema).get("properties", {}))
        extra = [name for name in cast("dict[str, Any]", error.instance) if name not in known]
        return f"{path}: unknown {', '.join(map(repr, extra))}"
    return f"{path}: must satisfy {rule} {json.dumps(wanted)[:200]}"


class RateStage:
    """Refuse more than a number of calls a minute by one caller: a loop without end stops here."""

    def __init__(self, clock: Clock, per_minute: int = CALLS_PER_MINUTE) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)

    async def __call__(self, call: Pending) -> None:
        """Count `call`."""
        if call.caller.kind == "person":
            return
        now, calls = self._clock.monotonic(), self._calls[subject_of(call.caller)]
        while calls and calls[0] < now - 60:
            calls.popleft()
        if len(calls) >= self._per_minute:
            raise HomeportError(
                "limit", f"More than {self._per_minute} tool calls in a minute.", "Wait a minute, or call fewer tools."
            )
        calls.append(now)


def policy_stage(taints: Taints, approvals: Approvals, internet: Callable[[], bool]) -> Stage:
    """Decide by policy; hold the call for a person where it says so."""

    async def stage(call: Pending) -> None:
        if call.decision is not None:
            return  # settled by what happened before
        call.digest = digest(call.tool.name, call.arguments)
        caller = call.caller
        tainted = "outward" in call.tool.labels and await taints.is_tainted(subject_of(caller))
        untrusted = "instructs-agents" in call.tool.labels and await taints.is_untrusted(subject_of(caller))
        remembered = await approvals.remembered(call.tool.name, holder(caller))
        decision = call.decision = decide(
            caller,
            call.tool,
            call.digest,
            tainted=tainted,
            untrusted=untrusted,
            remembered=remembered,
            internet=internet(),
        )
        if decision.effect == "deny":
            raise HomeportError("denied", f"{call.tool.name} is denied ({decision.policy}). {decision.reason}")
        if decision.effect == "allow":
            return
        if await approvals.take(call.digest, caller=holder(caller), run=caller.identity.run):
            call.decision = Decision("allow", f"approved/{decision.policy}", "A person approved exactly this call.")
            return
        await _ask(call, approvals, decision)

    return stage


async def _ask(call: Pending, approvals: Approvals, decision: Decision) -> None:
    caller = call.caller
    hold = await approvals.hold(
        call.tool.name, call.arguments, caller=holder(caller), run=caller.identity.run, reason=decision.reason
    )
    answer = await caller.ask(hold) if caller.ask is not None else None
    if answer is None:
        raise ApprovalRequiredError(hold.id, call.tool.name, decision)
    await approvals.decide(hold.id, answer, by=caller.name)
    if not answer:
        raise HomeportError("denied", f"A person declined {call.tool.name}.", "Do without it, or ask why.")
    await approvals.take(call.digest, caller=holder(caller), run=caller.identity.run)
    call.decision = Decision("allow", f"approved/{decision.policy}", "A person approved exactly this call.")


def holder(caller: Caller) -> str:
    """Return what approvals and remembered answers belong to: the kind of caller, and which client it is."""
    return f"client:{caller.name}" if caller.kind == "client" else caller.kind


class ApprovalRequiredError(HomeportError):
    """The call waits for a person.

    Args:
        approval: The id of the hold.
        tool: What was called.
        decision: Why it is held.
    """

    def __init__(self, approval: str, tool: str, decision: Decision) -> None:
        super().__init__(
            "approval_required",
            f"{tool} waits for a person's approval. {decision.reason}",
            f"Approve it on the dashboard's Approvals page or with `homeport approve {approval[:8]}`, then call again.",
        )
        self.approval = approval
        self.decision = decision


def recall_stage(ledger: Ledger, approvals: Approvals) -> Stage:
    """Look up a step that was begun before: return its result, or ask a person when nobody knows its fate.

    This comes before policy, because an approval that the step used is used up.
    """

    async def stage(call: Pending) -> None:
        earlier = await ledger.find(call.key) if call.key and call.effectful else None
        if earlier is None:
            return
        if earlier.state == "done":
            call.earlier = earlier.result
            call.decision = Decision("allow", "ledger/done", "This step was done before Homeport stopped.")
        elif not _idempotent(call.tool):
            await _ask_again(call, approvals)
            call.begun = True

    return stage


async def _ask_again(call: Pending, approvals: Approvals) -> None:
    """Ask whether a call of unknown fate is to be made again.

    Raises:
        HomeportError: `conflict`, when nobody can be asked.
    """
    unknown = f"{call.tool.name} was under way when Homeport stopped; whether it took effect is not known."
    if not call.caller.interactive:
        raise HomeportError("conflict", unknown, "Look whether it happened before you call it again.")
    call.digest = digest(call.tool.name, call.arguments)
    if not await approvals.take(call.digest, caller=holder(call.caller), run=call.caller.identity.run):
        reason = f"{unknown} Look whether it happened: approving does it again."
        await _ask(call, approvals, Decision("ask", "ledger/unknown", reason))
    call.decision = Decision("allow", "approved/ledger", "A person looked and said to do it again.")


def ledger_stage(ledger: Ledger) -> Stage:
    """Write down that the effect begins; whoever begins the same step later finds it."""

    async def stage(call: Pending) -> None:
        if not call.key or not call.effectful or call.begun or call.earlier is not None:
            return
        earlier = await ledger.begin(call.key, call.tool.name, call.digest)
        if earlier is not None and earlier.state == "done":
            call.earlier = earlier.result
        elif earlier is not None and not _idempotent(call.tool):
            raise HomeportError("conflict", f"{call.tool.name} is being called for this step by another host.", "Wait.")
        else:
            call.begun = True

    return stage


def _idempotent(tool: Tool) -> bool:
    hints = cast("dict[str, Any]", tool.definition.get("annotations") or {})
    return hints.get("idempotentHint") is True
