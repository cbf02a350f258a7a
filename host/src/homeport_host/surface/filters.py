"""Which runs a tool lists, as its parameters say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from homeport_host.agents.runs import Wanted

Several = Annotated[str, Field(description="one, or several with commas")]


def wanted(*, owner: str = "", state: str = "", kind: str = "", type: str = "", query: str = "", **same: str) -> Wanted:
    """Return the filter that parameters of a tool make; empty ones do not matter.

    Args:
        owner: Only runs of this owner.
        state: States, with commas between them; `kind` and `type` likewise.
        kind: See there.
        type: See there.
        query: Words in title or prompt.
        same: What `Wanted` calls as the tools do.
    """
    return Wanted(
        owner=owner, states=_several(state), kinds=_several(kind), types=_several(type), text=query, **same
    )  # fmt: skip


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
