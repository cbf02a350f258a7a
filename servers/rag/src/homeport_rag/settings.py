"""The settings of the knowledge server."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RagSettings(BaseModel):
    """Search your documents by words and by meaning over MCP, with the place of every passage."""

    model_config = ConfigDict(extra="forbid")

    folders: list[str] = Field(default_factory=list, description="folders whose documents may be read and indexed")
    max_file_mb: int = Field(default=100, ge=1, le=10_000, description="larger files are refused (megabytes)")
    upload_mb: int = Field(
        default=200, ge=1, le=10_000, description="files uploaded together may be this large (megabytes)"
    )
    index_folder: str = Field(default="", description="folder of the vector indexes; empty = beside the database")
    database: str = Field(
        default="",
        description="address of a PostgreSQL database with pgvector that many users share; empty = SQLite here",
    )
    embedding_address: str = Field(
        default="",
        description="address of an Ollama server, or of an OpenAI-compatible one (ends in /v1), that embeds; or"
        " sentence-transformers, with :cuda or :cpu for the device",
    )
    embedding_model: str = Field(default="", description="embedding model at that address")
    rerank_address: str = Field(
        default="", description="address of a server that orders the best hits again: /rerank (ends in /v1) or Ollama"
    )
    rerank_model: str = Field(default="", description="reranking model at that address")
    watch: list[str] = Field(
        default_factory=list, description="folders that are taken in by themselves when they change"
    )
    watch_on: bool = Field(default=True, description="whether they are; off = only when you ask for it")
    watch_seconds: int = Field(
        default=300, ge=5, le=86_400, description="time between two looks at all of them (seconds)"
    )
    watch_ignore: list[str] = Field(
        default_factory=list, description="names or paths that are passed over, with * and ?"
    )
    watch_first: list[str] = Field(
        default_factory=list, description="names or paths that are taken in before all others, with * and ?"
    )
    watch_tries: int = Field(
        default=3, ge=1, le=100, description="times that a file which cannot be read is tried until it changes"
    )
    ocr: bool = Field(default=False, description="read scanned PDF pages by text recognition, where Tesseract is there")
    ocr_languages: str = Field(
        default="eng", pattern=r"[a-zA-Z_]{3,20}(\+[a-zA-Z_]{3,20})*", description="languages of scans, such as eng+deu"
    )
    required: list[str] = Field(
        default_factory=list, description="what an entry given as text must have: title, uri, or names of metadata"
    )
    unfit: Literal["refuse", "review"] = Field(
        default="refuse", description="what is done with an entry that does not fit: refuse it, or keep it for review"
    )
    memory_limit: int = Field(
        default=10_000, ge=10, le=1_000_000, description="memories per user; above it the least important are dropped"
    )
    memory_half_life_days: int = Field(
        default=90, ge=1, le=36_500, description="time after which a memory of middle importance counts half (days)"
    )
