"""The tool that writes Office documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import WithJsonSchema

from homeport_files.office.workbooks import Sheet
from homeport_files.office.writing import Mode, OfficeWriter
from homeport_files.parts import Parts
from homeport_files.results import Change
from homeport_shared.server import Server
from homeport_shared.tools import CREATE, UNDOABLE

TEXTS = WithJsonSchema({"type": "object"})  # of texts, which a model guesses


def register(server: Server, parts: Parts) -> None:
    """Add the tool to `server`."""
    writer = OfficeWriter(parts)

    @server.tool(title="Write Word or Excel", annotations=CREATE, meta=UNDOABLE)
    async def write_document(  # pyright: ignore[reportUnusedFunction]
        path: str,
        markdown: str = "",
        sheets: Sequence[Sheet] = (),
        replace: Annotated[Mapping[str, str], TEXTS] = {},
        styles: Annotated[Mapping[str, str], TEXTS] = {},
        mode: Mode = "create",
        if_sha256: str = "",
    ) -> Change:
        """Make a .docx from markdown or an .xlsx from sheets (=A1 is a formula). edit replaces and appends."""
        return await writer.write(
            path,
            markdown=markdown,
            sheets=list(sheets),
            styles=dict(styles),
            replace=dict(replace),
            mode=mode,
            if_sha256=if_sha256,
        )
