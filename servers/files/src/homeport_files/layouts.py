"""How a person chose to see the file page; kept here, as a sandboxed page keeps nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import anyio.to_thread
from pydantic import BaseModel, Field, ValidationError

from homeport_shared.atomic import write_atomically


class Layout(BaseModel):
    """How the page shows files, as a person chose it; `size` of the pictures in pixels."""

    view: Literal["list", "grid"] = "list"
    size: Annotated[int, Field(ge=80, le=320)] = 160


class Layouts:
    """Keeps the layout in a file.

    Args:
        folder: The server's own folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "layout.json"

    async def keep(self, chosen: Layout | None = None) -> Layout:
        """Remember `chosen`, when there is one; return the layout that holds."""
        return await anyio.to_thread.run_sync(self._keep, chosen)

    def _keep(self, chosen: Layout | None) -> Layout:
        if chosen is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, chosen.model_dump_json().encode())
            return chosen
        try:
            return Layout.model_validate_json(self._file.read_text("utf-8"))
        except (FileNotFoundError, ValidationError):
            return Layout()
