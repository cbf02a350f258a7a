"""The section `models` of `homeport.toml`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["LOCAL", "CLOUD", "HYBRID"]


class CompatibleSettings(BaseModel):
    """One `[[models.compatible]]`: a further address that speaks the OpenAI form."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9-]{1,32}$", description="Prefix of its models, such as `openai`.")
    url: str = Field(pattern=r"^https?://", description="Address up to and including `/v1`.")
    key_name: str = Field("", description="Name of its key in the vault and the environment; empty = it needs none.")
    cloud: bool = Field(True, description="What is sent there leaves this machine or network.")


class ModelSettings(BaseModel):
    """Where models run and which one is used."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode = Field(
        "HYBRID", description="LOCAL: nothing goes to a cloud provider. CLOUD: only there. HYBRID: both."
    )
    default: str = Field("", description="Model for chats and agents that name none, such as `ollama/qwen3:8b`.")
    fallback: list[str] = Field([], description="Models tried in this order when one fails, within the mode.")
    num_ctx: int = Field(8192, ge=512, description="Context window asked of local models, tokens.")
    ollama_url: str = Field("", description="Address of Ollama; empty = OLLAMA_HOST, else http://127.0.0.1:11434.")
    openrouter_url: str = Field("", description="Address of OpenRouter; empty = OPENROUTER_BASE_URL, else its own.")
    data_collection: Literal["deny", "allow"] = Field(
        "deny", description="Whether OpenRouter may choose hosts that keep what is sent to them."
    )
    requests_per_minute: dict[str, int] = Field({}, description="Own limit by provider name; absent = no limit.")
    retries: int = Field(3, ge=0, le=10, description="How often a call is repeated after a rate limit.")
    seconds: float = Field(600.0, gt=0, description="Longest time for one answer of a model, its loading included.")
    longest_wait: float = Field(60.0, ge=0, description="Longest wait for a rate limit before giving up, seconds.")
    compatible: list[CompatibleSettings] = Field([], description="Further addresses that speak the OpenAI form.")
