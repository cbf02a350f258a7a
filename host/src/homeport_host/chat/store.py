"""Conversations as they are kept: sessions and their messages, each stored before anything follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sqlalchemy import JSON, Boolean, Column, Connection, ForeignKey, Integer, Row, String, Table, delete, or_, select
from sqlalchemy import update as sql_update

from homeport_host.database import Database, metadata
from homeport_shared.errors import HomeportError

MessageState = Literal["running", "done", "failed", "stopped"]

sessions = Table(
    "chat_sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("model", String, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created", String, nullable=False),
    Column("updated", String, nullable=False, index=True),
)
messages = Table(
    "chat_messages",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("session", String, ForeignKey("chat_sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("text", String, nullable=False),
    Column("created", String, nullable=False),
    Column("run_id", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("error", JSON),
    Column("calls", JSON, nullable=False),
    Column("citations", JSON, nullable=False),
    Column("model", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("usage", JSON, nullable=False),
    Column("attachments", JSON, nullable=False),
)

attachments = Table(
    "chat_attachments",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("session", String, ForeignKey("chat_sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("reference", String, nullable=False),
    Column("title", String, nullable=False),
    Column("collection", String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. `agent` and `model` are empty where the defaults are used."""

    id: str
    title: str
    agent: str
    model: str
    archived: bool
    created: str
    updated: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A `system` message tells an error; what it tells is not sent to a model.

    Attributes:
        run_id: Of an answer, or an error: the run that it comes from.
        attachments: Of a user's message: what was attached before it was sent.
    """

    id: str
    session: str
    role: Literal["user", "assistant", "system"]
    text: str
    created: str
    run_id: str = ""
    state: MessageState = "done"
    error: dict[str, str] | None = None
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    citations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    model: str = ""
    provider: str = ""
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    attachments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something attached to a conversation: `reference` is its id in the knowledge base."""

    reference: str
    title: str
    collection: str


_MESSAGE = [messages.c[one.name] for one in fields(Message)]


class ChatStore:
    """Sessions and messages in the host's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_session(
        self, session: Session, copies: Sequence[Message] = (), attached: Sequence[Attachment] = ()
    ) -> None:
        """Store a new session, with the messages and attachments of the one that it is a copy of."""

        def work(connection: Connection) -> None:
            connection.execute(sessions.insert().values(_values(session)))
            for message in copies:
                connection.execute(messages.insert().values(_values(message)))
            for attachment in attached:
                connection.execute(attachments.insert().values(session=session.id, **_values(attachment)))

        await self._database.write(work)

    async def session(self, session: str) -> Session:
        """Return one session.

        Raises:
            HomeportError: `not_found`.
        """
        query = select(sessions).where(sessions.c.id == session)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise HomeportError("not_found", f"There is no chat {session[:64]!r}.", "List the chats.")
        return _session(row)

    async def sessions(
        self, *, archived: bool = False, query: str = "", limit: int = 50, before: tuple[str, str] | None = None
    ) -> list[Session]:
        """Return sessions, the one used last first.

        Args:
            archived: The archived ones instead of the active ones.
            query: Only those whose title or messages contain this text.
            limit: Most to return.
            before: Time of use and id of the last session of the page before.
        """
        wanted = select(sessions).where(sessions.c.archived == archived)
        wanted = wanted.order_by(sessions.c.updated.desc(), sessions.c.id.desc()).limit(limit)
        if query:
            said = select(messages.c.session).where(messages.c.text.icontains(query, autoescape=True))
            wanted = wanted.where(or_(sessions.c.title.icontains(query, autoescape=True), sessions.c.id.in_(said)))
        if before:
            older = sessions.c.updated < before[0]
            wanted = wanted.where(older | ((sessions.c.updated == before[0]) & (sessions.c.id < before[1])))
        return await self._database.read(lambda connection: [_session(row) for row in connection.execute(wanted)])

    async def change(self, session: str, **values: Any) -> None:
        """Change columns of a session."""
        statement = sql_update(sessions).where(sessions.c.id == session).values(values)
        await self._database.write(lambda connection: connection.execute(statement))

    async def delete(self, session: str) -> list[str]:
        """Remove a session and its messages; return the collections of attachments that no session uses any more."""
        used = select(attachments.c.collection)

        def work(connection: Connection) -> list[str]:
            before = connection.scalars(used.where(attachments.c.session == session).distinct()).all()
            connection.execute(delete(sessions).where(sessions.c.id == session))
            kept = set(connection.scalars(used.where(attachments.c.collection.in_(before))))
            return [collection for collection in before if collection not in kept]

        return await self._database.write(work)

    async def add(self, *new: Message, now: str) -> None:
        """Store messages of one session, all or none."""

        def work(connection: Connection) -> None:
            for message in new:
                connection.execute(messages.insert().values(_values(message)))
            connection.execute(sql_update(sessions).where(sessions.c.id == new[0].session).values(updated=now))

        await self._database.write(work)

    async def messages(self, session: str) -> list[Message]:
        """Return the messages of a session, oldest first."""
        query = select(*_MESSAGE).where(messages.c.session == session).order_by(messages.c.seq)
        return await self._database.read(lambda connection: [_message(row) for row in connection.execute(query)])

    async def answer_of(self, run: str) -> Message | None:
        """Return the assistant's message that belongs to a run; None for a run outside of chats."""
        query = select(*_MESSAGE).where(messages.c.run_id == run, messages.c.role == "assistant")
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return _message(row) if row else None

    async def running(self) -> dict[str, str]:
        """Return session → run of the answers that are being written."""
        query = select(messages.c.session, messages.c.run_id).where(messages.c.state == "running")
        return await self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    async def attach(self, session: str, attachment: Attachment) -> None:
        """Add an attachment to a session."""
        statement = attachments.insert().values(session=session, **_values(attachment))
        await self._database.write(lambda connection: connection.execute(statement))

    async def attachments(self, session: str) -> list[Attachment]:
        """Return the attachments of a session, oldest first."""
        columns = (attachments.c.reference, attachments.c.title, attachments.c.collection)
        query = select(*columns).where(attachments.c.session == session).order_by(attachments.c.seq)
        return await self._database.read(lambda connection: [Attachment(*row) for row in connection.execute(query)])

    async def settle(self, message: Message, *, now: str) -> None:
        """Store how a running message ended; nothing happens to one that ended before."""

        def work(connection: Connection) -> None:
            same = (messages.c.id == message.id, messages.c.state == "running")
            connection.execute(sql_update(messages).where(*same).values(_values(message)))
            connection.execute(sql_update(sessions).where(sessions.c.id == message.session).values(updated=now))

        await self._database.write(work)

    async def cut(self, session: str, message: str) -> None:
        """Remove a message and everything after it."""
        first = select(messages.c.seq).where(messages.c.id == message).scalar_subquery()
        statement = delete(messages).where(messages.c.session == session, messages.c.seq >= first)
        await self._database.write(lambda connection: connection.execute(statement))


def _values(item: Session | Message | Attachment) -> dict[str, Any]:
    return {one.name: getattr(item, one.name) for one in fields(item)}


def _session(row: Row[Any]) -> Session:
    return Session(*row)


def _message(row: Row[Any]) -> Message:
    return Message(*row)
