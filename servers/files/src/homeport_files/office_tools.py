"""The tool that writes Office documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp.types import ToolAnnotations

from homeport_files.office.workbooks import Sheet
from homeport_files.office.writing import Mode, OfficeWriter
from homeport_files.results import Change
from homeport_files.workspace import Workspace
from homeport_shared.identity import LABELS
from homeport_shared.server import Server

WRITES = ToolAnnotations(destructive_hint=False, open_world_hint=False)


def register(server: Server, workspace: Workspace) -> None:
    """Add the tool to `server`."""
    writer = OfficeWriter(server.homeport, workspace)

    @server.tool(title="Write Word or Excel", annotations=WRITES, meta={LABELS: ["can-be-taken-back"]})
    async def write_document(  # pyright: ignore[reportUnusedFunction]
        path: str,
        markdown: str = "",
        sheets: Sequence[Sheet] = (),
        replace: Mapping[str, str] = {},
        styles: Mapping[str, str] = {},
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
