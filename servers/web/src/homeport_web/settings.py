"""The settings of the web server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

BRAVE = "https://api.search.brave.com/res/v1/web/search"


class WebSettings(BaseModel):
    """Search the web and read its pages over MCP."""

    model_config = ConfigDict(extra="forbid")

    backends: list[str] = Field(
        default=["searxng", "brave", "duckduckgo", "mojeek"],
        min_length=1,
        description="Who is asked by `search`, in this order until one has results: searxng (with its address), brave "
        "(with the secret BRAVE_API_KEY), or an engine of ddgs that needs no key: duckduckgo, mojeek, brave-page, "
        "startpage, wikipedia, yahoo.",
    )
    searxng_address: str = Field(default="", description="Address of a SearXNG with the JSON format; empty = none.")
    brave_address: str = Field(default=BRAVE, description="Address of Brave's search API.")
    only_hosts: list[str] = Field(
        default_factory=list,
        description="The only hosts that may be visited, each with its subdomains; none = every public one.",
    )
    private_hosts: list[str] = Field(
        default_factory=list,
        description="Hosts of the own network that may be visited, each `host`, or `host:port` for another port.",
    )
    ports: list[int] = Field(default=[80, 443, 8080, 8443], description="Ports that may be visited.")
    proxy: str = Field(
        default="", description="Proxy for everything, such as http://proxy.lan:3128; empty = that of the environment."
    )
    no_proxy: list[str] = Field(
        default_factory=list, description="Hosts, each with its subdomains, that are reached without the proxy."
    )
    certificates: str = Field(
        default="",
        description="PEM file of the authorities to believe instead of the usual ones, as some proxies need.",
    )
    robots: bool = Field(default=True, description="Respect what a site's robots.txt asks of programs.")
    page_mb: int = Field(default=10, ge=1, le=1024, description="The largest page or document, unpacked, in MiB.")
    seconds: int = Field(
        default=30, ge=1, description="The longest that getting or reading a page may take, in seconds."
    )
    search_seconds: int = Field(default=10, ge=1, description="The longest wait for one search engine, in seconds.")
    memory_mb: int = Field(default=1024, ge=128, description="The memory of the process that reads pages, in MiB.")
    cache_minutes: int = Field(
        default=60, ge=0, description="How old a kept copy may be to be shown instead of a new visit, in minutes."
    )
    cache_days: int = Field(default=30, ge=1, description="How long copies are kept for citations, in days.")
    cache_mb: int = Field(default=200, ge=1, description="The most that kept copies take, oldest leave first, in MiB.")
