"""Homeport from Python: the same runs, tools and documents as on the pages.

    from homeport import Agent, Host, Limits

    async with Host.connect() as host:                  # starts the host of this data root if none runs
        clerk = Agent("clerk", model="ollama/qwen3:8b", tools=["files__*"], limits=Limits(turns=12))
        run = await host.start(clerk, "Summarise notes.md")
        async for event in run.events():
            if event.kind == "approval":
                await run.decide(event.id, event.tool == "files__write")
        print(run.status, run.output, run.usage.tokens, run.usage.usd)

`Host.run(…)` does the same without `async`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from homeport.connection import call, connect, news_of, read
from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    from mcp import Client

FINAL = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use; None = the host's default.

    Attributes:
        turns: Answers of the model.
        tool_calls: Calls of tools.
        tokens_in: Prompt tokens over all turns.
        tokens_out: Generated tokens over all turns.
        usd: US dollars, as the provider reports them.
        seconds: Working time; waiting for approval is free.
    """

    turns: int | None = None
    tool_calls: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run has used: tokens, US dollars and seconds of work."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent defined in code. A stored agent is named by its name instead.

    Attributes:
        model: Such as `ollama/qwen3:8b`; empty = the host's default.
        instructions: The system prompt; empty = the default assistant's.
        tools: Patterns of the tools it may use, such as `files__*`; empty = all.
        num_ctx: Context window in tokens; 0 = chosen for the model.
    """

    name: str
    model: str = ""
    instructions: str = ""
    tools: Sequence[str] = ()
    num_ctx: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened in a run: kind is text, thinking, call, approval, restart, usage, note, state or done."""

    seq: int
    at: str
    kind: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The approval that an event of kind `approval` asks for; empty for others."""
        return self.data.get("approval_id", "")

    @property
    def tool(self) -> str:
        """The tool that an event of kind `approval` or `call` is about; empty for others."""
        return self.data.get("tool", "")


class Run:
    """A durable run: it goes on without this object, and `Host.resume(id)` finds it again."""

    def __init__(self, client: Client, run: str) -> None:
        self._client = client
        self.id = run
        self._record: dict[str, Any] = {}

    @property
    def status(self) -> str:
        """The state when it was last looked at: queued, running, waiting, completed, failed or cancelled."""
        return self._record.get("state", "queued")

    @property
    def output(self) -> str:
        """The answer; empty until there is one."""
        return self._record.get("answer") or ""

    @property
    def citations(self) -> list[dict[str, Any]]:
        """The places that the answer's [n] marks stand for."""
        return self._record.get("citations") or []

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        told: dict[str, Any] = self._record.get("usage") or {}
        return Usage(**{field.name: told[field.name] for field in fields(Usage) if field.name in told})

    @property
    def error(self) -> dict[str, str] | None:
        """Code, message and hint of a failed run."""
        return self._record.get("error")

    @property
    def record(self) -> dict[str, Any]:
        """Everything the host tells about the run."""
        return self._record

    async def events(self, after: int = 0) -> AsyncGenerator[RunEvent]:
        """Yield what happens, from event number `after` on, until the run has ended."""
        async with self._client.listen(resource_subscriptions=[f"run://{self.id}/events"]) as updates:
            news = aiter(updates)
            while True:
                page = await call(self._client, "homeport__run_events", run_id=self.id, after=after)
                for event in page["events"]:
                    yield RunEvent(event["seq"], event["at"], event["kind"], event["data"])
                    after = event["seq"]
                if page["events"]:
                    continue
                if page["state"] in FINAL:
                    break
                await news_of(news)
        await self.refresh()

    async def refresh(self) -> None:
        """Look at the run again."""
        self._record = await call(self._client, "homeport__run_get", run_id=self.id)

    async def wait(self) -> Run:
        """Wait until the run has ended; approvals wait for somebody else to decide."""
        async for _ in self.events():
            pass
        return self

    async def decide(self, approval: str, approve: bool) -> None:
        """Approve or deny what the run waits for."""
        await call(self._client, "homeport__decide_approval", approval_id=approval, approve=approve)

    async def cancel(self) -> None:
        """Stop the run, the model call or tool call that it is in included."""
        await call(self._client, "homeport__run_cancel", run_id=self.id)


class Host:
    """A connection to the host of a data root."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    @asynccontextmanager
    async def connect(cls, home: Path | None = None) -> AsyncGenerator[Host]:
        """Connect, after starting the host when none runs.

        Raises:
            HomeportError: `unavailable`, when it does not start or answer.
        """
        async with connect(home, name="python") as client:
            yield cls(client)

    async def start(
        self, agent: Agent | str, prompt: str, *, model: str = "", yes: Sequence[str] = (), interactive: bool = True
    ) -> Run:
        """Start a run.

        Args:
            agent: An agent from code, or the name of a stored one; empty = the default assistant.
            prompt: What to do.
            model: Takes the place of the agent's.
            yes: Tools whose questions are answered with yes beforehand.
            interactive: Somebody answers approvals; False = what needs one is denied.

        Raises:
            HomeportError: When agent or model do not exist.
        """
        options: dict[str, Any] = {"prompt": prompt, "kind": "ask", "yes": list(yes), "interactive": interactive}
        if isinstance(agent, str):
            options |= {"agent": agent, "model": model}
        else:
            limits = {name: value for name, value in asdict(agent.limits).items() if value is not None}
            options |= {"model": model or agent.model, "instructions": agent.instructions, "tools": list(agent.tools)}
            options |= {"num_ctx": agent.num_ctx, "limits": limits}
        return Run(self.client, (await call(self.client, "homeport__run_start", **options))["run_id"])

    async def resume(self, run: str) -> Run:
        """Return the run with this id."""
        found = Run(self.client, run)
        await found.refresh()
        return found

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its structured content.

        Raises:
            HomeportError: With the code and message of the tool's own error.
        """
        return await call(self.client, tool, **arguments)

    async def read(self, uri: str) -> Any:
        """Read a resource; JSON comes back parsed."""
        return await read(self.client, uri)

    @staticmethod
    def run(agent: Agent | str, prompt: str, *, yes: Sequence[str] = (), home: Path | None = None) -> Run:
        """Run an agent to the end and return the finished run; for programs without an event loop."""

        async def work() -> Run:
            async with Host.connect(home) as host:
                return await (await host.start(agent, prompt, yes=yes, interactive=False)).wait()

        return anyio.run(work)


def failure_of(run: Run) -> HomeportError:
    """Return the error of a run that did not complete."""
    return HomeportError.from_dict(run.error or {"code": "cancelled", "message": f"The run was {run.status}."})
