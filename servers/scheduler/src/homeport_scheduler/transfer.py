"""Jobs as a document: out of one data root and into another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeport_scheduler.definitions import FORMAT, Definition, Document, parsed
from homeport_scheduler.jobs import Jobs
from homeport_scheduler.results import Changed, Exported
from homeport_scheduler.store import Books, Store
from homeport_shared.errors import HomeportError


class Transfer:
    """Exports and imports jobs.

    Args:
        jobs: Saves what is imported.
        store: The tables.
    """

    def __init__(self, jobs: Jobs, store: Store) -> None:
        self._jobs = jobs
        self._store = store

    async def exported(self, wanted: Iterable[str]) -> Exported:
        """Return jobs as a document; without names all of them.

        Raises:
            HomeportError: `not_found`.
        """
        names = list(wanted)
        jobs = [await self._jobs.get(name) for name in names] if names else await self._store.read(Books.all)
        definitions = [job.definition.model_dump(exclude_defaults=True) for job in jobs]
        return Exported(document={"format": FORMAT, "jobs": definitions})

    async def imported(self, document: dict[str, Any], *, replaced: bool) -> Changed:
        """Save the jobs of a document, disabled where they are new, in an order that their dependencies allow.

        Args:
            document: What `exported` returned.
            replaced: Jobs of the same name are changed; else they are refused.

        Raises:
            HomeportError: `invalid`, when it is no such document.
        """
        jobs = parsed(Document, document)
        if jobs.format != FORMAT:
            raise HomeportError("unsupported", f"The format {jobs.format[:40]!r} is not known.", f"Use {FORMAT}.")
        result = Changed(changed=[])
        for definition in _ordered(jobs.jobs):
            try:
                known = await self._store.read(lambda books, name=definition.name: books.named(name))
                if known and replaced:
                    await self._jobs.edit(known, definition.model_dump(), 0)
                else:
                    await self._jobs.add(definition, enabled=False)
                result.changed.append(definition.name)
            except HomeportError as error:
                result.failed.append(f"{definition.name}: {error}")
        return result


def _ordered(definitions: list[Definition]) -> list[Definition]:
    """Return definitions so that each comes behind those it comes after; the rest, in a circle, at the end."""
    left, done = list(definitions), list[Definition]()
    names = {each.name for each in definitions}
    while left:
        placed = {each.name for each in done}
        ready = [each for each in left if not (set(each.after) & names) - placed] or left
        done += ready
        left = [each for each in left if each not in ready]
    return done
