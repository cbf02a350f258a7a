"""Messages between agents that work in the same run: each is delivered once, in the order sent, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Integer, String, Table, delete, func, select, update

from homeport_host.agents.runs import runs
from homeport_host.database import Database, metadata
from homeport_host.providers.protocol import ToolSpec
from homeport_shared.clock import Clock, iso

SEND = "send_message"
LONGEST = 20_000  # characters of one message
run_messages = Table(
    "run_messages",
    metadata,
    Column("run", String, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("key", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("receiver", String, nullable=False),
    Column("text", String, nullable=False),
    Column("sent", String, nullable=False),
    Column("taken", String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message.

    Attributes:
        seq: Counts the messages of a run in the order in which they were sent.
        sender: Name of the step whose agent wrote it.
        receiver: Name of the step that it is for.
        key: The sender's run, and the call in it.
        taken: The receiver's run, and the answer that it was put before; empty = not delivered yet.
    """

    seq: int
    key: str
    sender: str
    receiver: str
    text: str
    sent: str
    taken: str = ""


class Messages:
    """The messages of all runs, in the host's database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send(self, run: str, sender: str, receiver: str, text: str, *, key: str) -> None:
        """Store a message; one with the same key is stored once.

        Args:
            run: The run that both belong to.
            sender: Who writes.
            receiver: Who is to get it.
            text: What it says.
            key: Of the call that sends it.
        """
        m = run_messages
        now = iso(self._clock.now())

        def work(connection: Connection) -> None:
            # One after the other for each run, so that numbers come in the order of the commits.
            connection.execute(select(runs.c.id).where(runs.c.id == run).with_for_update())
            rows = connection.execute(select(m.c.seq, m.c.key).where(m.c.run == run)).all()
            if all(row.key != key for row in rows):
                seq = max((row.seq for row in rows), default=0) + 1
                values = {"run": run, "seq": seq, "key": key, "sender": sender, "receiver": receiver, "sent": now}
                connection.execute(m.insert().values(**values, text=text[:LONGEST], taken=""))

        await self._database.write(work)

    async def take(self, run: str, receiver: str, *, key: str) -> list[Letter]:
        """Return what was not delivered yet, oldest first, and note that it is; the same key gets the same again."""
        m = run_messages
        mine = (m.c.run == run) & (m.c.receiver == receiver)

        def work(connection: Connection) -> list[Letter]:
            if connection.scalar(select(func.count()).where(mine, m.c.taken.in_(("", key)))):
                connection.execute(update(m).where(mine, m.c.taken == "").values(taken=key))
            return _letters(connection, mine & (m.c.taken == key))

        return await self._database.write(work)

    async def give_back(self, run: str, taker: str) -> None:
        """Let what the run `taker` was given be delivered again: its step is done again, by another run."""
        m = run_messages
        taken = m.c.taken.startswith(f"{taker}:", autoescape=True)
        statement = update(m).where(m.c.run == run, taken).values(taken="")
        await self._database.write(lambda connection: connection.execute(statement))

    async def of_run(self, run: str) -> list[Letter]:
        """Return all messages of a run, oldest first."""
        return await self._database.read(lambda connection: _letters(connection, run_messages.c.run == run))

    async def forget(self, ids: Sequence[str]) -> None:
        """Forget the messages of runs."""
        statement = delete(run_messages).where(run_messages.c.run.in_(ids))
        await self._database.write(lambda connection: connection.execute(statement))


def spec(to: Sequence[str]) -> ToolSpec:
    """Return the tool by which a model writes to other steps."""
    return ToolSpec(
        SEND,
        "Send a message to an agent in another step of this workflow. It gets it before its next answer.",
        {
            "type": "object",
            "properties": {"to": {"type": "string", "enum": list(to)}, "text": {"type": "string"}},
            "required": ["to", "text"],
        },
    )


def told(letters: Sequence[Letter]) -> str:
    """Return messages as their receiver's model reads them."""
    return "\n\n".join(f"Message from {letter.sender}:\n{letter.text}" for letter in letters)


def _letters(connection: Connection, wanted: Any) -> list[Letter]:
    m = run_messages
    columns = (m.c.seq, m.c.key, m.c.sender, m.c.receiver, m.c.text, m.c.sent, m.c.taken)
    return [Letter(*row) for row in connection.execute(select(*columns).where(wanted).order_by(m.c.seq))]
