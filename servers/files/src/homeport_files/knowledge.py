"""Hand files to the knowledge base over MCP, keep it in step with them, and search them by meaning.

The knowledge base reads and parses by itself: it is told paths and answers with documents. What it holds is marked
here, so that lists need not ask.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.from_thread import check_cancelled

from homeport_files.filters import Filters
from homeport_files.results import Hit, Hits, stamp_of, uri_of
from homeport_files.walking import walk
from homeport_files.workspace import Workspace
from homeport_shared import identity
from homeport_shared.documents import passed_over, supported
from homeport_shared.errors import HomeportError
from homeport_shared.jobs import FINAL, Job, Jobs, Run
from homeport_shared.paths import Place, explained, path_of_uri

logger = logging.getLogger(__name__)
KIND = "vectorize"
COLLECTION = "default"
MOST_FILES = 20_000
MOST_TEXT = 300
GATHER_SECONDS = 0.5
POLL_SECONDS = 0.3
TRIES = 30
Files = dict[Place, os.stat_result]


class Knowledge:
    """The knowledge base as the files server uses it.

    Args:
        workspace: The files.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._neighbours = workspace.context.neighbours
        self._changed: set[Place] = set()
        self._gone: set[Place] = set()
        self._news = anyio.Event()

    async def vectorize(self, paths: Sequence[str], collection: str, jobs: Jobs) -> Job:
        """Start the job that hands files, and what is in folders, to the knowledge base, also once more.

        Raises:
            HomeportError: `unavailable`, when there is none; `not_found`; `denied`, when it may not read there.
        """
        found, failed = await self._workspace.looked(paths)
        if failed or not found:
            raise HomeportError("not_found", " ".join(failed) or "No file is named.", "List the folder.")
        await self._allow({place.root for place, _ in found})
        return await self._start(jobs, [str(place) for place, _ in found], [], collection, named=True)

    async def index(self, path: str, collection: str, jobs: Jobs, *, on: bool) -> Job | None:
        """Keep a folder in step with the knowledge base from now on, or no longer.

        Raises:
            HomeportError: `unsupported`, when it is no folder; as for `vectorize`.
        """
        entry = await self._workspace.entry(path)
        if entry.kind != "folder":
            raise HomeportError("unsupported", f"{path!r} is no folder.", "Vectorize the file instead.")
        place = self._workspace.roots.place(entry.path)
        job = await self.vectorize([path], collection, jobs) if on else None
        await self._workspace.marks.put("indexed", collection if on else "", {place: ""})
        await self._workspace.context.changes.updated(uri_of(place), "files://recent")
        return job

    async def search(self, query: str, path: str, filters: Filters, limit: int) -> Hits:
        """Return the passages of files below `path` that are nearest in meaning.

        Raises:
            HomeportError: `unavailable`, when there is no knowledge base.
        """
        answer = await self._neighbours.call("rag__search", {"query": query, "k": min(max(limit, 1), 100)})
        below = self._workspace.roots.place(path) if path else None
        places = [self._place_at(hit["source"]) for hit in answer["hits"]]
        tagged = await self._workspace.marks.of([place for place in places if place])
        hits: list[Hit] = []
        for hit, place in zip(answer["hits"], places, strict=True):
            if place is None or (below and not _inside(place, below)):
                continue
            found, _ = await self._workspace.looked([str(place)])
            fits = all(filters.fits(place.name, "file", status) for _, status in found)
            if found and fits and (not filters.tag or filters.tag in tagged[place].tags):
                hits.append(Hit(path=str(place), line=hit["line"], text=hit["text"][:MOST_TEXT]))
        return Hits(hits=hits)

    async def heard(self, kind: str, place: Place, source: Place | None) -> None:
        """Take note of a change of files; what the knowledge base has to learn of it is told soon after."""
        if not self._neighbours.there:
            return
        marks = self._workspace.marks
        if kind in {"deleted", "moved"}:
            held = await marks.having("knowledge", below=place)
            if kind == "deleted":
                self._gone |= {mark.place for mark in held}
                await marks.put("knowledge", "", {mark.place: "" for mark in held})
            elif source is not None:
                self._gone |= {_moved(mark.place, place, source) for mark in held}
                self._changed |= {mark.place for mark in held}
        if kind != "deleted" and await self._collection(place):
            self._changed.add(place)
        if self._changed or self._gone:
            self._news.set()

    async def follow(self, jobs: Jobs) -> None:
        """Tell the knowledge base what was heard, until cancelled; first what marked folders missed meanwhile."""
        if not self._neighbours.there:
            return
        for mark in await self._workspace.marks.having("indexed"):
            await self._start(jobs, [str(mark.place)], [], mark.value)
        while True:
            await self._news.wait()
            await anyio.sleep(GATHER_SECONDS)
            self._news = anyio.Event()
            changed, gone, self._changed, self._gone = self._changed, self._gone, set[Place](), set[Place]()
            groups: dict[str, list[str]] = {}
            for place in sorted(changed):
                collection = await self._collection(place)
                groups.setdefault(collection or COLLECTION, []).append(str(place))
            for collection, paths in (groups or {COLLECTION: list[str]()}).items():
                await self._start(jobs, paths, sorted(map(str, gone)), collection)
                gone = set[Place]()

    async def run(self, run: Run) -> None:
        """Do one job: take out what is gone, hand over what is there, and mark what became of it.

        Raises:
            HomeportError: `unavailable`, when the knowledge base does not come up.
        """
        await self._ready()
        params = run.job.params
        if params["gone"]:
            uris = {self._uri(self._workspace.roots.place(path)) for path in params["gone"]}
            await self._forget(uris)
        if not params["paths"]:
            return
        chosen = partial(self._files, params["paths"], named=params.get("named", True))
        files, skipped = await anyio.to_thread.run_sync(chosen)
        run.progress(done=0, total=len(files), message="Handing the files over", counters={"skipped": skipped})
        if files:
            await self._hand_over(run, files, params["collection"])
        await self._mark(run, files, params["collection"])

    async def _hand_over(self, run: Run, files: Files, collection: str) -> None:
        """Have the files taken in, and pass on how far that is; a cancelled job cancels that one, too."""
        paths = [str(self._path(place)) for place in files]
        added = await self._neighbours.call("rag__add", {"paths": paths, "collection": collection})
        async with self._cancelling(added["job_id"]):
            while True:
                [job] = (await self._neighbours.call("rag__jobs", {"job_id": added["job_id"]}))["jobs"]
                run.progress(done=job["done"], message=job["message"], notes=job["notes"])
                if job["state"] in FINAL:
                    break
                await anyio.sleep(POLL_SECONDS)
        if job["state"] != "completed":
            raise HomeportError("unavailable", job["error"] or f"The knowledge base says {job['state']}.", "Try again.")

    @asynccontextmanager
    async def _cancelling(self, job: str) -> AsyncGenerator[None]:
        try:
            yield
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                try:
                    await self._neighbours.call("rag__cancel_job", {"job_id": job})
                except HomeportError:  # it has ended by itself
                    logger.debug("the job %s of the knowledge base had ended", job)
            raise

    async def _mark(self, run: Run, files: Files, collection: str) -> None:
        documents = await self._documents(files, collection)
        taken = {place: stamp_of(status) for place, status in files.items()}
        none = {"error": "The knowledge base did not take it in."}
        errors = {place: str(documents.get(self._uri(place), none)["error"]) for place in files}
        failed = {place: error for place, error in errors.items() if error}
        marks = self._workspace.marks
        held = {place: stamp for place, stamp in taken.items() if place not in failed}
        await marks.put("knowledge", collection, held)
        await marks.put("failed", "", dict.fromkeys(held, ""))
        await marks.put("failed", collection, failed)
        notes = [f"{place}: {error}" for place, error in failed.items()]
        counters = {**run.job.counters, "vectorized": len(held), "failed": len(failed)}
        run.progress(done=len(files), message="", counters=counters, notes=notes)
        folders = {uri_of(Place(place.root, place.parts[:-1])) for place in files}
        await self._workspace.context.changes.updated(*sorted(folders), "files://recent")

    async def _forget(self, uris: Iterable[str]) -> None:
        for uri in sorted(uris):
            found = await self._neighbours.call("rag__browse_documents", {"text": uri})
            ids = [each["document_id"] for each in found["documents"] if uri in {each["uri"], each["source"]}]
            if ids:
                await self._neighbours.call("rag__delete", {"document_ids": ids})

    async def _documents(self, files: Files, collection: str) -> dict[str, dict[str, Any]]:
        """Return the documents of the collection that may be those of `files`, by the URI of their file."""
        if not files:
            return {}
        text = os.path.commonpath([self._path(place) for place in files])
        found: dict[str, dict[str, Any]] = {}
        cursor = ""
        while True:
            wanted = {"collection": collection, "text": Path(text).as_uri(), "cursor": cursor}
            page = await self._neighbours.call("rag__browse_documents", wanted)
            found |= {each[name]: each for each in page["documents"] for name in ("source", "uri")}
            if not (cursor := page["next_cursor"]):
                return found

    async def _collection(self, place: Place) -> str:
        """Return the collection in which a file is to be, because it is there or its folder is marked; empty = none."""
        marked = (await self._workspace.marks.of([place]))[place]
        if marked.collection:
            return marked.collection
        for mark in await self._workspace.marks.having("indexed"):
            below = place.parts[len(mark.place.parts) :]
            if _inside(place, mark.place) and not any(map(passed_over, below)):
                return mark.value
        return ""

    async def _allow(self, roots: set[str]) -> None:
        """Let the knowledge base read the roots, where a person asked for it."""
        if not self._neighbours.there or identity.current().caller != "person":
            return
        for root in self._workspace.roots:
            if root.name in roots:
                await self._neighbours.call("rag__add_folder", {"path": str(root.folder)})

    async def _start(
        self, jobs: Jobs, paths: list[str], gone: list[str], collection: str, *, named: bool = False
    ) -> Job:
        """Start a job; a file of `paths` that cannot be read is a failure only when somebody has named it."""
        if not self._neighbours.there:
            await self._neighbours.call("rag__add", {})  # says what is missing
        params = {"paths": paths, "gone": gone, "collection": collection or COLLECTION, "named": named}
        return await jobs.start(KIND, params, once=True)

    async def _ready(self) -> None:
        """Wait for a knowledge base that is just starting."""
        for attempt in range(TRIES):
            try:
                await self._neighbours.call("rag__jobs", {})
            except HomeportError as error:
                if error.code not in {"unavailable", "not_found"} or attempt == TRIES - 1:
                    raise
                await anyio.sleep(1)
            else:
                return

    def _files(self, paths: list[str], *, named: bool) -> tuple[Files, int]:
        """Return the files at and below `paths` that the knowledge base can read, and how many others there are.

        Files that somebody has `named` are returned in any case.
        """
        files: Files = {}
        skipped = 0
        for path in paths:
            with explained(path), self._workspace.roots.find(path) as spot:
                status = spot.status()
                if not spot.is_folder() and status is not None:
                    if named or supported(spot.name):
                        files[spot.place] = status
                    else:
                        skipped += 1
                    continue
                for entry in walk(spot.enter(), spot.place, check=check_cancelled, skip=passed_over):
                    if entry.kind == "file" and supported(entry.place.name):
                        files[entry.place] = entry.status
                    else:
                        skipped += entry.kind == "file"
        if len(files) > MOST_FILES:
            raise HomeportError(
                "too_large", f"There are {len(files)} files in all.", f"Up to {MOST_FILES} at a time work."
            )
        return files, skipped

    def _path(self, place: Place) -> Path:
        root = next(root for root in self._workspace.roots if root.name == place.root)
        return root.folder.joinpath(*place.parts)

    def _uri(self, place: Place) -> str:
        return self._path(place).as_uri()

    def _place_at(self, uri: str) -> Place | None:
        """Return the place of a `file:` URI; None when it is below no root."""
        if not uri.startswith("file:"):
            return None
        path = path_of_uri(uri)
        for root in self._workspace.roots:
            if path.is_relative_to(root.folder):
                return Place(root.name, path.relative_to(root.folder).parts)
        return None


def _inside(place: Place, folder: Place) -> bool:
    return place.root == folder.root and place.parts[: len(folder.parts)] == folder.parts


def _moved(place: Place, target: Place, source: Place) -> Place:
    """Return where `place`, now at or below `target`, was before `source` moved there."""
    return Place(source.root, (*source.parts, *place.parts[len(target.parts) :]))
