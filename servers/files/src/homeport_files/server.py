"""The MCP surface of the files server: what a model is shown, the resources and the prompts."""

from __future__ import annotations

import json
from typing import Annotated

from mcp.server.apps import Apps
from pydantic import AfterValidator, WithJsonSchema

from homeport_files import office_tools, order_tools, page_tools, work_tools
from homeport_files.batches import FileChange
from homeport_files.edits import Edit
from homeport_files.filters import Filters
from homeport_files.parts import Parts
from homeport_files.reading import Format, Part
from homeport_files.results import (
    Applied,
    Change,
    ChangeSets,
    Deleted,
    Edited,
    Hits,
    Info,
    Listing,
    Shown,
    Steps,
    Text,
    Undone,
)
from homeport_files.searching import Mode
from homeport_files.settings import FilesSettings
from homeport_shared import serving
from homeport_shared.context import ServerContext
from homeport_shared.identity import LABELS
from homeport_shared.server import Server
from homeport_shared.tools import APP, APP_WRITE, CREATE, PRIVATE, READ, UNDOABLE
from homeport_shared.views import view

INSTRUCTIONS = (
    "Files below some folders, the roots. A path is root/relative/path; list without a path shows the roots. "
    "`next` of a result is the cursor of its next part; if_sha256 makes a change only if the file is still what was "
    "read. Every change keeps the old content: history shows it, undo takes it back. `only` narrows by type "
    "(a file ending, or document, table, img, text, folder), tag, since and until (2026-01-31), smallest and largest "
    "(bytes)."
)
NONE: list[str] = []  # the SDK copies defaults; a shared list is never changed
Limit = Annotated[int, AfterValidator(lambda limit: min(max(limit, 1), 1000))]
Only = Annotated[Filters | None, WithJsonSchema({"type": "object"})]  # its fields are in the instructions: said once
ALL = Filters()
Count = Annotated[int, AfterValidator(lambda count: max(count, 1))]


def build_server(context: ServerContext) -> Server:
    """Make the files server."""
    parts = Parts(context)
    server = Server(context, title="Files", instructions=INSTRUCTIONS, extensions=[_view(parts)])
    _reading_tools(server, parts)
    _changing_tools(server, parts)
    _undoing_tools(server, parts)
    order_tools.register(server, parts)
    office_tools.register(server, parts)
    page_tools.register(server, parts)
    work_tools.register(server, parts)
    _resources(server, parts)
    _prompts(server, parts)
    return server


def _reading_tools(server: Server, parts: Parts) -> None:
    @server.tool(title="List files", annotations=READ, meta=PRIVATE, name="list")
    async def list_files(  # pyright: ignore[reportUnusedFunction]
        path: str = "",
        depth: Count = 1,
        glob: str = "",
        only: Only = None,
        limit: Limit = 200,
        cursor: str = "",
    ) -> Listing:
        """List a folder as root/path to a depth, or the roots."""
        return await parts.lookup.list(path, depth=depth, glob=glob, filters=only or ALL, limit=limit, cursor=cursor)

    @server.tool(title="Read a file", annotations=READ, meta=PRIVATE)
    async def read(  # pyright: ignore[reportUnusedFunction]
        path: str,
        start_line: Count = 1,
        max_lines: Count = 2000,
        max_bytes: Count = 65_536,
        format: Format = "auto",
        cursor: str = "",
    ) -> Text:
        """Read part of a file. auto turns PDF, Office, HTML, mail into text; text is raw; base64 any bytes."""
        return await parts.workspace.read(path, Part(start_line, max_lines, max_bytes, cursor), format)

    @server.tool(title="Search files", annotations=READ, meta=PRIVATE)
    async def search(  # pyright: ignore[reportUnusedFunction]
        query: str,
        path: str = "",
        mode: Mode = "content",
        regex: bool = False,
        glob: str = "",
        only: Only = None,
        limit: Limit = 50,
        cursor: str = "",
    ) -> Hits:
        """Find text in files, names or tags, in any case, or by meaning."""
        if mode == "meaning":
            return await parts.knowledge.search(query, path, only or ALL, limit)
        return await parts.lookup.search(
            query, path, mode=mode, regex=regex, glob=glob, filters=only or ALL, limit=limit, cursor=cursor
        )

    @server.tool(title="File details", annotations=READ, meta=PRIVATE)
    async def info(path: str, detail: bool = False) -> Info:  # pyright: ignore[reportUnusedFunction]
        """Tell size, dates, tags, versions; detail adds pages, author."""
        return await parts.lookup.info(path, detail=detail)

    @server.tool(title="File history", annotations=READ, meta=PRIVATE)
    async def history(  # pyright: ignore[reportUnusedFunction]
        path: str = "", limit: Limit = 50, cursor: str = ""
    ) -> Steps:
        """List versions of a file, folder or all, newest first."""
        return await parts.changes.history(path, limit=limit, cursor=cursor)


def _changing_tools(server: Server, parts: Parts) -> None:
    @server.tool(title="Write a file", annotations=CREATE, meta=UNDOABLE)
    async def write(  # pyright: ignore[reportUnusedFunction]
        path: str,
        content: str,
        overwrite: bool = False,
        if_sha256: str = "",
        encoding: str = "",
    ) -> Change:
        """Make a file, or replace it with overwrite. Keeps line ends and encoding; base64 takes bytes."""
        return await parts.changes.write(path, content, encoding=encoding, overwrite=overwrite, if_sha256=if_sha256)

    @server.tool(title="Edit a file", annotations=CREATE, meta=UNDOABLE)
    async def edit(  # pyright: ignore[reportUnusedFunction]
        path: str, edits: list[Edit], if_sha256: str = "", dry_run: bool = False
    ) -> Edited:
        """Replace exact texts in a file."""
        return await parts.changes.edit(path, edits, if_sha256=if_sha256, dry_run=dry_run)

    @server.tool(title="Apply changes", annotations=CREATE, meta=UNDOABLE)
    async def apply(changes: list[FileChange]) -> Applied:  # pyright: ignore[reportUnusedFunction]
        """Write, edit, delete many files, all or none."""
        return Applied(files=await parts.changes.apply(changes))

    @server.tool(title="Move or rename", annotations=CREATE, meta=UNDOABLE)
    async def move(  # pyright: ignore[reportUnusedFunction]
        source: str, target: str, overwrite: bool = False
    ) -> Change:
        """Move or rename a file or folder to a full new path."""
        return await parts.changes.move(source, target, overwrite=overwrite)

    @server.tool(title="Delete files", annotations=CREATE, meta=UNDOABLE)
    async def delete(paths: list[str], recursive: bool = False) -> Deleted:  # pyright: ignore[reportUnusedFunction]
        """Delete files or folders; undo brings them back."""
        return await parts.changes.delete(paths, recursive=recursive)


def _undoing_tools(server: Server, parts: Parts) -> None:
    @server.tool(title="Undo changes", annotations=CREATE, meta=UNDOABLE)
    async def undo(  # pyright: ignore[reportUnusedFunction]
        change_set: str = "", paths: list[str] = NONE, version: int = 0
    ) -> Undone:
        """Take back a change_set, or its part at paths; without one each path's last change, or to a version."""
        return await parts.changes.undo(change_set, paths, version)

    @server.tool(title="Restore a file", annotations=CREATE, meta=APP_WRITE)
    async def restore(path: str, version: int = 0) -> Change:  # pyright: ignore[reportUnusedFunction]
        """Bring back a version of history; 0 undoes the last change, delete or move."""
        return await parts.changes.restore(path, version)

    @server.tool(title="Changes by run", annotations=READ, meta=APP)
    async def changes(  # pyright: ignore[reportUnusedFunction]
        change_set: str = "", limit: Limit = 20, cursor: str = ""
    ) -> ChangeSets:
        """List what agents changed, by set, such as a run; of one set the files with their diffs."""
        return await parts.changes.sets(change_set, limit=limit, cursor=cursor)


def _resources(server: Server, parts: Parts) -> None:
    @server.resource("files://history", title="History", mime_type="application/json")
    async def history() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest changes of all files."""
        return (await parts.changes.history("", limit=100, cursor="")).model_dump_json()

    @server.resource("files://changes", title="Changes by run", mime_type="application/json")
    async def changes() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest sets of changes that belong together."""
        return (await parts.changes.sets("", limit=100, cursor="")).model_dump_json()

    @server.resource("files://changes/{change_set}", title="A set of changes", mime_type="application/json")
    async def change_set(change_set: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """What one set of changes comes to, file by file, with diffs."""
        return (await parts.changes.sets(change_set, limit=200, cursor="")).model_dump_json()

    @server.resource("files://about/{root}/{+path}", title="About a file", mime_type="application/json")
    async def about(root: str, path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Name, type, size, dates, tags of a file and whether it is vectorized; also the tool `list`."""
        return (await parts.workspace.entry(f"{root}/{path}")).model_dump_json()

    @server.resource("files://details/{root}/{+path}", title="Details of a file", mime_type="application/json")
    async def details(root: str, path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Also hash, number of versions, and what its format says about it; also the tool `info`."""
        return (await parts.lookup.info(f"{root}/{path}", detail=True)).model_dump_json()

    @server.resource("files://thumbnails/{root}/{+path}", title="Thumbnail", mime_type="image/png")
    async def thumbnail(root: str, path: str) -> bytes:  # pyright: ignore[reportUnusedFunction]
        """A picture, or the first page of a PDF, made small; also the tool `thumbnail`."""
        return await parts.previewer.thumbnail(f"{root}/{path}")

    @server.resource("files://{root}/{+path}", title="File or folder", mime_type="application/json")
    async def file(root: str, path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """The first part of a file as text, or what is in a folder, as the tools read and list return it."""
        return await parts.lookup.resource(f"{root}/{path}")


def _prompts(server: Server, parts: Parts) -> None:
    @server.prompt(title="Summarise a folder")
    async def summarise_folder(path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Ask for a summary of what is in a folder."""
        listing = await parts.lookup.list(path, depth=3, glob="", filters=Filters(type="file"), limit=200, cursor="")
        names = json.dumps([entry.path for entry in listing.entries if entry.kind == "file"], ensure_ascii=False)
        return (
            f"Summarise the folder {path}: what it is about, its most important files and what each says, in at most "
            f"ten sentences. Read the files that matter with the tool read and cite each by its path. Files: {names}"
        )

    @server.prompt(title="Summarise a file")
    async def summarise_file(path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Ask for a summary of a file."""
        return await parts.questions.prompt(path, "summary")

    @server.prompt(title="Ask about a file")
    async def ask_file(path: str, question: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Ask a question that only this file is to answer."""
        return await parts.questions.prompt(path, "answer", question)

    @server.prompt(title="Extract entities")
    async def extract_entities(path: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Ask for the names, numbers and key terms of a file."""
        return await parts.questions.prompt(path, "entities")


def _view(parts: Parts) -> Apps:
    async def show_files(path: str = "") -> Shown:
        """Open the file page at a path."""
        return Shown(roots=[root.name for root in parts.workspace.roots])

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
