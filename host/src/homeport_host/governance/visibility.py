"""What a caller is shown, and so may use: tools by label, narrowing and exposure; what is no tool by its server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from homeport_host.governance.calls import Caller, Label, Tool
from homeport_host.governance.policy import matches, only_for_others
from homeport_shared.errors import HomeportError


class Exposures(Protocol):
    """Which tools an exposure shows."""

    def shows(self, exposure: str, tool: Tool) -> bool:
        """Say whether `tool` can be called under `exposure`."""
        ...

    def shows_all(self, exposure: str) -> bool:
        """Say whether `exposure` leaves out nothing."""
        ...


class Offers(Protocol):
    """What there is besides tools."""

    def labels_at(self, uri: str) -> tuple[str, frozenset[Label]]:
        """The server and the labels of a resource, by its public URI or URI template."""
        ...

    def server_of_prompt(self, name: str) -> str:
        """The server of a prompt, by its public name."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """The resources and prompts that one caller is shown.

    Attributes:
        servers: The servers of which anything is shown; None = all.
    """

    offers: Offers
    caller: Caller
    servers: frozenset[str] | None

    def resource(self, uri: str) -> bool:
        """Say whether the resource or template at `uri` is shown.

        Raises:
            HomeportError: `not_found`, when there is none.
        """
        server, labels = self.offers.labels_at(uri)
        return self._shows(server) and ("person-only" not in labels or self.caller.kind == "person")

    def prompt(self, name: str) -> bool:
        """Say whether the prompt of that public name is shown.

        Raises:
            HomeportError: `not_found`, when there is none.
        """
        return self._shows(self.offers.server_of_prompt(name))

    def require_resource(self, uri: str) -> None:
        """Refuse a resource that is not shown as if there were none.

        Raises:
            HomeportError: `not_found`.
        """
        if not self.resource(uri):
            raise HomeportError(
                "not_found", f"There is no resource {uri!r}.", "List the resources and read one of them."
            )

    def require_prompt(self, name: str) -> None:
        """Refuse a prompt that is not shown as if there were none.

        Raises:
            HomeportError: `not_found`.
        """
        if not self.prompt(name):
            raise HomeportError("not_found", f"There is no prompt {name!r}.", "List the prompts and use one of them.")

    def _shows(self, server: str) -> bool:
        return self.servers is None or server in self.servers


def visible(caller: Caller, tool: Tool, exposures: Exposures) -> bool:
    """Say whether `caller` is shown `tool`."""
    if only_for_others(caller, tool):
        return False
    if caller.tools and not matches(caller.tools, tool.name):
        return False
    return exposures.shows(caller.exposure, tool)


def view_of(caller: Caller, tools: Iterable[Tool], offers: Offers, exposures: Exposures) -> View:
    """Return what `caller` is shown besides tools: where its tools are narrowed, only what their servers have."""
    if not caller.tools and exposures.shows_all(caller.exposure):
        return View(offers, caller, None)
    return View(offers, caller, frozenset(tool.server for tool in tools if visible(caller, tool, exposures)))
