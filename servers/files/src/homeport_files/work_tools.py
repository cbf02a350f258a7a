"""The tools for long work: uploads, the knowledge base, sync, clean-up, questions, backups, and the jobs that do it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from homeport_files.attaching import Chat, ChatList
from homeport_files.backups import BackupRows
from homeport_files.cleaning import Leftovers, Why
from homeport_files.parts import Parts
from homeport_files.questions import Ask
from homeport_files.syncing import Side, SyncState
from homeport_files.uploads import Options, Piece, StoredFiles, Uploaded
from homeport_files.versions import VersionSpace
from homeport_shared.job_rows import JobRow, JobRows, job_row
from homeport_shared.jobs import NEWS
from homeport_shared.server import Server
from homeport_shared.tools import APP, APP_DESTROY, APP_WRITE, CREATE, DESTROY, PERSON, READ

Days = Annotated[int, Field(ge=0, le=36_500)]
NONE: list[str] = []  # the SDK copies defaults; a shared list is never changed
ALL: list[Why] = []


def register(server: Server, parts: Parts) -> None:
    """Add the tools and resources to `server`."""
    _uploads(server, parts)
    _knowledge(server, parts)
    _chats(server, parts)
    _upkeep(server, parts)
    _backups(server, parts)
    _jobs(server, parts)


def _uploads(server: Server, parts: Parts) -> None:
    @server.tool(title="Send a part of a file", annotations=CREATE, meta=APP_WRITE)
    async def upload_part(  # pyright: ignore[reportUnusedFunction]
        name: str,
        total: Annotated[int, Field(ge=0)],
        content: str,
        offset: Annotated[int, Field(ge=0)] = 0,
        upload: str = "",
    ) -> Uploaded:
        """Take a part of a file as base64; `upload` stores it once it is whole."""
        return await parts.uploads.take(name, total=total, offset=offset, content=content, upload=upload)

    @server.tool(title="Upload files", annotations=CREATE, meta=APP_WRITE)
    async def upload(  # pyright: ignore[reportUnusedFunction]
        folder: str,
        files: list[Piece],
        tags: list[str] = NONE,
        category: str = "",
        vectorize: bool = True,
        overwrite: bool = False,
        duplicate: bool = False,
    ) -> StoredFiles:
        """Store files in a folder with tags and category as a job; say of each what became of it."""
        options = Options(folder.rstrip("/"), tags, category, vectorize, overwrite, duplicate)
        return await parts.uploads.store(files, options, parts.jobs)


def _knowledge(server: Server, parts: Parts) -> None:
    @server.tool(title="Vectorize", annotations=CREATE, meta=APP_WRITE)
    async def vectorize(paths: list[str], collection: str = "") -> JobRow:  # pyright: ignore[reportUnusedFunction]
        """Hand files, and what is in folders, to the knowledge base, also once more; returns the job."""
        return job_row(parts.jobs, await parts.knowledge.vectorize(paths, collection or "default", parts.jobs))

    @server.tool(title="Mark for indexing", annotations=CREATE, meta=APP_WRITE)
    async def index_folder(path: str, on: bool = True, collection: str = "default") -> JobRows:  # pyright: ignore[reportUnusedFunction]
        """Keep a folder in step with the knowledge base from now on, or no longer."""
        job = await parts.knowledge.index(path, collection, parts.jobs, on=on)
        return JobRows(jobs=[job_row(parts.jobs, job)] if job else [])

    @server.tool(title="Ask about a file", annotations=CREATE, meta=APP_WRITE)
    async def ask(path: str, about: Ask = "summary", question: str = "") -> JobRow:  # pyright: ignore[reportUnusedFunction]
        """Have an agent summarise a file, answer a question from it or list its entities; returns the job."""
        return job_row(parts.jobs, await parts.questions.start(path, about, question, parts.jobs))


def _chats(server: Server, parts: Parts) -> None:
    @server.tool(title="Chats", annotations=READ, meta=PERSON)
    async def chats() -> ChatList:  # pyright: ignore[reportUnusedFunction]
        """List the chats that a file can be attached to."""
        return await parts.attacher.chats()

    @server.tool(title="Attach to a chat", annotations=CREATE, meta=PERSON)
    async def attach(path: str, session_id: str = "") -> Chat:  # pyright: ignore[reportUnusedFunction]
        """Make a file part of a chat's context; without an id of a new one."""
        return await parts.attacher.attach(path, session_id)


def _upkeep(server: Server, parts: Parts) -> None:
    @server.tool(title="Sync", annotations=CREATE, meta=APP_WRITE)
    async def sync(path: str = "") -> JobRow:  # pyright: ignore[reportUnusedFunction]
        """Look at every file below a folder, or everywhere, for changes that nobody told; returns the job."""
        return job_row(parts.jobs, await parts.syncer.start(path, parts.jobs))

    @server.tool(title="State of the sync", annotations=READ, meta=APP)
    async def sync_state() -> SyncState:  # pyright: ignore[reportUnusedFunction]
        """Tell when the last sync was, its errors, and the files that both sides changed."""
        return parts.syncer.state()

    @server.tool(title="Resolve a conflict", annotations=CREATE, meta=APP_WRITE)
    async def resolve(path: str, keep: Side) -> SyncState:  # pyright: ignore[reportUnusedFunction]
        """Keep what is on the disk, Homeport's version, or both."""
        return await parts.syncer.resolve(path, keep)

    @server.tool(title="What could be cleaned up", annotations=READ, meta=APP)
    async def leftovers(path: str = "", why: list[Why] = ALL) -> Leftovers:  # pyright: ignore[reportUnusedFunction]
        """List old temporary, orphaned and duplicate files; removes nothing."""
        return await parts.cleaner.find(path, why=why)

    @server.tool(title="Clean up", annotations=CREATE, meta=APP_WRITE)
    async def clean_up(paths: list[str], confirm: int) -> Leftovers:  # pyright: ignore[reportUnusedFunction]
        """Remove files that `leftovers` listed as a job; `confirm` repeats how many. They can be restored."""
        return await parts.cleaner.remove(paths, confirm, parts.jobs)

    @server.tool(title="Room of versions", annotations=READ, meta=APP)
    async def version_space(days: Days = 90) -> VersionSpace:  # pyright: ignore[reportUnusedFunction]
        """Tell how much room earlier contents take, and those that are at least some days old."""
        return await parts.versions.space(days)

    @server.tool(title="Forget versions", annotations=DESTROY, meta=APP_DESTROY)
    async def forget_versions(days: Days, confirm: int) -> VersionSpace:  # pyright: ignore[reportUnusedFunction]
        """Remove the earlier contents that `version_space` counted as old, for good; `confirm` repeats how many."""
        return await parts.versions.forget(days, confirm)

    @server.resource("files://sync", title="State of the sync", mime_type="application/json")
    async def sync_resource() -> str:  # pyright: ignore[reportUnusedFunction]
        """The last sync and its conflicts; also the tool `sync_state`."""
        return parts.syncer.state().model_dump_json()


def _backups(server: Server, parts: Parts) -> None:
    @server.tool(title="Back up file data", annotations=CREATE, meta=APP_WRITE)
    async def back_up() -> BackupRows:  # pyright: ignore[reportUnusedFunction]
        """Copy tags, categories, history, last use; return all backups."""
        return await parts.backups.make()

    @server.tool(title="Restore file data", annotations=CREATE, meta=PERSON)
    async def restore_backup(name: str, confirm: str) -> BackupRows:  # pyright: ignore[reportUnusedFunction]
        """Bring tags, categories and last use back as a backup has them; `confirm` repeats its name."""
        return await parts.backups.restore(name, confirm)


def _jobs(server: Server, parts: Parts) -> None:
    @server.tool(title="Jobs", annotations=READ, meta=APP)
    async def jobs(job_id: str = "") -> JobRows:  # pyright: ignore[reportUnusedFunction]
        """Show the latest 20 jobs, or one."""
        found = [await parts.jobs.get(job_id)] if job_id else await parts.jobs.latest()
        return JobRows(jobs=[job_row(parts.jobs, job) for job in found])

    @server.tool(title="Cancel a job", annotations=CREATE, meta=APP_WRITE)
    async def cancel_job(job_id: str) -> JobRow:  # pyright: ignore[reportUnusedFunction]
        """Stop a job; what it did so far stays."""
        return job_row(parts.jobs, await parts.jobs.cancel(job_id))

    @server.resource("files://jobs/recent", title="Jobs", mime_type="application/json", meta=NEWS)
    async def latest() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest jobs; also the tool `jobs`."""
        return JobRows(jobs=[job_row(parts.jobs, job) for job in await parts.jobs.latest()]).model_dump_json()

    @server.resource("files://jobs/{job_id}", title="Job", mime_type="application/json")
    async def job(job_id: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """How far a job is; also the tool `jobs`."""
        return job_row(parts.jobs, await parts.jobs.get(job_id)).model_dump_json()
