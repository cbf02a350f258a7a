"""Questions to the person behind a client, whichever protocol era the client and the asking server speak.

A client of 2025 is asked over its own request. A client of 2026 gets an `input_required` result and calls again: the
call that asked is parked here meanwhile, in a task that outlives the request which began it.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup
from mcp.shared.message import ServerMessageMetadata
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from pydantic import TypeAdapter

from homeport_host.gateway.eras import Context
from homeport_host.gateway.turns import Elicit, asking
from homeport_host.governance.calls import Hold, Progress, Question
from homeport_shared.errors import HomeportError

Work = Callable[[Elicit | None, Progress], Awaitable[dict[str, Any]]]
Again = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]

PREFIX = "parked:"
PARKED_SECONDS = 600.0
MOST_PARKED = 1_000
MOST_ROUNDS = 10
_PARAMS: TypeAdapter[ElicitRequestParams] = TypeAdapter(ElicitRequestParams)


def can_ask(context: Context) -> bool:
    """Whether the client said that it can put questions to its person."""
    capabilities = context.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def ask_2025(context: Context) -> Elicit:
    """Return the way to ask a 2025 client over the request that is being served."""

    async def elicit(params: ElicitRequestParams) -> ElicitResult:
        related = ServerMessageMetadata(related_request_id=context.request_id)
        return await context.session.send_request(ElicitRequest(params=params), ElicitResult, metadata=related)

    return elicit


async def answer_for_2025(context: Context, call: Again) -> dict[str, Any]:
    """Make a call for a 2025 client, and answer what a 2026 server asks by asking the client.

    Args:
        context: The client's request.
        call: Makes the call with `{}`, or with `inputResponses` and `requestState` of a further round.

    Raises:
        HomeportError: `limit`, when the server asks without end.
    """
    elicit = ask_2025(context) if can_ask(context) else None
    extra: dict[str, Any] = {}
    for _ in range(MOST_ROUNDS):
        result = await call(extra)
        if result.get("resultType") != "input_required":
            return result
        requests = cast("dict[str, dict[str, Any]]", result.get("inputRequests") or {})
        answers = {key: await _answer(request, elicit) for key, request in requests.items()}
        extra = {"inputResponses": answers, "requestState": result.get("requestState")}
    raise HomeportError("limit", f"The tool asked more than {MOST_ROUNDS} times.", "Call it with all that it needs.")


async def _answer(request: Mapping[str, Any], elicit: Elicit | None) -> dict[str, Any]:
    if request.get("method") != "elicitation/create":
        raise HomeportError(
            "unsupported", f"The tool asks for {request.get('method')!r}, which is not offered.", "Use another tool."
        )
    if elicit is None:
        return {"action": "decline"}
    answer = await elicit(_PARAMS.validate_python(request.get("params") or {}))
    return answer.model_dump(by_alias=True, mode="json", exclude_none=True)


def approval_question(elicit: Elicit) -> Question:
    """Return how a held call is put to the person behind a client."""

    async def ask(hold: Hold) -> bool | None:
        schema = {
            "type": "object",
            "properties": {"approve": {"type": "boolean", "title": "Do it", "default": False}},
            "required": ["approve"],
        }
        shown = "\n".join(f"  {name}: {str(value)[:500]}" for name, value in hold.arguments.items())
        params = ElicitRequestFormParams.model_validate(
            {"message": f"{hold.tool} wants to run. {hold.reason}\n{shown}", "requestedSchema": schema}
        )
        answer = await elicit(params)
        if answer.action == "accept":
            return bool((answer.content or {}).get("approve"))
        return False if answer.action == "decline" else None

    return ask


T = TypeVar("T")


class _Box(Generic[T]):
    """Hands values from one task to another; nothing has to be closed."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._filled = anyio.Event()

    def put(self, value: T) -> None:
        self._values.append(value)
        self._filled.set()

    async def take(self) -> T:
        while not self._values:
            self._filled = anyio.Event()
            await self._filled.wait()
        return self._values.pop(0)


@dataclass
class _Parked:
    """A call in a task of its own."""

    progress: Progress
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    outcomes: _Box[dict[str, Any] | Exception] = field(default_factory=_Box[dict[str, Any] | Exception])
    answers: _Box[Mapping[str, Any]] = field(default_factory=_Box[Mapping[str, Any]])


class ParkedCalls:
    """Calls of 2026 clients whose person may have to be asked in the middle.

    Args:
        tasks: Where the calls run.
        seconds: How long a question waits for its answer; then the call goes on as if it had been cancelled.
    """

    def __init__(self, tasks: TaskGroup, seconds: float = PARKED_SECONDS) -> None:
        self._tasks = tasks
        self._seconds = seconds
        self._parked: dict[str, _Parked] = {}

    def __len__(self) -> int:
        return len(self._parked)

    async def begin(self, work: Work, progress: Progress) -> dict[str, Any]:
        """Start `work` and return its result, or the `input_required` result by which it asks.

        Args:
            work: Makes the call, given how to ask and where to report progress.
            progress: Reports progress to the request that is being served.
        """
        parked = _Parked(progress)
        self._tasks.start_soon(self._run, parked, work)
        return await self._next(parked)

    async def resume(self, state: str, responses: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Hand the answer to the call that asked; return its result or its next question.

        Raises:
            HomeportError: `not_found`, when the call has ended or waited too long.
        """
        parked = self._parked.pop(state, None)
        if parked is None:
            raise HomeportError("not_found", "The call that asked is not waiting any more.", "Make the call again.")
        parked.progress = progress
        parked.answers.put(responses)
        return await self._next(parked)

    async def _next(self, parked: _Parked) -> dict[str, Any]:
        try:
            outcome = await parked.outcomes.take()
        except anyio.get_cancelled_exc_class():
            parked.scope.cancel()  # the client gave the call up
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _run(self, parked: _Parked, work: Work) -> None:
        async def elicit(params: ElicitRequestParams) -> ElicitResult:
            async with parked.turn:
                return await self._ask(parked, params)

        async def progress(done: float, total: float | None, message: str | None) -> None:
            await parked.progress(done, total, message)

        with parked.scope:
            asking.set(elicit)
            try:
                outcome: dict[str, Any] | Exception = await work(elicit, progress)
            except Exception as error:
                outcome = error
            parked.outcomes.put(outcome)

    async def _ask(self, parked: _Parked, params: ElicitRequestParams) -> ElicitResult:
        if len(self._parked) >= MOST_PARKED:
            return ElicitResult(action="decline")
        state = PREFIX + secrets.token_hex(16)
        self._parked[state] = parked
        request = {"method": "elicitation/create", "params": _dump(params)}
        parked.outcomes.put(
            {"resultType": "input_required", "inputRequests": {"question": request}, "requestState": state}
        )
        answers: Mapping[str, Any] = {}
        try:
            with anyio.move_on_after(self._seconds):
                answers = await parked.answers.take()
        finally:
            self._parked.pop(state, None)
        return ElicitResult.model_validate(answers.get("question") or {"action": "cancel"})


def _dump(params: ElicitRequestParams) -> dict[str, Any]:
    return params.model_dump(by_alias=True, mode="json", exclude_none=True)
