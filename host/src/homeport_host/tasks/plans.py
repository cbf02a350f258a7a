"""A task as somebody writes it down before it is started: checked as a whole, started now, later or again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeport_host.agents.drafts import asked_for, object_in
from homeport_host.agents.runs import TYPES, Run, TaskType
from homeport_host.agents.service import LONGEST_PROMPT, Runs
from homeport_host.agents.task import Options
from homeport_host.documents import CallTool
from homeport_host.governance.calls import Tool
from homeport_host.governance.policy import matches
from homeport_shared.errors import HomeportError

SUGGESTION = "task suggestion"  # the tag of the runs whose answer is a plan
LONGEST_NAME = 60
PRIORITY_WORDS = ("low", "normal", "high", "critical")
INSTRUCTIONS = f"""You turn what the user says into the definition of a task for an agent. Answer with one JSON object
and nothing else: {{"title": short, "prompt": what the agent is told, complete and in the imperative,
"type": one of {", ".join(TYPES)}, "agent": name or "", "priority": 0 low to 3 critical,
"tags": [words], "cron": five fields when it repeats, else "", "at": local date and time like 2026-11-30T09:00
when it is to begin later, else ""}}."""


class Plan(BaseModel):
    """A task that has not been started.

    Attributes:
        tools: Patterns that narrow the agent's tools.
        attachments: Paths of files that the agent is to use.
        background: Nobody is asked for approvals while it works.
        review: A person accepts the answer before the task is completed.
        at: When it begins, RFC 3339 or local; empty = now.
        cron: When it begins again and again; empty = once.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: str = ""
    title: str = ""
    type: TaskType = "agent"
    agent: str = ""
    model: str = ""
    priority: int = Field(default=1, ge=0, le=3)
    tags: list[str] = Field(default_factory=list[str], max_length=20)
    tools: list[str] = Field(default_factory=list[str])
    attachments: list[str] = Field(default_factory=list[str], max_length=50)
    after: list[str] = Field(default_factory=list[str])
    background: bool = False
    review: bool = False
    at: str = ""
    cron: str = ""

    @property
    def scheduled(self) -> bool:
        """Whether it begins later than now."""
        return bool(self.at or self.cron)

    def job(self) -> dict[str, Any]:
        """Return the scheduler's job that starts it."""
        name = (self.title or self.prompt).strip().partition("\n")[0][:LONGEST_NAME]
        action = {"agent": self.agent, "prompt": f"{self.context()}\n\n{self.prompt}".strip(), "tools": self.tools}
        trigger = {"cron": self.cron} if self.cron else {"at": self.at}
        priority = PRIORITY_WORDS[self.priority]
        return {"name": name, "trigger": trigger, "action": action, "priority": priority}

    def context(self) -> str:
        """Return what is put before the prompt."""
        lines = "\n".join(f"- {path}" for path in self.attachments)
        return f"Use these files:\n{lines}" if lines else ""


class Planning:
    """Checks and starts plans.

    Args:
        runs: Starts them.
        tools: Returns the tools there are.
        call: Calls a tool for a person.
    """

    def __init__(self, runs: Runs, tools: Callable[[], Iterable[Tool]], call: CallTool) -> None:
        self._runs = runs
        self._tools = tools
        self._call = call

    async def check(self, plan: Mapping[str, Any]) -> tuple[Plan | None, list[dict[str, str]]]:
        """Return the plan, None when it cannot be read, and what speaks against it: field, message. Nothing is run."""
        try:
            read = Plan.model_validate(plan)
        except ValidationError as error:
            wrong = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
            return None, [{"field": field, "message": message} for field, message in wrong]
        problems = [*self._of_text(read), *self._of_agent(read)]
        for path in read.attachments:
            problems += await self._refused("attachments", "files__info", {"path": path})
        for run in read.after:
            try:
                await self._runs.get(run)
            except HomeportError as error:
                problems.append(("after", str(error)))
        if read.scheduled and not problems:
            problems += await self._of_schedule(read)
        return read, [{"field": field, "message": message} for field, message in problems]

    async def create(self, plan: Mapping[str, Any], *, draft: bool) -> dict[str, str]:
        """Start a task, save it as a draft that waits to be resumed, or give it to the scheduler.

        Returns:
            `{run_id, job}`: one of them, the other empty.

        Raises:
            HomeportError: `invalid`, with everything that speaks against it.
        """
        read, problems = await self.check(plan)
        if read is None or problems:
            told = "; ".join(f"{each['field']}: {each['message']}" for each in problems)
            raise HomeportError("invalid", f"The task cannot be started. {told}", "Correct it and try again.")
        if read.scheduled:
            saved = await self._call("scheduler__add_job", {"definition": read.job(), "enabled": not draft})
            return {"run_id": "", "job": saved["job"]["name"]}
        run = await self._runs.start(
            read.prompt,
            agent=read.agent,
            model=read.model,
            kind="job" if read.background else "ask",
            interactive=not read.background,
            context=read.context(),
            tools=tuple(read.tools),
            title=read.title,
            type=read.type,
            priority=read.priority,
            tags=tuple(read.tags),
            after=tuple(read.after),
            review=read.review,
            hold=draft,
        )
        return {"run_id": run, "job": ""}

    def _of_text(self, plan: Plan) -> list[tuple[str, str]]:
        if plan.prompt.strip() and len(plan.prompt) <= LONGEST_PROMPT:
            return []
        return [("prompt", f"Write what is to be done, in at most {LONGEST_PROMPT} characters.")]

    def _of_agent(self, plan: Plan) -> list[tuple[str, str]]:
        try:
            agent = self._runs.agent(plan.agent)
            if not plan.model:
                self._runs.check(plan.agent)
        except HomeportError as error:
            return [("agent", str(error))]
        allowed = [tool.name for tool in self._tools() if matches(agent.tools, tool.name)]
        unknown = [pattern for pattern in plan.tools if not any(matches((pattern,), name) for name in allowed)]
        return [("tools", f"{agent.title or agent.name} has no tool {pattern!r}.") for pattern in unknown]

    async def _of_schedule(self, plan: Plan) -> list[tuple[str, str]]:
        if plan.at and plan.cron:
            return [("schedule", "Give a moment or a repetition, not both.")]
        try:
            found = await self._call("scheduler__validate_job", {"definition": plan.job()})
        except HomeportError as error:
            return [("schedule", str(error))]
        return [("schedule", problem) for problem in found["problems"]]

    async def _refused(self, field: str, tool: str, arguments: dict[str, Any]) -> list[tuple[str, str]]:
        try:
            await self._call(tool, arguments)
        except HomeportError as error:
            return [(field, str(error))]
        return []


def suggestion(agents: Iterable[str], now: str, model: str) -> Options:
    """Return how an agent is asked for a plan; `now` is what today is for it."""
    known = f"Agents that there are: {', '.join(agents)}. It is {now} now."
    return asked_for("Draft a task", f"{INSTRUCTIONS}\n{known}", tag=SUGGESTION, model=model)


def suggested(row: Run) -> dict[str, Any]:
    """Return the plan that an agent drafted.

    Raises:
        HomeportError: `conflict` before it has ended well; `invalid`, when its answer holds no plan.
    """
    if SUGGESTION not in row.tags or row.state != "completed":
        raise HomeportError("conflict", f"{row.title!r} is {row.state}.", "Wait for its end, or ask again.")
    hint = "Ask again, in other words, or choose another model."
    try:
        value = object_in(row.answer)
    except ValueError as error:
        raise HomeportError("invalid", "The model drafted no task.", hint) from error
    if value is None:
        raise HomeportError("invalid", "The model drafted no task.", hint)
    return {name: value[name] for name in Plan.model_fields if name in value}
