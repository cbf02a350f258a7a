"""The settings of the knowledge server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RagSettings(BaseModel):
    """Search your documents by words and by meaning over MCP, with the place of every passage."""

    model_config = ConfigDict(extra="forbid")

    folders: list[str] = Field(default_factory=list, description="folders whose documents may be read and indexed")
    max_file_mb: int = Field(default=100, ge=1, le=10_000, description="larger files are refused (megabytes)")
    embedding_address: str = Field(
        default="", description="address of an Ollama server, or of an OpenAI-compatible one (ends in /v1), that embeds"
    )
    embedding_model: str = Field(default="", description="embedding model at that address")
