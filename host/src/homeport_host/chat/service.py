"""Conversations with agents: each answer is a durable run, and the conversation survives whatever happens to it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from homeport_host.agents.citations import without_marks
from homeport_host.agents.runs import Run
from homeport_host.agents.service import Runs
from homeport_host.agents.task import Said
from homeport_host.chat.attach import Attaching, context_of
from homeport_host.chat.live import live
from homeport_host.chat.store import Attachment, ChatStore, Message, MessageState, Session
from homeport_shared import paging
from homeport_shared.changes import ChangeBus
from homeport_shared.clock import Clock, SystemClock, iso
from homeport_shared.errors import HomeportError

LONGEST_TITLE = 80
STATES: dict[str, MessageState] = {"completed": "done", "failed": "failed", "cancelled": "stopped"}


@dataclass(frozen=True, slots=True)
class Sent:
    """What a message started."""

    session_id: str
    message_id: str
    run_id: str


class Chats:
    """The conversations of one host.

    Args:
        store: Where they are kept.
        runs: Answers them.
        attaching: Puts attachments into the knowledge base.
        changes: Told which conversation changed.
    """

    def __init__(
        self, store: ChatStore, runs: Runs, attaching: Attaching, changes: ChangeBus, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._attaching = attaching
        self._runs = runs
        self._changes = changes
        self._clock = clock or SystemClock()

    async def recover(self) -> None:
        """Start what was promised before a crash and not started; to be called once the engine is there."""
        for session, run in (await self._store.running()).items():
            answer = await self._store.answer_of(run)
            try:
                row = await self._runs.get(run)
            except HomeportError:
                row = None
            if answer is None:
                continue
            if row is None:
                error = HomeportError("unavailable", "Homeport stopped before this answer began.", "Press Retry.")
                await self._settle(answer, "failed", error=error.as_dict())
            elif row.state in STATES:
                await self.ended(row)
            await self._told(session)

    async def send(
        self,
        text: str,
        *,
        session: str = "",
        agent: str = "",
        model: str = "",
        attachments: Sequence[str] = (),
    ) -> Sent:
        """Store a message, start its answer and return at once.

        Args:
            text: What the person says.
            session: The conversation; empty = a new one.
            agent: From this message on; empty = as before.
            model: From this message on; empty = as before. The history is kept.
            attachments: References that `attach` returned, shown with the message; all of a conversation's
                attachments are its context anyway.

        Raises:
            HomeportError: `conflict` while an answer is being written; `invalid` for an empty text.
        """
        if not text.strip():
            raise HomeportError("invalid", "The message is empty.", "Write a question.")
        chosen = await self._session(session, text, agent, model)
        history = await self._store.messages(chosen.id)
        _refuse_while_running(history)
        now = self._now()
        known = {item.reference: item for item in await self._store.attachments(chosen.id)}
        shown = [asdict(known[reference]) for reference in attachments if reference in known]
        asked = Message(_id(), chosen.id, "user", text, now, attachments=shown)
        return await self._answer(chosen, [*history, asked], new=asked)

    async def opened(self, session: str, title: str) -> str:
        """Return the id of a conversation; an empty one makes a new one with that title.

        Raises:
            HomeportError: `not_found`.
        """
        return (await self._session(session, title, "", "")).id

    async def attach(
        self, session: str, name: str, *, text: str = "", data: str = "", path: str = ""
    ) -> tuple[str, Attachment]:
        """Attach text or a file to a conversation (empty = a new one); return its id and the attachment.

        Raises:
            HomeportError: `not_found`, `invalid` or `too_large`, or what the knowledge base says.
        """
        chosen = await self._session(session, name, "", "")
        attachment = await self._attaching.attach(chosen.id, name, text=text, data=data, path=path)
        await self._store.attach(chosen.id, attachment)
        await self._told(chosen.id)
        return chosen.id, attachment

    async def regenerate(self, session: str) -> Sent:
        """Answer the last question of a conversation anew; the old answer, or its error, goes.

        Raises:
            HomeportError: `not_found` when nothing was asked yet, `conflict` while an answer is being written.
        """
        chosen = await self._store.session(session)
        history = await self._store.messages(session)
        _refuse_while_running(history)
        last = max((i for i, message in enumerate(history) if message.role == "user"), default=-1)
        if last < 0:
            raise HomeportError("not_found", "Nothing was asked in this chat yet.", "Send a message.")
        if last + 1 < len(history):
            await self._store.cut(session, history[last + 1].id)
        return await self._answer(chosen, history[: last + 1])

    async def stop(self, session: str) -> None:
        """Stop the answer that is being written; what there is of it stays.

        Raises:
            HomeportError: `not_found`.
        """
        await self._store.session(session)
        if run := (await self._store.running()).get(session):
            await self._runs.cancel(run)

    async def get(self, session: str) -> tuple[Session, str, list[Message]]:
        """Return a conversation, the run that is writing in it (or ""), and its messages, live ones as far as they are.

        Raises:
            HomeportError: `not_found`.
        """
        chosen = await self._store.session(session)
        found = await self._store.messages(session)
        running = next((message.run_id for message in found if message.state == "running"), "")
        return chosen, running, [await self._live(m) if m.state == "running" else m for m in found]

    async def list(
        self, *, archived: bool = False, query: str = "", limit: int = 50, cursor: str = ""
    ) -> tuple[list[tuple[Session, str]], str]:
        """Return one page of conversations, each with the run that is writing in it, and the next page's cursor."""
        position = paging.decode(cursor)
        before = (str(position.get("updated", "")), str(position.get("id", ""))) if position else None
        page = await self._store.sessions(archived=archived, query=query, limit=limit + 1, before=before)
        running = await self._store.running()
        more, page = len(page) > limit, page[:limit]
        following = paging.encode({"updated": page[-1].updated, "id": page[-1].id}) if more else ""
        return [(session, running.get(session.id, "")) for session in page], following

    async def update(
        self,
        session: str,
        *,
        title: str | None = None,
        archived: bool | None = None,
        model: str | None = None,
        agent: str | None = None,
    ) -> Session:
        """Rename, archive, or change model or agent from the next message on.

        Raises:
            HomeportError: `not_found`, or `invalid` for an empty title.
        """
        await self._store.session(session)
        if title is not None and not title.strip():
            raise HomeportError("invalid", "A chat needs a title.", "Write one.")
        values = {"title": title and title.strip()[:200], "archived": archived, "model": model, "agent": agent}
        changes = {name: value for name, value in values.items() if value is not None}
        if changes:
            await self._store.change(session, **changes, updated=self._now())
            await self._told(session)
        return await self._store.session(session)

    async def duplicate(self, session: str) -> Session:
        """Return a copy with all messages, to go on in another direction.

        Raises:
            HomeportError: `not_found`, or `conflict` while an answer is being written.
        """
        old, history = await self._store.session(session), await self._store.messages(session)
        _refuse_while_running(history)
        now = self._now()
        new = replace(old, id=_id(), title=f"{old.title} (copy)"[:200], archived=False, created=now, updated=now)
        copies = [replace(message, id=_id(), session=new.id) for message in history]
        await self._store.add_session(new, copies, await self._store.attachments(session))
        await self._told(new.id)
        return new

    async def delete(self, session: str) -> None:
        """Remove a conversation and what was attached to it for good; an answer that is being written is stopped first.

        Raises:
            HomeportError: `not_found`.
        """
        await self.stop(session)
        for collection in await self._store.delete(session):
            await self._attaching.forget(collection)
        await self._told(session)

    async def ended(self, run: Run) -> None:
        """Store the answer of a run that ended; to be registered with the loop and with `Runs`."""
        answer = await self._store.answer_of(run.id)
        if answer is None or answer.state != "running":
            return
        written = await self._live(answer)
        text = run.answer if run.state == "completed" else written.text
        await self._settle(
            replace(written, text=text, citations=run.citations, usage=run.usage), STATES[run.state], error=run.error
        )

    async def _session(self, session: str, text: str, agent: str, model: str) -> Session:
        if not session:
            now = self._now()
            title = " ".join(text.split())
            title = title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"
            new = Session(_id(), title, agent, model, False, now, now)
            await self._store.add_session(new)
            return new
        chosen = await self._store.session(session)
        changes = {name: value for name, value in (("agent", agent), ("model", model)) if value}
        if changes:
            await self._store.change(session, **changes)
        return replace(chosen, **changes)

    async def _answer(self, session: Session, history: list[Message], new: Message | None = None) -> Sent:
        """Store the question and its running answer, then start the run under the answer's id."""
        question = history[-1]
        answer = Message(_id(), session.id, "assistant", "", self._now(), state="running")
        run = self._runs.run_id(answer.id)
        answer = replace(answer, run_id=run)
        await self._store.add(*([new] if new else []), answer, now=self._now())
        await self._told(session.id)
        try:
            await self._runs.start(
                question.text,
                agent=session.agent,
                model=session.model,
                kind="chat",
                history=_said(history[:-1]),
                sources=list({message.run_id for message in history if message.run_id}),
                context=context_of(await self._store.attachments(session.id)),
                session_id=session.id,
                message_id=answer.id,
                idempotency_key=answer.id,
            )
        except HomeportError as error:  # told in the conversation, which stays usable
            await self._settle(answer, "failed", error=error.as_dict())
        return Sent(session.id, answer.id, run)

    async def _settle(self, answer: Message, state: MessageState, *, error: dict[str, str] | None) -> None:
        await self._store.settle(replace(answer, state=state, error=error), now=self._now())
        await self._told(answer.session)

    async def _live(self, message: Message) -> Message:
        """Return a message with what its run has told so far."""
        try:
            events, run = await self._runs.events(message.run_id, limit=100_000)
        except HomeportError:
            return message
        return live(message, events, run.model)

    async def _told(self, session: str) -> None:
        await self._changes.updated("chat://sessions", f"chat://sessions/{session}")

    def _now(self) -> str:
        return iso(self._clock.now())


def _said(history: list[Message]) -> list[Said]:
    """Return what a model is told of a conversation: nothing without text, such as an error, and no marks."""
    return [
        Said(role=message.role, content=without_marks(message.text) if message.role == "assistant" else message.text)
        for message in history
        if message.role != "system" and message.text
    ]


def _refuse_while_running(history: list[Message]) -> None:
    if any(message.state == "running" for message in history):
        raise HomeportError("conflict", "An answer is still being written in this chat.", "Wait for it, or stop it.")


def _id() -> str:
    return secrets.token_hex(16)
