"""The turns of one run: the model answers, its calls are made, until an answer can stand.

Every answer and every call is a step of its own, recorded before the next begins. What happens between steps follows
from the records alone, so a run that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from homeport_host.agents.admission import Admission
from homeport_host.agents.answers import fault_of
from homeport_host.agents.asking import Asking, Models
from homeport_host.agents.calling import Calling, Made, call_event, outcome_event, refused
from homeport_host.agents.citations import Sources
from homeport_host.agents.definition import AgentFolder
from homeport_host.agents.limits import Repeats, Spent
from homeport_host.agents.messages import SEND, Messages, spec, told
from homeport_host.agents.metering import memory_mib
from homeport_host.agents.progress import Doing
from homeport_host.agents.recorder import Recorder
from homeport_host.agents.runs import RunStore
from homeport_host.agents.task import Task, Turn
from homeport_host.agents.toolbox import SEARCH, Toolbox, tokens_of
from homeport_host.agents.window import REPLY_SHARE, fit, window_of
from homeport_host.engine.protocol import RunState, Steps
from homeport_host.governance.calls import Caller, Tool
from homeport_host.governance.dispatch import Dispatcher
from homeport_host.governance.policy import matches
from homeport_host.providers.protocol import (
    Message,
    ModelRequest,
    ProviderError,
    ToolCall,
    UsageOwner,
)
from homeport_shared.errors import HomeportError
from homeport_shared.identity import Identity

OWN_SERVER = "homeport"
APPROVAL_SECONDS = 25 * 3600.0  # an hour longer than an approval lives
MOST_BROKEN = 2
REPEATED = "You made this call with the same arguments before; the result is the same. Do something else, or answer."


@dataclass
class Parts:
    """What every run uses.

    Attributes:
        models: The models of the host.
        dispatcher: The one way to tools.
        store: Where runs are kept.
        recorder: Told what happens in a run.
        ready: Waits until the servers that are starting offer their tools, but not longer than that many seconds.
        admission: Decides when a run may work.
        agents: The agents there are.
        messages: Those between agents of one run.
    """

    models: Models
    dispatcher: Dispatcher
    store: RunStore
    recorder: Recorder
    ready: Callable[[float], Awaitable[None]]
    admission: Admission
    agents: AgentFolder
    messages: Messages

    def __post_init__(self) -> None:
        self.asking = Asking(self.models, self.recorder)
        self.calling = Calling(self.dispatcher)

    async def enter(self, run: str, state: RunState, *, key: str = "", waits_for: str = "") -> None:
        """Put a run into a state and tell it, under a `key` only once; also what it waits for, where that is known."""
        await self.store.change(run, state=state)
        more = {"waits_for": waits_for} if waits_for else {}
        await self.recorder.emit(run, "state", {"state": state, **more}, key=key)

    async def unpaused(self, run: str) -> None:
        """Between two steps: wait while the run is paused."""
        if self.admission.is_paused(run):
            await self.store.change(run, state="paused")  # told already, by who paused it
            await self.admission.unpaused(run)
            await self.enter(run, "running")


class Turns:
    """One run: its conversation, its tools and what it has used up."""

    def __init__(self, parts: Parts, steps: Steps, task: Task, spent: Spent, *, recovered: bool) -> None:
        self._parts = parts
        self._steps = steps
        self._task = task
        self._caller = _caller(parts.dispatcher, steps.run, task)
        self._since = [Message("user", f"{task.context}\n\n{task.prompt}".strip())]
        self._sources = Sources()
        self._repeats = Repeats()
        self._recovered = recovered
        self._window = 0
        self._box = Toolbox((), window=1)
        self._writes = (spec(task.to),) if task.to else ()
        self.spent = spent

    async def answer(self) -> tuple[str, list[dict[str, Any]]]:
        """Take turns until there is an answer; return it with its citations.

        Raises:
            HomeportError: When there is none, saying why and what to do.
        """
        self._window = await self._steps.step("window", self._measure)
        tools = [tool for tool in self._parts.dispatcher.shown(self._caller) if _permitted(self._task, tool)]
        self._box = Toolbox(tools, window=self._window, pinned=self._task.agent.pinned)
        return await self._until_answered()

    async def again(self, answer: str, remark: str) -> tuple[str, list[dict[str, Any]]]:
        """Take further turns after a person sent the answer back.

        Raises:
            HomeportError: As `answer`.
        """
        self._since.append(Message("user", f"Your answer was not accepted. Remark: {remark}"))
        return await self._until_answered()

    async def _until_answered(self) -> tuple[str, list[dict[str, Any]]]:
        corrected, broken = False, 0
        while True:
            self.spent.check(self._task.limits)
            await self._received("before")
            turn = await self._turn(self.spent.turns + 1)
            self._since.append(turn.as_message())
            fault = fault_of(turn.answer, self._box.names)
            if fault is not None:
                if corrected or not fault.correction:
                    raise fault.error
                await self._correct(fault.correction)
            elif turn.answer.calls:
                useful = [await self._call(index, call) for index, call in enumerate(turn.answer.calls)]
                broken = 0 if any(useful) else broken + 1
                if broken >= MOST_BROKEN:
                    raise _cannot_call(turn)
            elif not await self._received("after"):  # what came meanwhile may change the answer
                return await self._cited(turn.answer.text)
            corrected = fault is not None

    async def _measure(self) -> int:
        try:
            longest = (await self._parts.models.describe(self._task.model)).context_length
        except ProviderError:
            longest = 0  # its provider may be away while a fallback answers; asking tells what is wrong
        asked = self._task.num_ctx or self._task.agent.num_ctx
        return window_of(asked, longest=longest, local=self._task.model.startswith("ollama/"))

    async def _turn(self, number: int) -> Turn:
        await self._parts.unpaused(self._steps.run)
        self._advance(f"asks the model, turn {number}")
        turn = Turn.from_json(await self._steps.step(f"model {number}", lambda: self._ask(number)))
        self.spent.turn(turn.answer.usage, turn.seconds)
        self.spent.memory_mib = max(self.spent.memory_mib, memory_mib())
        usage = {**self.spent.as_usage(), "model": turn.answer.model, "provider": turn.answer.provider}
        await self._parts.recorder.emit(self._steps.run, "usage", usage, key=f"usage {number}")
        return turn

    async def _ask(self, number: int) -> dict[str, Any]:
        task, run = self._task, self._steps.run
        if self._recovered:  # what was written of this answer before the stop is written again
            self._recovered = False
            await self._parts.recorder.emit(run, "restart", {"reason": "Homeport was restarted in this answer."})
        system = self._system()
        room = int(self._window * (1 - REPLY_SHARE)) - tokens_of(system) - self._box.tokens()
        history = [Message(said.role, said.content) for said in task.history]
        messages, left_out = fit(history, self._since, room)
        if left_out and number == 1:
            text = f"{left_out} earlier messages did not fit into the model's context and were left out."
            await self._parts.recorder.emit(run, "note", {"text": text}, key="left out")
        request = ModelRequest(
            model=task.model.partition("/")[2],
            messages=(Message("system", system), *messages),
            tools=(*self._box.specs(), *self._writes),
            num_ctx=self._window,
            temperature=task.agent.temperature,
            key=f"{run}:{number}",
            seconds=self.spent.seconds_left(task.limits),
        )
        who = UsageOwner(task.session_id, task.agent.name, run, task.actor, task.tenant)
        turn = await self._parts.asking.ask(task.model, request, who, message=task.message_id or run, turn=number)
        return turn.as_json()

    def _system(self) -> str:
        task = self._task
        parts = [task.agent.instructions, task.instructions, f"Today is {task.today}." if task.today else ""]
        return "\n\n".join(part for part in [*parts, self._box.overview()] if part)

    async def _correct(self, correction: str) -> None:
        self._since.append(Message("user", correction))
        number = self.spent.turns
        await self._parts.recorder.emit(self._steps.run, "restart", {"reason": correction}, key=f"correct {number}")

    async def _call(self, index: int, call: ToolCall) -> bool:
        """Make one call and add its result; False when there is no such tool or its arguments are no object."""
        verdict = self._repeats.note(call.name, call.arguments)
        if verdict == "stop":
            raise HomeportError(
                "limit",
                f"The model called {call.name} with the same arguments again and again.",
                "Ask in other words, or choose another model.",
            )
        self.spent.check(self._task.limits)
        place = f"{self.spent.turns}.{index + 1}"
        if call.arguments is not None and call.name == SEARCH:
            text, useful = await self._search(place, str(call.arguments.get("query", ""))), True
        elif call.arguments is not None and call.name == SEND and self._writes:
            text, useful = await self._send(place, call.arguments), True
        else:
            made = await self._made(place, call)
            self.spent.call(made.seconds)
            useful = call.name in self._box.names and call.arguments is not None
            text = self._shown(made)
        self._box.used(call.name)
        text = f"{text}\n\n{REPEATED}" if verdict == "warn" else text
        self._since.append(Message("tool", text, call_id=call.id, tool=call.name))
        return useful

    def _shown(self, made: Made) -> str:
        if made.error is not None:
            return self._box.result_text(f"Error ({made.error['code']}): {made.text}")
        if not made.passages:
            return self._box.result_text(made.text)
        text = self._box.result_text(self._sources.shown(list(made.passages)))
        return f"{text}\n\n({made.rest})" if made.rest else text

    async def _search(self, place: str, query: str) -> str:
        async def search() -> list[str]:
            return self._box.search(query)

        found = await self._steps.step(f"search {place}", search)
        self._box.add(found)
        if not found:
            return "No tool fits these words. Try others, or answer without a tool."
        return f"You can call these now: {', '.join(found)}."

    async def _send(self, place: str, arguments: dict[str, Any]) -> str:
        """Write to another step of the workflow, once."""
        to, text, task = str(arguments.get("to", "")), str(arguments.get("text", "")), self._task
        if to not in task.to or not text.strip():
            return f"Not sent: `to` is one of {', '.join(task.to)}, and `text` says something."

        async def send() -> bool:
            key = f"{self._steps.run}:{place}"
            await self._parts.messages.send(task.parent, task.step, to, text, key=key)
            return True

        await self._steps.step(f"message {place}", send)
        event = {**call_event(place, SEND, arguments), "state": "ok", "result_text": f"Sent to {to}."}
        await self._parts.recorder.emit(self._steps.run, "call", event, key=f"call {place} made")
        return f"Sent to {to}."

    async def _received(self, when: str) -> bool:
        """Put the messages that came from other steps into the conversation; False when there were none."""
        if not self._task.step:
            return False

        async def take() -> str:
            key = f"{self._steps.run}:{self.spent.turns}:{when}"
            letters = await self._parts.messages.take(self._task.parent, self._task.step, key=key)
            for letter in letters:  # what the sender has read counts as read here
                await self._parts.dispatcher.inherit(self._steps.run, letter.key.partition(":")[0])
            return told(letters)

        text = await self._steps.step(f"messages {when} {self.spent.turns}", take)
        if text:
            self._since.append(Message("user", text))
        return bool(text)

    async def _made(self, place: str, call: ToolCall) -> Made:
        """Make a call as one step; when it waits for a person, wait between two steps."""
        digest = hashlib.sha256(json.dumps(call.arguments, sort_keys=True).encode()).hexdigest()[:16]
        name = f"tool {place} {call.name[:64]} {digest}"
        await self._parts.unpaused(self._steps.run)
        made = Made.from_json(await self._steps.step(name, lambda: self._make(place, call, digest)))
        await self._told(place, call, made, "made")
        asked = 0
        while made.approval and self._caller.interactive:  # a second time, when a crash cut off the approved call
            asked += 1
            time = "" if asked == 1 else f" {asked}"
            decision = await self._wait(made, call)
            if decision is None or not decision.get("approve"):
                why = "declined it" if decision else "did not answer in time"
                made = refused("denied", f"The person {why}, so {call.name} is not called.", "Go on without it.")
            else:
                again = await self._steps.step(f"{name} approved{time}", lambda: self._make(place, call, digest))
                made = Made.from_json(again)
            await self._told(place, call, made, f"decided{time}")
        return made

    async def _told(self, place: str, call: ToolCall, made: Made, key: str) -> None:
        """Tell how a call ended; told between the steps, so that a replay tells what a crash kept from being told."""
        arguments = {"raw": call.raw} if call.arguments is None else call.arguments
        event = {**call_event(place, call.name, arguments), **outcome_event(made)}
        await self._parts.recorder.emit(self._steps.run, "call", event, key=f"call {place} {key}")

    async def _make(self, place: str, call: ToolCall, digest: str) -> dict[str, Any]:
        if call.arguments is None:
            fault = refused("invalid", f"The arguments of {call.name} are no JSON object.", "Send one JSON object.")
            return fault.as_json()
        if call.name not in self._box.names:
            near = ", ".join(self._box.search(call.name)) or "none"
            return refused("not_found", f"There is no tool {call.name!r}.", f"Tools like it: {near}.").as_json()
        event = call_event(place, call.name, call.arguments)
        await self._parts.recorder.emit(self._steps.run, "call", event)
        key = f"{self._steps.run}:{place}:{digest}"
        self._advance(call.name)

        async def progress(done: float, total: float | None, message: str | None) -> None:
            part = f"{done:g} of {total:g}" if total else f"{done:g}"
            self._advance(f"{call.name}: {message or part}", min(done / total, 1.0) if total else 0.0)

        made = await self._parts.calling.call(self._caller, call.name, call.arguments, key=key, progress=progress)
        return made.as_json()

    def _advance(self, text: str, share: float = 0.0) -> None:
        """Tell what the run does now; `share` of it is done."""
        steps, used = self.spent.turns + self.spent.tool_calls, self.spent.share(self._task.limits)
        doing = Doing(text, self._parts.store.now(), steps, share=share, used=used)
        self._parts.recorder.advance(self._steps.run, doing)

    async def _wait(self, made: Made, call: ToolCall) -> dict[str, Any] | None:
        run, approval = self._steps.run, made.approval
        asked = {
            "approval_id": approval,
            "tool": call.name,
            "arguments": call.arguments,
            "reason": made.error["message"] if made.error else "",
        }
        await self._parts.recorder.emit(run, "approval", asked, key=f"approval {approval}")
        await self._parts.enter(run, "waiting", key=f"waiting {approval}")
        room = self._parts.admission.give_back(run)
        decision = await self._steps.signal(f"approval:{approval}", APPROVAL_SECONDS)
        await self._parts.admission.again(run, room)
        await self._parts.enter(run, "running", key=f"decided {approval}")
        return decision

    async def _cited(self, answer: str) -> tuple[str, list[dict[str, Any]]]:
        text, citations, unknown = self._sources.cite(answer)
        if unknown:
            marks = ", ".join(f"[{number}]" for number in unknown)
            note = {"text": f"{marks} referred to nothing that was read, and was removed from the answer."}
            await self._parts.recorder.emit(self._steps.run, "note", note, key="unknown marks")
        return text, citations


def _caller(dispatcher: Dispatcher, run: str, task: Task) -> Caller:
    """Return the run as the dispatch path knows it: narrowed to what agent and run allow together.

    An agent gets the host's own tools only where a pattern names them, so that agents do not start agents unasked.
    """
    who = Identity(actor=task.actor, agent=task.agent.name, run=run, tenant=task.tenant)
    caller = Caller(task.kind, task.agent.name, who, tools=task.tools, approved=task.yes, interactive=task.interactive)
    if task.kind == "job":  # what a job names it may change; its agent is narrowed by what it is offered
        return caller
    names = [tool.name for tool in dispatcher.shown(caller) if _permitted(task, tool)]
    return replace(caller, tools=tuple(names) or ("-",))


def _permitted(task: Task, tool: Tool) -> bool:
    own = any(pattern.startswith(OWN_SERVER) for pattern in (*task.agent.tools, *task.tools, *task.yes))
    return matches(task.agent.tools, tool.name) and (own or tool.server != OWN_SERVER)


def _cannot_call(turn: Turn) -> HomeportError:
    model = turn.answer.model or "The model"
    return HomeportError(
        "unsupported",
        f"{model} called tools that do not exist, or with arguments that are no JSON, {MOST_BROKEN} times in a row.",
        "Choose a model that can use tools.",
    )
