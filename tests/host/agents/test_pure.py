"""The parts of an agent that need no model: definitions, tools, citations, the window, tool search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_host.agents.answers import looks_like_a_call
from homeport_host.agents.citations import Sources, passages_of, without_marks
from homeport_host.agents.definition import DEFAULT, AgentFolder, parse
from homeport_host.agents.toolbox import Toolbox, tokens_of
from homeport_host.agents.window import DROPPED, fit, message_tokens, window_of
from homeport_host.gateway.search import ToolIndex, words
from homeport_host.governance.calls import Tool
from homeport_host.providers.protocol import Message
from homeport_shared.errors import HomeportError


def tool(name: str, description: str = "", **properties: Any) -> Tool:
    server, _, own = name.partition("__")
    schema = {"type": "object", "properties": properties}
    definition = {"name": own, "description": description, "inputSchema": schema}
    return Tool(name, server, own, definition, frozenset())


def test_the_built_in_assistant_is_there_until_a_file_replaces_it(tmp_path: Path) -> None:
    agents = AgentFolder(tmp_path)
    assert "rag__search" in agents.get().instructions
    agents.save(DEFAULT, "Be brief.")
    assert agents.get().instructions == "Be brief."
    assert agents.names() == [DEFAULT]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("---\nlimits: {turns: 0}\n---\n", "limits.turns"),
        ("---\nmodle: x\n---\n", "modle"),
        ("---\n- a\n---\n", "no list of fields"),
        ("---\na: [\n---\n", "does not parse"),
        ("---\npinned: [a, b, c, d, e, f, g]\n---\n", "pinned"),
    ],
)
def test_a_wrong_definition_is_refused_naming_the_field(text: str, problem: str) -> None:
    with pytest.raises(HomeportError, match=problem):
        parse(text, "clerk")


@pytest.mark.parametrize("name", ["../secret", "", "A", "a/b", "x" * 65])
def test_no_name_leaves_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(HomeportError):
        AgentFolder(tmp_path).save(name, "text")


@given(st.text(max_size=300))
def test_any_text_is_an_agent_or_refused_in_plain_words(text: str) -> None:
    try:
        parse(text, "any")
    except HomeportError as error:
        assert error.code == "invalid"


def test_an_agents_model_is_changed_and_the_rest_of_its_file_stays(tmp_path: Path) -> None:
    agents = AgentFolder(tmp_path)
    agents.save("clerk", "---\n# by hand\ntitle: Clerk\nmodel: ollama/old\n---\nBe kind.\n")
    assert agents.choose_model("clerk", "ollama/new").model == "ollama/new"
    assert "# by hand" in agents.markdown("clerk")
    assert agents.get("clerk").instructions == "Be kind."


@pytest.mark.parametrize(
    "text", ['Here is JSON as you asked: {"name": "Ada"}', '{"name": "Ada", "age": 36}', "[1, 2]", "I called nobody."]
)
def test_an_answer_that_holds_json_is_no_tool_call(text: str) -> None:
    assert not looks_like_a_call(text, {"files__read"})


def test_passages_keep_their_number_and_place() -> None:
    read = {"structuredContent": {"uri": "files://a.txt", "text": "hello", "line": 10, "end_line": 18}}
    (passage,) = passages_of(read)
    assert passage.place == "lines 10–18"
    sources = Sources()
    assert sources.shown([passage, passage]).count("[1] a.txt, lines 10–18") == 2


@given(st.text(alphabet="ab [](),.123", max_size=80))
def test_no_mark_survives_that_refers_to_nothing(answer: str) -> None:
    sources = Sources()
    sources.shown(passages_of({"structuredContent": {"uri": "files://a", "text": "x"}}))
    text, citations, _ = sources.cite(answer)
    assert sources.cite(text)[2] == []
    assert all(citation["n"] == 1 for citation in citations)


def test_brackets_stay_when_nothing_was_read_and_marks_go_from_history() -> None:
    assert Sources().cite("See item [3].")[0] == "See item [3]."
    assert without_marks("It is so [1], [2, 3].") == "It is so,."


def test_few_tools_are_all_shown_and_a_long_result_is_cut_with_a_hint() -> None:
    box = Toolbox([tool("files__read", "Read.", path={"type": "string"})], window=8192)
    assert [spec.name for spec in box.specs()] == ["files__read"]
    assert box.overview() == ""
    assert "Ask for a smaller part" in box.result_text("x" * 100_000)


def test_many_tools_cost_little_and_found_ones_make_room_for_new_ones() -> None:
    fields = {f"field_{n}": {"type": "string", "description": "x" * 60} for n in range(8)}
    tools = [tool(f"shop__order_{n}", "Order things. " * 9, **fields) for n in range(100)]
    box = Toolbox(tools, window=8192, pinned=("shop__order_1",))
    full = sum(tokens_of(str(each.definition)) for each in tools)
    box.add(f"shop__order_{n}" for n in range(40))
    assert box.tokens() <= 0.15 * full
    names = [spec.name for spec in box.specs()]
    assert names[:2] == ["search_tools", "shop__order_1"]
    assert "shop__order_39" in names
    assert "shop__order_2" not in names


def test_the_window_drops_old_turns_whole_then_old_results_never_the_question() -> None:
    old = [Message("user", "a" * 400), Message("assistant", "b" * 400), Message("user", "c"), Message("assistant", "d")]
    now = [Message("user", "question"), Message("tool", "r" * 800, tool="t"), Message("tool", "s" * 100, tool="t")]
    messages, left_out = fit(old, now, 120)
    assert left_out == 2
    assert [m.content for m in messages] == ["c", "d", "question", DROPPED, "s" * 100]
    with pytest.raises(HomeportError, match="context has room"):
        fit([], [Message("user", "q" * 1000)], 100)


@given(st.lists(st.sampled_from(["user", "assistant", "tool"]), max_size=12), st.integers(60, 400))
def test_what_fits_never_costs_more_than_the_room(roles: list[Any], room: int) -> None:
    since = [Message("user", "question"), *(Message(role, "x" * 100, tool="t") for role in roles if role == "tool")]
    before = [Message(role, "y" * 50) for role in roles if role != "tool"]
    try:
        messages, _ = fit(before, since, room)
    except HomeportError:
        return
    assert sum(map(message_tokens, messages)) <= room
    assert Message("user", "question") in messages


def test_local_models_get_a_small_window_and_none_gets_more_than_it_takes() -> None:
    assert window_of(0, longest=131_072, local=True) == 8_192
    assert window_of(0, longest=131_072, local=False) == 131_072
    assert window_of(100_000, longest=32_768, local=False) == 32_768


def test_tools_are_found_by_what_they_do_and_by_their_parameters() -> None:
    index = ToolIndex(
        (each.name, each.definition)
        for each in (
            tool("files__read", "Read a file.", path={}),
            tool("mail__send", "Send a message.", recipient={}),
            tool("weather__forecast", "Tomorrow's weather.", city={}),
        )
    )
    assert index.search("reading files")[0] == "files__read"
    assert index.search("who is the recipient?") == ["mail__send"]
    assert index.search("zebra") == []
    assert ToolIndex(()).search("anything") == []


def test_names_in_any_style_have_the_same_words() -> None:
    assert words("readFile") == words("read_file") == words("reading files")
