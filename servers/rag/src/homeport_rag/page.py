"""The tools of the Knowledge page, which models are not shown: browse, edit, explain, keep up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from homeport_rag.knowledge import Knowledge
from homeport_rag.results.documents import (
    Added,
    Changed,
    Chunks,
    Details,
    DocumentList,
    Named,
    Reviews,
    Upload,
    Uploads,
    Versions,
)
from homeport_rag.results.memories import Memories
from homeport_rag.results.searches import Export, Graph, History, Mode, Reason, SavedList, SimilarList, Suggestions
from homeport_rag.results.upkeep import Cleanup, Ingested, Model, ModelList, Overview, Validation
from homeport_rag.retrieval import Question
from homeport_rag.search import Filters
from homeport_rag.store import documents
from homeport_rag.store.documents import Wanted
from homeport_rag.store.memories import Choice
from homeport_rag.uploads import Options
from homeport_shared.server import Server
from homeport_shared.settings import SettingList
from homeport_shared.tools import APP, APP_DESTROY, APP_WRITE, CREATE, DESTROY, OUTWARD, PERSON, READ, WRITE

Order = Literal["title", "added", "updated", "chunks", "size"]
Splitter = Literal["auto", "recursive", "markdown", "code"]
NOTHING: dict[str, Any] = {}


def add_tools(server: Server, knowledge: Knowledge) -> None:
    """Add them to `server`."""
    _browsing(server, knowledge)
    _editing(server, knowledge)
    _explaining(server, knowledge)
    _searches(server, knowledge)
    _upkeep(server, knowledge)
    _settings(server, knowledge)


def _browsing(server: Server, knowledge: Knowledge) -> None:
    @server.tool(title="Browse documents", annotations=READ, meta=APP)
    async def browse_documents(  # pyright: ignore[reportUnusedFunction]
        collection: str = "",
        text: Annotated[str, Field(description="in title or source")] = "",
        kind: Annotated[str, Field(description="media type or file ending")] = "",
        status: Literal["", "embedded", "pending", "failed"] = "",
        origin: Literal["", "folder", "upload", "email", "text"] = "",
        order: Order = "title",
        falling: bool = False,
        cursor: str = "",
    ) -> DocumentList:
        """List documents, filtered and sorted, 50 a page."""
        wanted = Wanted(collection, text, kind, status, origin, order, falling)
        return await knowledge.library.list(wanted, cursor)

    @server.tool(title="Document", annotations=READ, meta=APP)
    async def show_document(document_id: str) -> Details:  # pyright: ignore[reportUnusedFunction]
        """Show all that is known about a document: also a summary, its headings, how it was read."""
        return await knowledge.store.read(documents.details, document_id)

    @server.tool(title="Chunks", annotations=READ, meta=APP)
    async def list_chunks(document_id: str, text: str = "", after: int = 0) -> Chunks:  # pyright: ignore[reportUnusedFunction]
        """List the chunks that a document was divided into, or those that hold a text, 100 a page."""
        return await knowledge.library.chunks(document_id, text, after)

    @server.tool(title="Versions", annotations=READ, meta=APP)
    async def list_versions(document_id: str) -> Versions:  # pyright: ignore[reportUnusedFunction]
        """List what a document was before it changed."""
        return await knowledge.library.versions(document_id)

    @server.tool(title="Overview", annotations=READ, meta=APP)
    async def overview() -> Overview:  # pyright: ignore[reportUnusedFunction]
        """Show all about the state: collections with settings and models, disk space, search times."""
        return await knowledge.stats()

    @server.tool(title="Memories", annotations=READ, meta=APP)
    async def list_memories(query: str = "", k: Annotated[int, Field(ge=1, le=1000)] = 200) -> Memories:  # pyright: ignore[reportUnusedFunction]
        """List what is remembered with importance and strength, newest first, or nearest to a query."""
        return await knowledge.memory.recall(query, Choice(), k)


def _editing(server: Server, knowledge: Knowledge) -> None:
    @server.tool(title="Edit metadata", annotations=WRITE, meta=APP_WRITE)
    async def edit_metadata(  # pyright: ignore[reportUnusedFunction]
        document_ids: Sequence[str],
        metadata: Annotated[dict[str, Any], Field(description="null removes a key")],
    ) -> Changed:
        """Set or remove metadata; search can filter by it."""
        return await knowledge.library.edit(document_ids, metadata)

    @server.tool(title="Move documents", annotations=WRITE, meta=APP_WRITE)
    async def move_documents(document_ids: Sequence[str], collection: str) -> Changed:  # pyright: ignore[reportUnusedFunction]
        """Move documents to another collection."""
        return await knowledge.library.move(document_ids, collection)

    @server.tool(title="Archive documents", annotations=WRITE, meta=APP_WRITE)
    async def archive_documents(document_ids: Sequence[str], archived: bool = True) -> Changed:  # pyright: ignore[reportUnusedFunction]
        """Take documents out of the search, or back into it."""
        return await knowledge.library.archive(document_ids, archived=archived)

    @server.tool(title="Restore version", annotations=WRITE, meta=APP_WRITE)
    async def restore_version(document_id: str, version: int) -> Added:  # pyright: ignore[reportUnusedFunction]
        """Make an earlier version the current one."""
        return await knowledge.library.restore(document_id, version)

    @server.tool(title="Upload", annotations=WRITE, meta=APP_WRITE)
    async def upload(  # pyright: ignore[reportUnusedFunction]
        files: Sequence[Upload],
        collection: str = "default",
        category: Annotated[str, Field(description="Knowledge, Support, Code or Policy")] = "Knowledge",
        splitter: Splitter | Literal[""] = "",
        chunk_tokens: int = 0,
        overlap_tokens: int | None = None,
        embed: bool = True,
        detect_language: bool = True,
    ) -> Uploads:
        """Take in files that are given as base64, as a job; each that cannot be taken is named with its reason."""
        given = {"splitter": splitter or None, "chunk_tokens": chunk_tokens or None, "overlap_tokens": overlap_tokens}
        changes = {name: value for name, value in given.items() if value is not None}
        options = Options(collection, {"category": category}, changes, embed, detect_language)
        return await knowledge.inbox.take(files, options, knowledge.jobs)

    @server.tool(title="Embed", annotations=WRITE, meta=APP_WRITE)
    async def embed(document_ids: Sequence[str] = ()) -> Changed:  # pyright: ignore[reportUnusedFunction]
        """Embed documents that were uploaded without it; all of them when none is named."""
        return Changed(changed=await knowledge.inbox.embed(document_ids))


def _explaining(server: Server, knowledge: Knowledge) -> None:
    @server.tool(title="Explain a miss", annotations=READ, meta=APP)
    async def why_not(  # pyright: ignore[reportUnusedFunction]
        document_id: str,
        query: str,
        collections: Sequence[str] = (),
        k: Annotated[int, Field(ge=1, le=100)] = 8,
        mode: Mode = "hybrid",
        threshold: Annotated[float, Field(ge=0, le=1)] = 0,
        metadata: dict[str, Any] = NOTHING,
    ) -> Reason:
        """Explain why a search missed something: its rank, its best chunks, what kept it out."""
        question = Question(query, collections, k, mode, threshold, Filters(metadata=metadata))
        return await knowledge.insight.why_not(document_id, question)

    @server.tool(title="Test query", annotations=READ, meta=APP)
    async def test_query(  # pyright: ignore[reportUnusedFunction]
        query: str,
        collections: Sequence[str] = (),
        k: Annotated[int, Field(ge=1, le=100)] = 5,
        mode: Mode = "hybrid",
        metadata: dict[str, Any] = NOTHING,
        rerank: bool = False,
        as_file: bool = False,
    ) -> Export:
        """Search with all parts of the score, with or without the reranker, as JSON."""
        question = Question(query, collections, k, mode, 0.0, Filters(metadata=metadata), rerank=rerank)
        return await knowledge.insight.export("", question)

    @server.tool(title="Similar documents", annotations=READ, meta=APP)
    async def similar_documents(  # pyright: ignore[reportUnusedFunction]
        document_id: str,
        threshold: Annotated[float, Field(ge=0, le=1)] = 0.5,
        k: Annotated[int, Field(ge=1, le=50)] = 10,
    ) -> SimilarList:
        """List the documents nearest in meaning to one."""
        return await knowledge.relations.similar(document_id, threshold, k)

    @server.tool(title="Relations", annotations=READ, meta=APP)
    async def document_graph(  # pyright: ignore[reportUnusedFunction]
        document_id: str,
        threshold: Annotated[float, Field(ge=0, le=1)] = 0.5,
        k: Annotated[int, Field(ge=1, le=50)] = 12,
    ) -> Graph:
        """Return a document, those like it, and which of these are like each other."""
        return await knowledge.relations.graph(document_id, threshold, k)

    @server.tool(title="Export document", annotations=READ, meta=APP)
    async def export_document(document_id: str) -> Export:  # pyright: ignore[reportUnusedFunction]
        """Return a document as Markdown with its metadata."""
        return await knowledge.insight.export(document_id, None)


def _searches(server: Server, knowledge: Knowledge) -> None:
    @server.tool(title="Searches", annotations=READ, meta=APP)
    async def list_queries(  # pyright: ignore[reportUnusedFunction]
        document_id: str = "", limit: Annotated[int, Field(ge=1, le=500)] = 50
    ) -> History:
        """List the latest searches, of those that found a document when one is named."""
        return await knowledge.insight.history(document_id, limit)

    @server.tool(title="Save search", annotations=WRITE, meta=APP_WRITE)
    async def save_query(  # pyright: ignore[reportUnusedFunction]
        name: str,
        query: str,
        collections: Sequence[str] = (),
        k: Annotated[int, Field(ge=1, le=100)] = 8,
        mode: Mode = "hybrid",
        metadata: dict[str, Any] = NOTHING,
        alert: Annotated[bool, Field(description="publish an event when it finds a new document")] = False,
    ) -> Named:
        """Keep a search under a name."""
        question = Question(query, collections, k, mode, 0.0, Filters(metadata=metadata))
        return await knowledge.watchlist.save(name, question, alert=alert)

    @server.tool(title="Saved searches", annotations=READ, meta=APP)
    async def list_saved_queries() -> SavedList:  # pyright: ignore[reportUnusedFunction]
        """List the saved searches."""
        return await knowledge.watchlist.saved()

    @server.tool(title="Saved search seen", annotations=WRITE, meta=APP_WRITE)
    async def see_saved_query(name: str) -> Named:  # pyright: ignore[reportUnusedFunction]
        """Note that a person saw what is new in a saved search."""
        return await knowledge.watchlist.look(name)

    @server.tool(title="Suggest searches", annotations=READ, meta=APP)
    async def suggest(text: str) -> Suggestions:  # pyright: ignore[reportUnusedFunction]
        """Suggest earlier searches and titles of documents for what was typed so far."""
        return await knowledge.insight.suggest(text)

    @server.tool(title="Forget saved search", annotations=DESTROY, meta=APP_DESTROY)
    async def delete_saved_query(name: str) -> Named:  # pyright: ignore[reportUnusedFunction]
        """Forget a saved search."""
        return await knowledge.watchlist.unsave(name)


def _upkeep(server: Server, knowledge: Knowledge) -> None:
    @server.tool(title="Rebuild index", annotations=WRITE, meta=APP_WRITE)
    async def rebuild(document_ids: Sequence[str] = (), collections: Sequence[str] = ()) -> Named:  # pyright: ignore[reportUnusedFunction]
        """Read and embed documents anew as a job: the named ones, all of the named collections, or all."""
        job = await knowledge.rebuild(document_ids, collections)
        return Named(id=job.id, state=job.state)

    @server.tool(title="Auto-ingest", annotations=WRITE, meta=APP_WRITE)
    async def auto_ingest() -> Ingested:  # pyright: ignore[reportUnusedFunction]
        """Take in what changed in the watched folders, and count it; what the job of that name does."""
        return await knowledge.watching.take()

    @server.tool(title="Vacuum", annotations=WRITE, meta=APP_WRITE)
    async def vacuum() -> Named:  # pyright: ignore[reportUnusedFunction]
        """Make the database small and fast again as a job, which counts bytes before and after."""
        job = await knowledge.jobs.start("vacuum", {}, once=True)
        return Named(id=job.id, state=job.state)

    @server.tool(title="Validate", annotations=READ, meta=APP)
    async def validate() -> Validation:  # pyright: ignore[reportUnusedFunction]
        """Check that documents, passages, full-text index, vectors and the FAISS index agree."""
        return await knowledge.upkeep.validate()

    @server.tool(title="Entries for review", annotations=READ, meta=APP)
    async def list_reviews() -> Reviews:  # pyright: ignore[reportUnusedFunction]
        """List the entries that were put aside, each with what does not fit."""
        return await knowledge.entries.waiting()

    @server.tool(title="Decide on an entry", annotations=CREATE, meta=PERSON)
    async def decide_review(review_id: int, accept: bool, changes: dict[str, Any] = NOTHING) -> Added:  # pyright: ignore[reportUnusedFunction]
        """Store an entry that was put aside, as it is or with changes to its fields, or forget it."""
        return await knowledge.entries.decide(review_id, accept=accept, changes=changes)

    @server.tool(title="What could be cleaned up", annotations=READ, meta=APP)
    async def find_cleanup() -> Cleanup:  # pyright: ignore[reportUnusedFunction]
        """Find what is expired, orphaned, duplicate, obsolete, or whose file is gone; nothing is removed."""
        return await knowledge.upkeep.cleanup(())

    @server.tool(title="Clean up", annotations=DESTROY, meta=APP_DESTROY)
    async def cleanup(  # pyright: ignore[reportUnusedFunction]
        remove: Annotated[Sequence[str], Field(description="ids of what find_cleanup found")],
    ) -> Cleanup:
        """Remove what find_cleanup found, and say how much was freed."""
        return await knowledge.upkeep.cleanup(remove)


def _settings(server: Server, knowledge: Knowledge) -> None:
    @server.tool(title="Change collection", annotations=WRITE, meta=APP_WRITE)
    async def change_collection(  # pyright: ignore[reportUnusedFunction]
        name: str,
        splitter: Splitter = "auto",
        chunk_tokens: int = 250,
        overlap_tokens: int = 25,
        embedding_address: str = "",
        embedding_model: str = "",
    ) -> Named:
        """Set how documents of a collection are divided and embedded; a new model embeds them in the background."""
        changes = {
            "splitter": splitter,
            "chunk_tokens": chunk_tokens,
            "overlap_tokens": overlap_tokens,
            "embedding_address": embedding_address,
            "embedding_model": embedding_model,
        }
        return await knowledge.library.change_collection(name, changes)

    @server.tool(title="Settings", annotations=READ, meta=APP)
    async def show_settings() -> SettingList:  # pyright: ignore[reportUnusedFunction]
        """Show every setting with its value, its default and what it means."""
        return knowledge.configuration.show()

    @server.tool(title="Change settings", annotations=CREATE, meta=PERSON)
    async def change_settings(values: dict[str, Any]) -> SettingList:  # pyright: ignore[reportUnusedFunction]
        """Check settings (index folder, model, watched folders) and store them; nothing changes when one is wrong."""
        return await knowledge.configuration.change(values)

    @server.tool(title="Embedding models", annotations=READ, meta=APP)
    async def list_models() -> ModelList:  # pyright: ignore[reportUnusedFunction]
        """List the embedding models in use, each after a question to it."""
        return await knowledge.models()

    @server.tool(title="Test model", annotations=OUTWARD, meta=APP_WRITE)
    async def test_model(address: str = "", model: str = "") -> Model:  # pyright: ignore[reportUnusedFunction]
        """Embed a sample with a model and report dimension and time."""
        return await knowledge.try_model(address, model)
