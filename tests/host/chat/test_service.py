"""Conversations: what is sent, what is kept, and what survives."""

from __future__ import annotations

import base64
from typing import Any

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_host.providers.protocol import ModelAnswer, ProviderError
from homeport_shared.errors import HomeportError

pytestmark = pytest.mark.anyio
ATTACHED = ("text", "title", "uri", "collection")
TEXT = {"type": "string"}


async def test_a_message_returns_at_once_and_its_answer_is_stored(staged: Any) -> None:
    release = anyio.Event()

    async def slowly(_: Any) -> ModelAnswer:
        await release.wait()
        return ModelAnswer("Hello.", "stop", provider="test", model="scripted:1")

    async with staged(slowly) as stage:
        sent = await stage.chats.send("Hi there")
        session, running, messages = await stage.chats.get(sent.session_id)
        assert (session.title, running) == ("Hi there", sent.run_id)
        assert [(m.role, m.state) for m in messages] == [("user", "done"), ("assistant", "running")]
        release.set()
        messages = await stage.answered(sent.session_id)
        assert (messages[1].id, messages[1].text, messages[1].model) == (sent.message_id, "Hello.", "scripted:1")


async def test_the_model_is_told_the_whole_conversation(staged: Any) -> None:
    async with staged("Ada [1].", "Your name is Ada.") as stage:
        first = await stage.chats.send("My name is Ada")
        await stage.answered(first.session_id)
        await stage.chats.send("What is my name?", session=first.session_id)
        await stage.answered(first.session_id)
        told = [(m.role, m.content) for m in stage.model.requests[1].messages[1:]]
        assert told == [("user", "My name is Ada"), ("assistant", "Ada."), ("user", "What is my name?")]


async def test_a_conversation_goes_on_after_a_restart_with_its_whole_context(staged: Any) -> None:
    async with staged("Hello Ada.") as stage:
        sent = await stage.chats.send("My name is Ada")
        await stage.answered(sent.session_id)
    async with staged("Ada.") as stage:
        await stage.chats.send("What is my name?", session=sent.session_id)
        messages = await stage.answered(sent.session_id)
        assert [m.text for m in messages] == ["My name is Ada", "Hello Ada.", "What is my name?", "Ada."]
        assert stage.model.requests[0].messages[1].content == "My name is Ada"


async def test_an_answer_that_a_stop_of_the_host_cut_off_is_finished_after_the_restart(staged: Any) -> None:
    asked = anyio.Event()

    async def never(_: Any) -> str:
        asked.set()
        await anyio.sleep_forever()
        return ""

    async with staged(never) as stage:
        sent = await stage.chats.send("Hi")
        with anyio.fail_after(PATIENCE):
            await asked.wait()
    async with staged("Hello.") as stage:
        messages = await stage.answered(sent.session_id)
        assert [(m.text, m.state) for m in messages] == [("Hi", "done"), ("Hello.", "done")]


async def test_an_error_stays_with_its_answer_and_regenerate_tries_again(staged: Any) -> None:
    down = ProviderError("unreachable", "Ollama does not answer.", "Start it.")
    async with staged(down, down, "Hello.") as stage:
        sent = await stage.chats.send("Hi")
        messages = await stage.answered(sent.session_id)
        assert [(m.role, m.state) for m in messages] == [("user", "done"), ("assistant", "failed")]
        assert messages[1].error is not None
        assert (messages[1].error["message"], messages[1].error["hint"]) == ("Ollama does not answer.", "Start it.")
        assert len(stage.model.requests) == 2, "it was tried again by itself"
        await stage.chats.regenerate(sent.session_id)
        messages = await stage.answered(sent.session_id)
        assert [(m.role, m.text) for m in messages] == [("user", "Hi"), ("assistant", "Hello.")]


async def test_without_a_model_the_chat_says_how_to_choose_one_and_stays_usable(staged: Any) -> None:
    async with staged("Hello.") as stage:
        stage.runs._default_model = lambda: ""
        sent = await stage.chats.send("Hi")
        messages = await stage.answered(sent.session_id)
        assert "No model is chosen" in messages[-1].error["message"]
        stage.runs._default_model = lambda: "test/scripted:1"
        await stage.chats.regenerate(sent.session_id)
        assert (await stage.answered(sent.session_id))[-1].text == "Hello."


async def test_stop_keeps_what_was_written(staged: Any) -> None:
    async with staged(ModelAnswer("Half an", "stop"), endless=True) as stage:
        sent = await stage.chats.send("Hi")
        with anyio.fail_after(PATIENCE):
            while not (await stage.chats.get(sent.session_id))[2][1].text:
                await anyio.sleep(0.01)
        await stage.chats.stop(sent.session_id)
        answer = (await stage.answered(sent.session_id))[1]
        assert (answer.text.strip(), answer.state) == ("Half an", "stopped")


async def test_two_messages_at_once_are_refused(staged: Any) -> None:
    async def never(_: Any) -> str:
        await anyio.sleep_forever()
        return ""

    async with staged(never) as stage:
        sent = await stage.chats.send("Hi")
        with pytest.raises(HomeportError, match="still being written"):
            await stage.chats.send("And?", session=sent.session_id)
        await stage.chats.stop(sent.session_id)


async def test_the_model_is_switched_in_the_middle_and_the_history_stays(staged: Any) -> None:
    async with staged("One.", "Two.") as stage:
        sent = await stage.chats.send("First")
        await stage.answered(sent.session_id)
        await stage.chats.update(sent.session_id, model="test/other:2")
        await stage.chats.send("Second", session=sent.session_id)
        await stage.answered(sent.session_id)
        assert [request.model for request in stage.model.requests] == ["scripted:1", "other:2"]
        assert [m.content for m in stage.model.requests[1].messages[1:]] == ["First", "One.", "Second"]


async def test_chats_are_renamed_archived_duplicated_found_and_deleted(staged: Any) -> None:
    async with staged("The moon is far.") as stage:
        sent = await stage.chats.send("How far is the moon?")
        await stage.answered(sent.session_id)
        await stage.chats.update(sent.session_id, title="Moon")
        copy = await stage.chats.duplicate(sent.session_id)
        assert [m.text for m in (await stage.chats.get(copy.id))[2]] == ["How far is the moon?", "The moon is far."]
        await stage.chats.update(copy.id, archived=True)
        active, _ = await stage.chats.list()
        archived, _ = await stage.chats.list(archived=True)
        assert [s.title for s, _ in active] == ["Moon"]
        assert [s.title for s, _ in archived] == ["Moon (copy)"]
        assert [s.id for s, _ in (await stage.chats.list(query="IS FAR"))[0]] == [sent.session_id]
        await stage.chats.delete(sent.session_id)
        with pytest.raises(HomeportError, match="no chat"):
            await stage.chats.get(sent.session_id)


async def test_long_conversations_drop_their_oldest_turns_and_never_the_question(staged: Any) -> None:
    async with staged("word " * 900) as stage:
        first = await stage.chats.send("first " * 900)
        await stage.answered(first.session_id)
        stage.agents.save("assistant", "---\nnum_ctx: 1024\n---\nAnswer.")
        await stage.chats.send("And the second?", session=first.session_id)
        await stage.answered(first.session_id)
        told = stage.model.requests[-1].messages
        assert [m.role for m in told] == ["system", "user"]
        assert told[-1].content == "And the second?"


async def test_an_attachment_goes_into_the_chats_own_collection_and_is_context(staged: Any, desk: Any) -> None:
    added: list[dict[str, str]] = []

    def add(text: str, title: str, uri: str, collection: str) -> dict[str, str]:
        added.append({"text": text, "collection": collection})
        return {"document_id": "d1"}

    desk.add("rag__create_collection", lambda name: {"id": name}, "can-be-taken-back", name=TEXT)
    desk.add("rag__add", add, "can-be-taken-back", text=TEXT, title=TEXT, uri=TEXT, collection=TEXT)
    async with staged("Blue.") as stage:
        data = base64.b64encode(b"The door is blue.").decode()
        session, attachment = await stage.chats.attach("", "door.txt", data=data)
        assert [tool for tool, _ in desk.calls] == ["rag__create_collection", "rag__add"]
        assert added == [{"text": "The door is blue.", "collection": f"chat-{session}"}]
        await stage.chats.send("What colour is it?", session=session, attachments=[attachment.reference])
        messages = await stage.answered(session)
        assert messages[0].attachments[0]["title"] == "door.txt"
        question = stage.model.requests[0].messages[-1].content
        assert f'door.txt (document d1, collection "chat-{session}")' in question
        assert question.endswith("What colour is it?")


async def test_attachments_live_as_long_as_a_chat_uses_them(staged: Any, desk: Any) -> None:
    forgotten: list[str] = []

    def forget(collection: str, confirm: str) -> dict[str, str]:
        assert confirm == collection
        forgotten.append(collection)
        return {}

    desk.add("rag__create_collection", lambda name: {"id": name}, "can-be-taken-back", name=TEXT)
    desk.add("rag__add", lambda **_: {"document_id": "d1"}, "can-be-taken-back", **dict.fromkeys(ATTACHED, TEXT))
    desk.add("rag__delete", forget, "can-be-taken-back", collection=TEXT, confirm=TEXT)
    async with staged("Blue.") as stage:
        first, _ = await stage.chats.attach("", "door.txt", text="The door is blue.")
        copy = await stage.chats.duplicate(first)
        await stage.chats.delete(first)
        assert forgotten == []
        await stage.chats.send("What colour is it?", session=copy.id)
        await stage.answered(copy.id)
        assert "door.txt (document d1" in stage.model.requests[0].messages[-1].content
        await stage.chats.delete(copy.id)
        assert forgotten == [f"chat-{first}"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [({}, "no content"), ({"text": "a", "path": "/b"}, "more than one"), ({"data": "%%%"}, "is not base64")],
)
async def test_an_attachment_without_usable_content_is_refused(
    given: dict[str, str], problem: str, staged: Any
) -> None:
    async with staged("Hello.") as stage:
        with pytest.raises(HomeportError, match=problem):
            await stage.chats.attach("", "x", **given)
