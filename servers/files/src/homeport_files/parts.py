"""What the files server is made of, put together once."""

from __future__ import annotations

from functools import partial

from homeport_files import cleaning, knowledge, questions, syncing, uploads
from homeport_files.attaching import Attacher
from homeport_files.backups import Backups
from homeport_files.browsing import Browser
from homeport_files.changes import Changes
from homeport_files.cleaning import Cleaner
from homeport_files.knowledge import Knowledge
from homeport_files.layouts import Layouts
from homeport_files.lookup import Lookup
from homeport_files.packing import Packer
from homeport_files.previews import Previewer
from homeport_files.questions import Questions
from homeport_files.store import Version
from homeport_files.syncing import Syncer
from homeport_files.uploads import Uploads
from homeport_files.versions import Versions
from homeport_files.workspace import Workspace
from homeport_shared.context import ServerContext
from homeport_shared.jobs import Jobs


class Parts:
    """The workspace and everything that works on it; its background work runs as long as the context.

    Args:
        context: What the server was given.
    """

    def __init__(self, context: ServerContext) -> None:
        self.context = context
        self.workspace = Workspace(context)
        self.lookup = Lookup(self.workspace)
        self.changes = Changes(self.workspace)
        self.browser = Browser(self.workspace, context.clock)
        self.previewer = Previewer(self.workspace)
        self.layouts = Layouts(context.folder)
        self.packer = Packer(self.workspace)
        self.backups = Backups(self.workspace)
        self.versions = Versions(self.workspace)
        self.knowledge = Knowledge(self.workspace)
        self.attacher = Attacher(self.workspace)
        self.questions = Questions(self.workspace)
        self.uploads = Uploads(self.workspace, self.changes, self.knowledge)
        self.cleaner = Cleaner(self.workspace, self.changes)
        self.syncer = Syncer(self.workspace, self.changes, self.knowledge.heard)
        self.jobs = Jobs(
            context,
            {
                knowledge.KIND: self.knowledge.run,
                uploads.KIND: self.uploads.run,
                cleaning.KIND: self.cleaner.run,
                questions.KIND: self.questions.run,
                syncing.KIND: self.syncer.run,
            },
            address="files://jobs/",
        )
        self.changes.on_change.append(self._changed)
        self.changes.on_folder += [
            partial(heard, "created") for heard in (self.browser.heard, self.lookup.indexer.heard)
        ]
        self.workspace.outside.on_change += [self.browser.heard, self.lookup.indexer.heard, self.knowledge.heard]
        for work in (self.knowledge.follow, self.cleaner.schedule, self.syncer.schedule):
            context.tasks.start_soon(partial(work, self.jobs))
        context.tasks.start_soon(self.versions.schedule)

    async def _changed(self, version: Version) -> None:
        await self.browser.heard(version.kind, version.place, version.came_from)
        await self.lookup.indexer.heard(version.kind, version.place, version.came_from)
        await self.knowledge.heard(version.kind, version.place, version.came_from)
