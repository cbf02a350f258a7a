"""The MCP surface of the files server."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from mcp.server.apps import Apps
from mcp.types import ToolAnnotations
from pydantic import AfterValidator, Field

from homeport_files import office_tools, order_tools, page_tools
from homeport_files.edits import Edit
from homeport_files.reading import Format, Part
from homeport_files.results import (
    Change,
    ChangeSets,
    Deleted,
    Edited,
    Hits,
    Info,
    Listing,
    RootRow,
    RootRows,
    Shown,
    Steps,
    Text,
    Undone,
)
from homeport_files.settings import FilesSettings
from homeport_files.workspace import Workspace
from homeport_shared import serving
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.identity import LABELS
from homeport_shared.server import Server
from homeport_shared.views import view

INSTRUCTIONS = (
    "Files below some folders, the roots. A path is root/relative/path; list without a path shows the roots. "
    "`next` of a result is the cursor of its next part; if_sha256 makes a change only if the file is still what was "
    "read. Every change keeps the old content: history shows it, restore undoes it."
)
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(destructive_hint=False, open_world_hint=False)
PRIVATE: dict[str, Any] = {LABELS: ["reads-private", "untrusted-content"]}
UNDOABLE: dict[str, Any] = {LABELS: ["can-be-taken-back"]}
FOR_PAGES: dict[str, Any] = {LABELS: ["reads-private", "untrusted-content"], "ui": {"visibility": ["app"]}}
PERSON: dict[str, Any] = {LABELS: ["can-be-taken-back", "person-only"], "ui": {"visibility": ["app"]}}

NONE: list[str] = []  # the SDK copies defaults; a shared list is never changed
Limit = Annotated[int, AfterValidator(lambda limit: min(max(limit, 1), 1000))]
Count = Annotated[int, AfterValidator(lambda count: max(count, 1))]


def build_server(context: ServerContext) -> Server:
    """Make the files server."""
    workspace = Workspace(context)
    server = Server(context, title="Files", instructions=INSTRUCTIONS, extensions=[_view(workspace)])
    _reading_tools(server, workspace)
    _changing_tools(server, workspace)
    _root_tools(server, workspace)
    order_tools.register(server, workspace)
    office_tools.register(server, workspace)
    page_tools.register(server, workspace)
    _resources(server, workspace)
    return server


def _reading_tools(server: Server, workspace: Workspace) -> None:
    @server.tool(title="List files", annotations=READS, meta=PRIVATE, name="list")
    async def list_files(  # pyright: ignore[reportUnusedFunction]
        path: str = "",
        depth: Count = 1,
        glob: str = "",
        limit: Limit = 200,
        cursor: str = "",
    ) -> Listing:
        """List a folder as root/path, or the roots."""
        return await workspace.list(path, depth=depth, glob=glob, limit=limit, cursor=cursor)

    @server.tool(title="Read a file", annotations=READS, meta=PRIVATE)
    async def read(  # pyright: ignore[reportUnusedFunction]
        path: str,
        start_line: Count = 1,
        max_lines: Count = 2000,
        max_bytes: Count = 65_536,
        format: Format = "auto",
        cursor: str = "",
    ) -> Text:
        """Read part of a file. auto turns PDF, Office, HTML, mail into text; text is raw; base64 any bytes."""
        return await workspace.read(path, Part(start_line, max_lines, max_bytes, cursor), format)

    @server.tool(title="Search files", annotations=READS, meta=PRIVATE)
    async def search(  # pyright: ignore[reportUnusedFunction]
        query: str,
        path: str = "",
        mode: Literal["name", "content"] = "content",
        regex: bool = False,
        glob: str = "",
        limit: Limit = 50,
        cursor: str = "",
    ) -> Hits:
        """Find text in files or in names, in any case."""
        return await workspace.search(query, path, mode=mode, regex=regex, glob=glob, limit=limit, cursor=cursor)

    @server.tool(title="File details", annotations=READS, meta=PRIVATE)
    async def info(path: str) -> Info:  # pyright: ignore[reportUnusedFunction]
        """Tell size, type, encoding, sha256, versions and who read it last."""
        return await workspace.info(path)

    @server.tool(title="File history", annotations=READS, meta=PRIVATE)
    async def history(  # pyright: ignore[reportUnusedFunction]
        path: str = "", limit: Limit = 50, cursor: str = ""
    ) -> Steps:
        """List versions of a file, folder or all, newest first."""
        return await workspace.history(path, limit=limit, cursor=cursor)


def _changing_tools(server: Server, workspace: Workspace) -> None:
    @server.tool(title="Write a file", annotations=WRITES, meta=UNDOABLE)
    async def write(  # pyright: ignore[reportUnusedFunction]
        path: str,
        content: str,
        overwrite: bool = False,
        if_sha256: str = "",
        encoding: Annotated[str, Field(description="such as utf-8 or base64")] = "",
    ) -> Change:
        """Make a file, or replace it with overwrite. Keeps encoding and line ends."""
        return await workspace.write(path, content, encoding=encoding, overwrite=overwrite, if_sha256=if_sha256)

    @server.tool(title="Edit a file", annotations=WRITES, meta=UNDOABLE)
    async def edit(  # pyright: ignore[reportUnusedFunction]
        path: str, edits: list[Edit], if_sha256: str = "", dry_run: bool = False
    ) -> Edited:
        """Replace exact texts in a file; returns the diff."""
        return await workspace.edit(path, edits, if_sha256=if_sha256, dry_run=dry_run)

    @server.tool(title="Move or rename", annotations=WRITES, meta=UNDOABLE)
    async def move(  # pyright: ignore[reportUnusedFunction]
        source: str, target: str, overwrite: bool = False
    ) -> Change:
        """Move or rename a file or folder to a full new path."""
        return await workspace.move(source, target, overwrite=overwrite)

    @server.tool(title="Delete files", annotations=WRITES, meta=UNDOABLE)
    async def delete(paths: list[str], recursive: bool = False) -> Deleted:  # pyright: ignore[reportUnusedFunction]
        """Delete files or folders; restore brings them back."""
        result = Deleted(deleted=[], failed=[])
        for path in paths:
            try:
                result.deleted += await workspace.delete(path, recursive=recursive)
            except HomeportError as error:
                result.failed.append(str(error))
        return result

    @server.tool(title="Changes by run", annotations=READS, meta=FOR_PAGES)
    async def changes(  # pyright: ignore[reportUnusedFunction]
        change_set: str = "", limit: Limit = 20, cursor: str = ""
    ) -> ChangeSets:
        """List what agents changed, by set, such as a run; of one set the files with their diffs."""
        return await workspace.change_sets(change_set, limit=limit, cursor=cursor)

    @server.tool(title="Undo a set of changes", annotations=WRITES, meta=UNDOABLE)
    async def undo(change_set: str, paths: list[str] = NONE) -> Undone:  # pyright: ignore[reportUnusedFunction]
        """Take back a change_set of history, or its changes at paths."""
        return await workspace.undo(change_set, paths)

    @server.tool(title="Restore a file", annotations=WRITES, meta=UNDOABLE)
    async def restore(path: str, version: int = 0) -> Change:  # pyright: ignore[reportUnusedFunction]
        """Bring back a version of history; 0 undoes the last change, delete or move."""
        return await workspace.restore(path, version)


def _root_tools(server: Server, workspace: Workspace) -> None:
    @server.tool(title="List roots", annotations=READS, meta=FOR_PAGES)
    async def roots() -> RootRows:  # pyright: ignore[reportUnusedFunction]
        """List the folders that may be used."""
        return workspace.rows()

    @server.tool(title="Add a root", annotations=WRITES, meta=PERSON)
    async def add_root(folder: str, name: str = "") -> RootRow:  # pyright: ignore[reportUnusedFunction]
        """Serve one more folder."""
        return await workspace.add_root(folder, name)


def _resources(server: Server, workspace: Workspace) -> None:
    @server.resource("files://roots", title="Roots", mime_type="application/json")
    async def roots() -> str:  # pyright: ignore[reportUnusedFunction]
        """The folders that may be used."""
        return workspace.rows().model_dump_json()

    @server.resource("files://history", title="History", mime_type="application/json")
    async def history() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest changes of all files."""
        return (await workspace.history("", limit=100, cursor="")).model_dump_json()

    @server.resource("files://changes", title="Changes by run", mime_type="application/json")
    async def changes() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest sets of changes that belong together."""
        return (await workspace.change_sets("", limit=100, cursor="")).model_dump_json()

    @server.resource("files://changes/{change_set}", title="A set of changes", mime_type="application/json")
    async def change_set(change_set: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """What one set of changes comes to, file by file, with diffs."""
        return (await workspace.change_sets(change_set, limit=200, cursor="")).model_dump_json()

    @server.resource("files://{root}/{+path}", title="File or folder", mime_type="application/json")
    async def file(root: str, path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """The first part of a file as text, or what is in a folder, as the tools read and list return it."""
        return await workspace.resource(f"{root}/{path}")

    @server.prompt(title="Summarise a folder")
    async def summarise_folder(path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Ask for a summary of what is in a folder."""
        listing = await workspace.list(path, depth=3, glob="", limit=200, cursor="")
        names = json.dumps([entry.path for entry in listing.entries if entry.kind == "file"], ensure_ascii=False)
        return (
            f"Summarise the folder {path}: what it is about, its most important files and what each says, in at most "
            f"ten sentences. Read the files that matter with the tool read and cite each by its path. Files: {names}"
        )


def _view(workspace: Workspace) -> Apps:
    async def show_files(path: str = "") -> Shown:
        """Open the file page at a path."""
        return Shown(roots=[root.name for root in workspace.roots])

    uri = "ui://files/browser.html"
    return view(
        show_files,
        package="homeport_files",
        page="browser.html",
        uri=uri,
        title="files",
        meta={LABELS: ["reads-private"]},
    )


def main() -> None:
    """Run `homeport-files`."""
    serving.main("files", build_server, FilesSettings, positional="roots")
