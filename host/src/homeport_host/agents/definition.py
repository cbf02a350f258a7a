"""An agent: a Markdown file whose front matter says what it may use and whose text tells the model what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeport_host.agents.limits import Limits
from homeport_shared.atomic import write_atomically
from homeport_shared.errors import HomeportError

DEFAULT = "assistant"
MOST_PINNED = 6
LONGEST = 100_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)


class Agent(BaseModel):
    """What a run is started with. It is copied into the run, so a later change of the file does not touch it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="file name without .md")
    title: str = Field(default="", description="what people see")
    description: str = Field(default="", description="one sentence: what it is for")
    model: str = Field(default="", description="such as ollama/qwen3:8b; empty = the default model")
    num_ctx: int = Field(default=0, ge=0, le=10_000_000, description="context window in tokens; 0 = by the model")
    temperature: float | None = Field(default=None, ge=0, le=2, description="empty = the model's default")
    tools: tuple[str, ...] = Field(default=("*",), description="patterns of tools it may call, such as files__*")
    pinned: tuple[str, ...] = Field(
        default=(), max_length=MOST_PINNED, description="tools that are always shown to the model, at most 6"
    )
    limits: Limits = Limits()
    at_once: int = Field(default=0, ge=0, description="how many of its runs may work at once; 0 = any number")
    instructions: str = Field(default="", max_length=LONGEST, description="the text below the front matter")


def parse(text: str, name: str) -> Agent:
    """Read an agent out of Markdown with YAML front matter.

    Args:
        text: The file's content; without front matter it is all instructions.
        name: The agent's name.

    Raises:
        HomeportError: `invalid`, naming the line or the field that is wrong.
    """
    if not _NAME.fullmatch(name):
        raise HomeportError("invalid", f"{name[:80]!r} is no name for an agent.", "Use a-z, 0-9, - and _, at most 64.")
    front = _FRONT.match(text)
    try:
        loaded: Any = yaml.safe_load(front[1]) if front else {}
    except yaml.YAMLError as error:
        raise HomeportError("invalid", f"The front matter of {name}.md does not parse: {error}.") from error
    if loaded is not None and not isinstance(loaded, dict):
        raise HomeportError("invalid", f"The front matter of {name}.md is no list of fields.", "Write `field: value`.")
    fields = cast("dict[str, Any]", loaded or {})
    body = text[front.end() :] if front else text
    try:
        return Agent.model_validate({**fields, "name": name, "instructions": body.strip()})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise HomeportError(
            "invalid", f"The agent {name} does not fit: {wrong}.", "Correct its front matter."
        ) from error


class AgentFolder:
    """The agents of one data root: its files, and the built-in one where no file replaces it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """List the names of all agents."""
        return sorted({path.stem for path in self._folder.glob("*.md")} | {DEFAULT})

    def get(self, name: str = "") -> Agent:
        """Return one agent; the built-in assistant for an empty name.

        Raises:
            HomeportError: `not_found`, or `invalid` when its file does not fit.
        """
        return parse(self.markdown(name or DEFAULT), name or DEFAULT)

    def markdown(self, name: str) -> str:
        """Return an agent's file as it is.

        Raises:
            HomeportError: `not_found`, or `invalid` when it is no text.
        """
        if _NAME.fullmatch(name):
            for path in (self._folder / f"{name}.md", Path(__file__).with_name(f"{name}.md")):
                try:
                    return path.read_text("utf-8")
                except FileNotFoundError:
                    continue
                except UnicodeDecodeError as error:
                    raise HomeportError("invalid", f"{path} is not UTF-8 text.", "Save it as UTF-8.") from error
        raise HomeportError("not_found", f"There is no agent {name[:80]!r}.", f"Use one of {', '.join(self.names())}.")

    def save(self, name: str, markdown: str) -> Agent:
        """Check and store an agent's file; it replaces the one of the same name.

        Raises:
            HomeportError: `invalid`; nothing is stored then.
        """
        agent = parse(markdown, name)
        write_atomically(self._folder / f"{name}.md", markdown.encode())
        return agent

    def choose_model(self, name: str, model: str) -> Agent:
        """Store another model in an agent's file; everything else in it stays as it is.

        Raises:
            HomeportError: `not_found` or `invalid`.
        """
        text = self.markdown(name)
        front = _FRONT.match(text)
        lines = front[1].splitlines() if front else []
        kept = [line for line in lines if not line.startswith("model:")]
        header = "\n".join(["---", *kept, f"model: {json.dumps(model)}", "---"])
        return self.save(name, f"{header}\n{text[front.end() :] if front else text}")
