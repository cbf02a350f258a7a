"""The settings of the files server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FilesSettings(BaseModel):
    """Serve the files below some folders over MCP."""

    model_config = ConfigDict(extra="forbid")

    roots: list[str] = Field(default_factory=list, description="folders that may be read and changed")
