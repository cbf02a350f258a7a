"""What the tools return of memory."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

MemoryKind = Literal["episodic", "semantic", "preference"]


class MemoryEntry(BaseModel):
    """Something remembered; `strength` is its importance faded by its age, both 0 to 1."""

    memory_id: str
    text: str
    kind: MemoryKind
    subject: str
    tags: list[str]
    source: str
    at: str
    importance: float = Field(ge=0, le=1)
    agent: str
    strength: float = 0
    similarity: float = 0


class Remembered(BaseModel):
    """What a model is told of a memory."""

    memory_id: str
    text: str
    subject: str
    at: str
    similarity: float


class Recalled(BaseModel):
    """What was recalled, nearest first."""

    memories: list[Remembered]
    why: str


class Memories(BaseModel):
    """What was recalled, nearest first."""

    memories: list[MemoryEntry]
    mode: str
    why: str
