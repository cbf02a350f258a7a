"""Homeport: your own AI, on your own machine, with your own tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeport.api import Agent, Host, Limits, Run, RunEvent

__all__ = ["Agent", "Host", "Limits", "Run", "RunEvent"]


def __getattr__(name: str) -> Any:
    # The command line needs none of this, and importing it costs half a second.
    if name in __all__:
        from homeport import api

        return getattr(api, name)
    raise AttributeError(f"module 'homeport' has no attribute {name!r}")
