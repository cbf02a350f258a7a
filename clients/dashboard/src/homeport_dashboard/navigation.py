"""The menu: which pages there are, in three tiers. A page is added, hidden or moved here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Page:
    """One entry of the menu.

    Attributes:
        key: Marks the current page.
        view: Server and launch tool of the `ui://` view that is the page; empty when the dashboard renders it.
    """

    key: str
    title: str
    path: str
    icon: str
    tier: Literal["first", "second", "third"]
    about: str
    view: tuple[str, str] = ("", "")


PAGES = (
    Page("home", "Dashboard", "/", "home", "first", "What runs, what waits, what went wrong"),
    Page("chat", "Chat", "/chat", "chat", "first", "Ask, and see every step of the answer"),
    Page(
        "knowledge",
        "Knowledge",
        "/knowledge",
        "knowledge",
        "first",
        "Documents that answers may cite",
        ("rag", "rag__show_knowledge"),
    ),
    Page(
        "files", "Files", "/files", "files", "second", "Folders that agents may work in", ("files", "files__show_files")
    ),
    Page("tasks", "Tasks", "/tasks", "tasks", "second", "What agents work on, what waits, what has ended"),
    Page(
        "automation",
        "Automation",
        "/automation",
        "automation",
        "second",
        "Jobs that run on time, on events or on demand",
        ("scheduler", "scheduler__show_automation"),
    ),
    Page("workflows", "Workflows", "/workflows", "workflow", "second", "Steps that belong together, again and again"),
    Page("events", "Events", "/events", "events", "third", "What happened, and what it is to start"),
    Page("executions", "Executions", "/executions", "executions", "third", "Everything that agents have done"),
    Page("approvals", "Approvals", "/approvals", "approvals", "third", "Actions that wait for your decision"),
)
TIERS = ("first", "second", "third")


def page(key: str) -> Page:
    """Return the page `key`."""
    return next(page for page in PAGES if page.key == key)
