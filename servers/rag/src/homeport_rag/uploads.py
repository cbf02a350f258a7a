"""Files that a person gives by hand: checked, kept, and taken in by a job that a crash does not lose."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import anyio.to_thread

from homeport_rag.ingest import Ingest, document_id
from homeport_rag.library import Library
from homeport_rag.meaning import Meaning
from homeport_rag.reading import Dividing
from homeport_rag.records import Source, Space
from homeport_rag.results.documents import Upload, UploadOutcome, Uploads
from homeport_rag.settings import RagSettings
from homeport_rag.store import Store, collections, documents, ingests
from homeport_rag.store.dialect import Connection
from homeport_shared import identity
from homeport_shared.atomic import write_atomically
from homeport_shared.clock import iso
from homeport_shared.context import ServerContext
from homeport_shared.documents import supported
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import Jobs, Run


@dataclass(frozen=True, slots=True)
class Options:
    """How uploaded files are taken in.

    Attributes:
        changes: Settings of the collection that do not hold for these files, such as `chunk_tokens`.
        embed: Embed them at once; without, they wait for `embed`.
        detect_language: Note the language of each.
    """

    collection: str
    metadata: dict[str, Any]
    changes: dict[str, Any]
    embed: bool = True
    detect_language: bool = True


class Inbox:
    """Takes uploads in.

    Args:
        context: The server's context.
        store: Where documents go.
        meaning: Is told what is to be embedded.
        ingest: Reads files.
        library: Checks settings, tells of changes.
    """

    def __init__(
        self, context: ServerContext, store: Store, meaning: Meaning, ingest: Ingest, library: Library
    ) -> None:
        self._context = context
        self._store = store
        self._meaning = meaning
        self._ingest = ingest
        self._library = library

    async def take(self, uploads: Sequence[Upload], options: Options, jobs: Jobs) -> Uploads:
        """Check files, refuse those that cannot be taken, and queue the job for the rest.

        Raises:
            HomeportError: `not_found`, when there is no such collection; `invalid`, when the options do not fit the
                model; `too_large`, when the files together are too large.
        """
        space = await self._store.read(collections.space, options.collection)
        await self._library.check(replace(space.settings, **options.changes))
        most = self._context.settings(RagSettings).upload_mb
        if sum(len(upload.data) for upload in uploads) * 3 / 4 > most * 1_000_000:
            raise HomeportError("too_large", f"These files are larger than {most} MB together.", "Give fewer at once.")
        outcomes: list[UploadOutcome] = []
        kept: list[dict[str, str]] = []
        for upload in uploads:
            try:
                file = await self._keep(upload, space)
                kept.append(file)
                outcomes.append(UploadOutcome(name=upload.name, document_id=file["id"], state="queued", reason=""))
            except HomeportError as error:
                outcomes.append(UploadOutcome(name=upload.name, document_id="", state="refused", reason=str(error)))
        job_id = ""
        if kept:
            params = {"files": kept, "options": asdict(options), "actor": identity.current().actor}
            job_id = (await jobs.start("upload", params)).id
        return Uploads(job_id=job_id, files=outcomes)

    async def _keep(self, upload: Upload, space: Space) -> dict[str, str]:
        """Check one file and write it into the folder of uploads."""
        name = PurePosixPath(upload.name.replace("\\", "/")).name
        if not supported(name):
            raise HomeportError("unsupported", f"{name} is of a kind that cannot be read.", "Save it as PDF or text.")
        try:
            data = base64.b64decode(upload.data, validate=True)
        except binascii.Error as error:
            raise HomeportError("damaged", f"{name} did not arrive whole.", "Give it again.") from error
        if not data:
            raise HomeportError("damaged", f"{name} is empty.", "Give another file.")
        sha256 = hashlib.sha256(data).hexdigest()
        uri = f"upload:{sha256[:16]}/{name}"
        for _, other in (await self._store.read(ingests.same_bytes, space.id, sha256))[:1]:
            raise HomeportError("conflict", f"{name} is in {space.name} already, as {other}.", "Nothing is to do.")
        path = kept_at(self._context.folder, uri)
        assert path is not None
        await anyio.to_thread.run_sync(write_atomically, path, data)
        return {"id": document_id(space.name, uri), "uri": uri, "path": str(path), "name": name}

    async def run(self, run: Run) -> None:
        """Take kept files in: the handler of `upload` jobs."""
        files, options = run.job.params["files"], Options(**run.job.params["options"])
        space = await self._store.read(collections.space, options.collection)
        dividing = replace(await self._ingest.dividing(space), settings=replace(space.settings, **options.changes))
        for number, file in enumerate(files):
            run.progress(done=number, total=len(files), message=file["name"])
            source = await self._source(file, dividing, options)
            source = replace(source, job=run.job.id)
            await self._store.write(_store, source, space, options, run.job.params["actor"], self._now(), run.job.id)
            self._meaning.wake()
        counters, notes = await self._store.read(ingests.outcomes, run.job.id)
        run.progress(done=len(files), total=len(files), message="", counters=counters, notes=notes)
        await self._library.tell(*(file["id"] for file in files))

    async def _source(self, file: dict[str, str], dividing: Dividing, options: Options) -> Source:
        try:
            data = await anyio.to_thread.run_sync(Path(file["path"]).read_bytes)
            source = await self._ingest.read_bytes(data, file["name"], file["id"], file["uri"], dividing)
        except (HomeportError, OSError) as error:
            return Source(
                file["id"], file["uri"], file["name"], "", 0, "", "", [], error=str(error), modified=self._now()
            )
        language = source.language if options.detect_language else ""
        metadata = source.metadata | options.metadata
        return replace(source, metadata=metadata, language=language, modified=self._now())

    def _now(self) -> str:
        return iso(self._context.clock.now())

    async def embed(self, document_ids: Sequence[str]) -> int:
        """Embed documents that wait for it, all of them when none is named; return how many they are."""
        released = await self._store.write(documents.release, document_ids)
        self._meaning.wake()
        await self._library.tell(*document_ids)
        return released


def kept_at(folder: Path, uri: str) -> Path | None:
    """Return where the file of an uploaded document is kept in the server's folder; None for other documents."""
    scheme, _, rest = uri.partition(":")
    return folder / "uploads" / rest if scheme == "upload" else None


def _store(
    connection: Connection, source: Source, space: Space, options: Options, actor: str, now: str, job: str
) -> None:
    """Store one uploaded file, or why it could not be read, with its outcome in the job."""
    if source.error:
        documents.fail(connection, source, space.id, actor=actor, now=now)
        documents.note(connection, job, source.uri, "failed", message=f"{source.title}: {source.error}")
        return
    documents.put(connection, source, space.id, english=space.language == "en", actor=actor, now=now)
    if not options.embed:
        documents.hold(connection, source.id)
