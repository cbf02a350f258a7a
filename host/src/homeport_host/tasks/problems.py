"""What kind of failure ended a task, and what usually helps."""

from __future__ import annotations

from collections.abc import Mapping

# Code of the error → category, and what to try first.
KNOWN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "limit": ("A limit was reached", ("Ask for less at once.", "Raise the limit of the agent or of this task.")),
    "timeout": ("It took too long", ("Run it again.", "Give it more time, or divide it into smaller tasks.")),
    "unavailable": (
        "Something could not be reached",
        (
            "Look at Servers whether all of them are ready.",
            "Look whether the model's provider runs.",
            "Run it again.",
        ),
    ),
    "unsupported": ("The model or tool cannot do this", ("Choose a model that can use tools.", "Ask in other words.")),
    "invalid": ("Something given does not fit", ("Look at the inputs below and correct them.", "Start it as new.")),
    "not_found": ("Something is not there", ("Look whether the file, agent or tool was renamed or deleted.",)),
    "denied": (
        "It was not allowed",
        ("Look at Approvals what was declined.", "Let the agent's file allow the tool, or do it by hand."),
    ),
    "approval_required": ("It needed an approval", ("Run it with somebody there who approves.",)),
    "conflict": ("Something else was in the way", ("Look at the tasks that this one waits for.", "Run it again.")),
    "damaged": ("Stored data is damaged", ("Restore a backup.", "Look at the log of the host.")),
    "cancelled": ("It was stopped", ("Run it again when it is wanted.",)),
}
OTHER = ("A fault of the program", ("Run it again.", "Report it with the reference and the stack trace."))


def category_of(code: str) -> tuple[str, list[str]]:
    """Return the category of an error code in words, and what to try."""
    category, suggestions = KNOWN.get(code, OTHER)
    return category, list(suggestions)
