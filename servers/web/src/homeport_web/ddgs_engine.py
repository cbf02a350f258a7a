"""One engine of ddgs, asked directly, so that a refusal is not taken for an empty result. Runs in a worker process."""

from __future__ import annotations

from typing import Any

from homeport_shared.errors import HomeportError

# Where each engine is reached, for the list of hosts without the proxy.
HOSTS = {
    "duckduckgo": "html.duckduckgo.com",
    "mojeek": "www.mojeek.com",
    "brave": "search.brave.com",
    "startpage": "www.startpage.com",
    "wikipedia": "wikipedia.org",
    "grokipedia": "grokipedia.com",
    "yahoo": "search.yahoo.com",
}


def ask(
    engine: str, query: str, region: str, since: str, proxy: str, certificates: str, seconds: int
) -> list[tuple[str, str, str]]:
    """Return title, address and snippet of each result of one engine.

    Args:
        engine: Its name in ddgs.
        query: What is looked for.
        region: Country and language.
        since: `day`, `week`, `month`, `year` or empty.
        proxy: Address of the proxy; empty = none.
        certificates: PEM file of the authorities to believe; empty = the usual ones.
        seconds: The longest wait.

    Raises:
        HomeportError: `not_found`, for an unknown engine; `limit`, when it refuses; `timeout`; `unavailable`.
    """
    from ddgs.engines import ENGINES
    from ddgs.exceptions import DDGSException, TimeoutException

    engines = ENGINES["text"]
    if engine not in engines:
        raise HomeportError("not_found", f"ddgs has no engine {engine!r}.", f"It has {', '.join(sorted(engines))}.")
    asked: Any = engines[engine](proxy=proxy or None, timeout=seconds, verify=certificates or True)
    try:
        found: list[Any] | None = asked.search(query, region=region, timelimit=since[:1] or None)
    except TimeoutException as error:
        raise HomeportError("timeout", f"{engine} did not answer in time.") from error
    except DDGSException as error:
        raise HomeportError("unavailable", f"{engine} cannot be reached: {str(error)[:300]}.") from error
    except Exception as error:  # the boundary to a parser of foreign pages, which change without notice
        raise HomeportError("unavailable", f"{engine} answers with a page that ddgs cannot read.") from error
    if found is None:
        raise HomeportError("limit", f"{engine} refuses to answer programs for now.", "Wait a while.")
    return [(each.title, each.href, each.body) for each in found]
