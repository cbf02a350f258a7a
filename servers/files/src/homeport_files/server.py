"""The MCP surface of the files server."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from mcp.server.apps import Apps
from mcp.types import ToolAnnotations
from pydantic import Field

from homeport_files.edits import Edit
from homeport_files.reading import Format, Part
from homeport_files.results import Change, Changes, Failure, Hits, Info, Listing, RootRows, Steps, Text
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
    "Every change keeps the old content: history shows it, restore undoes it."
)
READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
PRIVATE: dict[str, Any] = {LABELS: ["reads-private", "untrusted-content"]}
UNDOABLE: dict[str, Any] = {LABELS: ["can-be-taken-back"]}
PERSON: dict[str, Any] = {LABELS: ["can-be-taken-back"], "ui": {"visibility": ["app"]}}

Path = Annotated[str, Field(description="root/path")]
Limit = Annotated[int, Field(ge=1, le=1000)]
Cursor = Annotated[str, Field(description="next of the page before")]
Sha256 = Annotated[str, Field(description="only if the content is this")]


def build_server(context: ServerContext) -> Server:
    """Make the files server."""
    workspace = Workspace(context)
    server = Server(context, title="Files", instructions=INSTRUCTIONS, extensions=[_view(workspace)])
    _reading_tools(server, workspace)
    _changing_tools(server, workspace)
    _root_tools(server, workspace)
    _resources(server, workspace)
    return server


def _reading_tools(server: Server, workspace: Workspace) -> None:
    @server.tool(title="List files", annotations=READS, meta=PRIVATE, name="list")
    async def list_files(  # pyright: ignore[reportUnusedFunction]
        path: str = "",
        depth: Annotated[int, Field(ge=1, le=64)] = 1,
        glob: Annotated[str, Field(description="*.md or **/src/*.py")] = "",
        limit: Limit = 200,
        cursor: Cursor = "",
    ) -> Listing:
        """List a folder; without a path, the roots. depth goes into subfolders."""
        return await workspace.list(path, depth=depth, glob=glob, limit=limit, cursor=cursor)

    @server.tool(title="Read a file", annotations=READS, meta=PRIVATE)
    async def read(  # pyright: ignore[reportUnusedFunction]
        path: Path,
        start_line: Annotated[int, Field(ge=1)] = 1,
        max_lines: Annotated[int, Field(ge=1, le=100_000)] = 2000,
        max_bytes: Annotated[int, Field(ge=16, le=262_144)] = 65_536,
        format: Format = "auto",
        cursor: Cursor = "",
    ) -> Text:
        """Read part of a file. auto gives PDF, Office, HTML and mail as text; text the raw file; base64 any bytes."""
        return await workspace.read(path, Part(start_line, max_lines, max_bytes, cursor), format)

    @server.tool(title="Search files", annotations=READS, meta=PRIVATE)
    async def search(  # pyright: ignore[reportUnusedFunction]
        query: str,
        path: Annotated[str, Field(description="folder; empty = all roots")] = "",
        mode: Literal["name", "content"] = "content",
        regex: bool = False,
        glob: str = "",
        limit: Limit = 50,
        cursor: Cursor = "",
    ) -> Hits:
        """Find text in the content of text files, or in names. Plain text ignores case."""
        return await workspace.search(query, path, mode=mode, regex=regex, glob=glob, limit=limit, cursor=cursor)

    @server.tool(title="File details", annotations=READS, meta=PRIVATE)
    async def info(path: Path) -> Info:  # pyright: ignore[reportUnusedFunction]
        """Tell size, dates, type, encoding, sha256, number of versions and who read it last."""
        return await workspace.info(path)

    @server.tool(title="File history", annotations=READS, meta=PRIVATE)
    async def history(  # pyright: ignore[reportUnusedFunction]
        path: str = "", change_set: str = "", limit: Limit = 50, cursor: Cursor = ""
    ) -> Steps:
        """List versions of a file, of all below a folder, or of everything; newest first."""
        return await workspace.history(path, change_set=change_set, limit=limit, cursor=cursor)


def _changing_tools(server: Server, workspace: Workspace) -> None:
    @server.tool(title="Write a file", annotations=WRITES, meta=UNDOABLE)
    async def write(  # pyright: ignore[reportUnusedFunction]
        path: Path,
        content: str,
        overwrite: bool = False,
        if_sha256: Sha256 = "",
        encoding: Annotated[str, Field(description="utf-8, …, base64; empty = as it was")] = "",
    ) -> Change:
        """Make a file, with its folders, or with overwrite replace it whole. Keeps encoding and line ends."""
        return await workspace.write(path, content, encoding=encoding, overwrite=overwrite, if_sha256=if_sha256)

    @server.tool(title="Edit a file", annotations=WRITES, meta=UNDOABLE)
    async def edit(  # pyright: ignore[reportUnusedFunction]
        path: Path, edits: list[Edit], if_sha256: Sha256 = "", dry_run: bool = False
    ) -> Change:
        """Replace exact texts in a text file; returns the diff. dry_run changes nothing."""
        return await workspace.edit(path, edits, if_sha256=if_sha256, dry_run=dry_run)

    @server.tool(title="Move or rename", annotations=WRITES, meta=UNDOABLE)
    async def move(  # pyright: ignore[reportUnusedFunction]
        source: Path, target: Annotated[str, Field(description="new root/path")], overwrite: bool = False
    ) -> Change:
        """Move or rename a file or folder; target is the full new path."""
        return await workspace.move(source, target, overwrite=overwrite)

    @server.tool(title="Delete files", annotations=WRITES, meta=UNDOABLE)
    async def delete(paths: list[str], recursive: bool = False) -> Changes:  # pyright: ignore[reportUnusedFunction]
        """Delete files, or with recursive folders. All of it is kept for restore."""
        result = Changes(changes=[], failed=[])
        for path in paths:
            try:
                result.changes += await workspace.delete(path, recursive=recursive)
            except HomeportError as error:
                result.failed.append(Failure(path=path, message=str(error)))
        return result

    @server.tool(title="Restore a file", annotations=WRITES, meta=UNDOABLE)
    async def restore(  # pyright: ignore[reportUnusedFunction]
        path: Path, version: Annotated[int, Field(ge=0, description="of history; 0 = undo the last change")] = 0
    ) -> Changes:
        """Undo the last change of a file or folder (also a delete or move), or bring back a version."""
        return Changes(changes=await workspace.restore(path, version), failed=[])


def _root_tools(server: Server, workspace: Workspace) -> None:
    @server.tool(title="List roots", annotations=READS, meta={LABELS: ["reads-private"]})
    async def roots() -> RootRows:  # pyright: ignore[reportUnusedFunction]
        """List the folders that may be used."""
        return workspace.rows()

    @server.tool(title="Add a root", annotations=WRITES, meta=PERSON)
    async def add_root(folder: str, name: str = "") -> RootRows:  # pyright: ignore[reportUnusedFunction]
        """Let files be used below one more folder of this machine."""
        return await workspace.add_root(folder, name)

    @server.tool(title="Remove a root", annotations=WRITES, meta=PERSON)
    async def remove_root(name: str) -> RootRows:  # pyright: ignore[reportUnusedFunction]
        """Stop using a folder; its files stay."""
        return await workspace.remove_root(name)


def _resources(server: Server, workspace: Workspace) -> None:
    @server.resource("files://roots", title="Roots", mime_type="application/json")
    async def roots() -> str:  # pyright: ignore[reportUnusedFunction]
        """The folders that may be used."""
        return workspace.rows().model_dump_json()

    @server.resource("files://history", title="History", mime_type="application/json")
    async def history() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest changes of all files."""
        return (await workspace.history("", change_set="", limit=100, cursor="")).model_dump_json()

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
    async def show_files(path: Annotated[str, Field(description="root/path to open")] = "") -> RootRows:
        """Open the page that browses files, and return the roots."""
        return workspace.rows()

    uri = "ui://files/browser.html"
    return view(show_files, package="homeport_files", page="browser.html", uri=uri, title="files", meta=PRIVATE)


def main() -> None:
    """Run `homeport-files`."""
    serving.main("files", build_server, FilesSettings, positional="roots")
