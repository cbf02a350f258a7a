"""The policy table, cell by cell, and what wins over what."""

from __future__ import annotations

import pytest

from homeport_host.governance.calls import Caller, CallerKind, Effect, Label, Tool, digest
from homeport_host.governance.labels import labels_of
from homeport_host.governance.policy import Row, decide

LABELS: dict[Row, frozenset[Label]] = {
    "read": frozenset({"read-only", "reads-private"}),
    "reversible": frozenset({"can-be-taken-back"}),
    "lasting": frozenset({"can-be-taken-back", "instructs-agents"}),
    "destructive": frozenset({"destructive"}),
    "tainted": frozenset({"outward"}),
}
WANTED: list[tuple[Row, dict[CallerKind, Effect]]] = [
    ("read", {"person": "allow", "chat": "allow", "ask": "allow", "client": "allow", "job": "allow"}),
    ("reversible", {"person": "allow", "chat": "allow", "ask": "allow", "client": "allow", "job": "deny"}),
    ("lasting", {"person": "allow", "chat": "ask", "ask": "ask", "client": "allow", "job": "deny"}),
    ("destructive", {"person": "confirm", "chat": "ask", "ask": "ask", "client": "ask", "job": "deny"}),
    ("tainted", {"person": "confirm", "chat": "ask", "ask": "deny", "client": "ask", "job": "deny"}),
]


def tool(*labels: Label, name: str = "mail__send") -> Tool:
    return Tool(name, name.split("__")[0], name.split("__")[1], {}, frozenset(labels))


@pytest.mark.parametrize(
    ("row", "kind", "effect"), [(row, kind, effect) for row, cells in WANTED for kind, effect in cells.items()]
)
def test_every_cell_of_the_default_table(row: Row, kind: CallerKind, effect: Effect) -> None:
    subject = tool(*LABELS[row])
    decision = decide(Caller(kind, "x"), subject, "d", tainted=row == "tainted", untrusted=row == "lasting")
    assert decision.effect == effect


def test_outward_without_taint_counts_as_destructive() -> None:
    assert decide(Caller("chat", "x"), tool("outward"), "d").policy == "default/destructive/chat"
    assert decide(Caller("chat", "x"), tool("outward", "can-be-taken-back"), "d").effect == "ask"


def test_a_reading_tool_that_reaches_out_is_free_until_the_run_is_tainted() -> None:
    visit = tool("read-only", "outward", "untrusted-content", name="web__visit")
    assert decide(Caller("chat", "x"), visit, "d").effect == "allow"
    assert decide(Caller("chat", "x"), visit, "d", tainted=True).effect == "ask"


def test_ask_without_a_terminal_is_denied_unless_the_tool_was_named() -> None:
    alone = Caller("ask", "cli", interactive=False)
    refused = decide(alone, tool("destructive"), "d")
    assert (refused.effect, "--yes mail__send" in refused.reason) == ("deny", True)
    named = Caller("ask", "cli", interactive=False, approved=("mail__send",))
    assert decide(named, tool("destructive"), "d").effect == "allow"


def test_a_job_needs_the_exact_arguments_for_what_cannot_be_taken_back() -> None:
    wanted = digest("mail__send", {"to": "a@b.c"})
    job = Caller("job", "nightly", approved=(f"mail__send#{wanted}",))
    assert decide(job, tool("destructive"), wanted).effect == "allow"
    assert decide(job, tool("destructive"), digest("mail__send", {"to": "eve@b.c"})).effect == "deny"
    assert decide(Caller("job", "nightly", approved=("mail__send",)), tool("destructive"), wanted).effect == "deny"


def test_a_job_may_make_the_reversible_changes_that_it_names() -> None:
    write = tool("can-be-taken-back", name="files__write")
    assert decide(Caller("job", "nightly", tools=("files__*",)), write, "d").effect == "allow"
    assert decide(Caller("job", "nightly", tools=("rag__*",)), write, "d").effect == "deny"


def test_never_beats_always_and_yes() -> None:
    caller = Caller("ask", "cli", approved=("mail__send",))
    assert decide(caller, tool("destructive"), "d", remembered="never").policy == "never"


def test_what_later_conversations_are_told_is_free_until_the_run_has_read_what_others_wrote() -> None:
    remember = tool("can-be-taken-back", "instructs-agents", name="rag__remember")
    assert decide(Caller("chat", "x"), remember, "d").effect == "allow"
    assert decide(Caller("chat", "x"), remember, "d", untrusted=True, remembered="always").effect == "ask"
    alone = decide(Caller("ask", "x", interactive=False, approved=("rag__remember",)), remember, "d", untrusted=True)
    assert (alone.effect, "--yes" in alone.reason) == ("deny", False)
    assert decide(Caller("chat", "x"), tool("can-be-taken-back"), "d", untrusted=True).effect == "allow"


def test_nothing_said_beforehand_counts_in_a_tainted_run() -> None:
    caller = Caller("chat", "x", approved=("mail__send",))
    assert decide(caller, tool("outward"), "d", tainted=True, remembered="always").effect == "ask"


@pytest.mark.parametrize("kind", ["chat", "ask", "client", "job"])
def test_only_a_person_uses_person_only_tools(kind: CallerKind) -> None:
    approve = tool("read-only", "person-only", name="homeport__decide_approval")
    assert decide(Caller(kind, "x"), approve, "d").policy == "person-only"


def test_what_is_made_for_a_page_is_used_by_persons_by_clients_with_pages_and_by_jobs_saved_with_it() -> None:
    definition = {"_meta": {"ui": {"visibility": ["app"]}, "io.homeport/labels": ["can-be-taken-back"]}}
    labels = labels_of(definition, bundled=True)
    assert labels == {"page-only", "can-be-taken-back"}
    rebuild = tool(*labels, name="rag__rebuild")
    wanted = digest("rag__rebuild", {})
    saved = Caller("job", "nightly", tools=("rag__rebuild",), approved=(f"rag__rebuild#{wanted}",))
    assert decide(saved, rebuild, wanted).effect == "allow"
    assert decide(Caller("person", "page"), rebuild, wanted).effect == "allow"
    for caller in (
        Caller("job", "of an agent", tools=("rag__rebuild",)),
        Caller("job", "nightly", tools=("rag__*",), approved=("rag__rebuild",)),
        Caller("job", "nightly", tools=("files__sync",), approved=(f"files__sync#{wanted}",)),
        Caller("chat", "assistant", approved=(f"rag__rebuild#{wanted}",)),
    ):
        assert decide(caller, rebuild, wanted).policy == "person-only"
    assert decide(Caller("client", "desktop", views=True), rebuild, wanted).effect == "allow"
    assert decide(Caller("client", "desktop"), rebuild, wanted).policy == "person-only"
    assert decide(Caller("chat", "assistant", views=True), rebuild, wanted).policy == "person-only"
    watched = tool("person-only", "page-only", name="files__add_root")
    assert decide(Caller("client", "desktop", views=True), watched, wanted).policy == "person-only"
    job = Caller("job", "nightly", approved=(f"rag__rebuild#{wanted}",))
    assert decide(job, tool("person-only", "page-only", name="rag__rebuild"), wanted).effect == "deny"


@pytest.mark.parametrize(
    ("definition", "labels"),
    [
        ({}, {"destructive", "outward", "untrusted-content"}),
        ({"annotations": {"readOnlyHint": True}}, {"read-only", "outward", "untrusted-content"}),
        (
            {"annotations": {"openWorldHint": False}, "_meta": {"io.homeport/labels": ["can-be-taken-back"]}},
            {"destructive", "untrusted-content"},
        ),
    ],
)
def test_a_third_party_tool_is_not_believed_when_it_calls_itself_harmless(
    definition: dict[str, object], labels: set[str]
) -> None:
    assert labels_of(definition, bundled=False) == labels


def test_our_own_labels_are_believed_and_the_user_overrides_them_all() -> None:
    definition = {"_meta": {"io.homeport/labels": ["can-be-taken-back", "nonsense"]}}
    assert labels_of(definition, bundled=True) == {"can-be-taken-back"}
    assert labels_of({}, bundled=True) == {"destructive"}
    assert labels_of(definition, bundled=True, override=["read-only"]) == {"read-only"}
