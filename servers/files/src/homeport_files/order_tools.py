"""The tools that keep the files in order: tags, totals, roots, what changed lately."""

from __future__ import annotations

from homeport_files import totals
from homeport_files.outside import Recent
from homeport_files.parts import Parts
from homeport_files.results import RootRow, RootRows, TagCounts, Tagged
from homeport_shared.server import Server
from homeport_shared.tools import APP, APP_WRITE, CREATE, PERSON, READ, WRITE

NONE: list[str] = []  # the SDK copies defaults; a shared list is never changed


def register(server: Server, parts: Parts) -> None:
    """Add the tools and resources to `server`."""
    _tags(server, parts)
    _totals(server, parts)
    _recent(server, parts)
    _roots(server, parts)


async def _counts(parts: Parts, tag: str = "") -> TagCounts:
    marks = parts.workspace.marks
    paths = [str(mark.place) for mark in await marks.having("tag", tag.strip().casefold())] if tag else []
    return TagCounts(tags=await marks.counts(), categories=await marks.counts("category"), paths=paths)


def _tags(server: Server, parts: Parts) -> None:
    @server.tool(title="Tag files", annotations=WRITE, meta=APP_WRITE)
    async def tag(  # pyright: ignore[reportUnusedFunction]
        paths: list[str], add: list[str] = NONE, remove: list[str] = NONE, category: str | None = None
    ) -> Tagged:
        """Add and remove tags of files or folders, set or empty their category; return what they have then."""
        return await parts.workspace.tag(paths, add, remove, category)

    @server.tool(title="List tags", annotations=READ, meta=APP)
    async def tags(tag: str = "") -> TagCounts:  # pyright: ignore[reportUnusedFunction]
        """Count what has each tag and category; with `tag`, list the paths that have it."""
        return await _counts(parts, tag)

    @server.tool(title="Rename a tag", annotations=WRITE, meta=APP_WRITE)
    async def rename_tag(tag: str, new: str = "") -> TagCounts:  # pyright: ignore[reportUnusedFunction]
        """Rename a tag everywhere; without `new` remove it."""
        await parts.workspace.marks.rename(tag, new)
        await server.homeport.changes.updated("files://tags", "files://recent")
        return await _counts(parts)

    @server.resource("files://tags", title="Tags", mime_type="application/json")
    async def tag_counts() -> str:  # pyright: ignore[reportUnusedFunction]
        """How many files and folders have each tag and category."""
        return (await _counts(parts)).model_dump_json()


def _totals(server: Server, parts: Parts) -> None:
    @server.tool(title="Folder tree", annotations=READ, meta=APP)
    async def folders(path: str, depth: int = 1) -> totals.Tree:  # pyright: ignore[reportUnusedFunction]
        """List a folder and those below it with number of files, size, newest change and state of indexing."""
        return await totals.marked_tree(parts.workspace, path, await parts.jobs.latest(), depth=max(depth, 0))

    @server.tool(title="Statistics", annotations=READ, meta=APP)
    async def stats() -> totals.Stats:  # pyright: ignore[reportUnusedFunction]
        """Count files and bytes by type, the space of the disks, the files used most."""
        return await totals.all_stats(parts.workspace)

    @server.resource("files://stats", title="Statistics", mime_type="application/json")
    async def statistics() -> str:  # pyright: ignore[reportUnusedFunction]
        """Files and bytes by type, the space of the disks, the files used most; also the tool `stats`."""
        return (await totals.all_stats(parts.workspace)).model_dump_json()


def _recent(server: Server, parts: Parts) -> None:
    @server.tool(title="Recent changes", annotations=READ, meta=APP)
    async def recent(after: int = 0) -> Recent:  # pyright: ignore[reportUnusedFunction]
        """List what changed lately, also by other programs; `after` is the number of the last one known."""
        return parts.workspace.outside.recent(after=after)

    @server.resource("files://recent", title="Recent changes", mime_type="application/json")
    async def recent_changes() -> str:  # pyright: ignore[reportUnusedFunction]
        """What changed lately, also by other programs: an event source."""
        return parts.workspace.outside.recent(after=0).model_dump_json()


def _roots(server: Server, parts: Parts) -> None:
    @server.tool(title="List roots", annotations=READ, meta=APP)
    async def roots() -> RootRows:  # pyright: ignore[reportUnusedFunction]
        """List the folders that may be used, with the space of their disks."""
        return parts.workspace.rows()

    @server.tool(title="Add a root", annotations=CREATE, meta=PERSON)
    async def add_root(folder: str, name: str = "") -> RootRow:  # pyright: ignore[reportUnusedFunction]
        """Serve one more folder."""
        return await parts.workspace.add_root(folder, name)

    @server.tool(title="Remove a root", annotations=CREATE, meta=PERSON)
    async def remove_root(name: str) -> RootRows:  # pyright: ignore[reportUnusedFunction]
        """Serve a folder no longer; nothing in it changes."""
        return await parts.workspace.remove_root(name)

    @server.resource("files://roots", title="Roots", mime_type="application/json")
    async def root_rows() -> str:  # pyright: ignore[reportUnusedFunction]
        """The folders that may be used."""
        return parts.workspace.rows().model_dump_json()
