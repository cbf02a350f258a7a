"""The accessibility rules that every page passes, checked by axe in a real browser."""

from __future__ import annotations

from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES = "['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']"


def sound(page: Page) -> None:
    """No theme has an accessibility problem."""
    page.emulate_media(reduced_motion="reduce")  # a colour on its way to another one has no contrast
    for theme in ("light", "dark", "contrast"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = Axe().run(page, options=f"{{runOnly: {{type: 'tag', values: {RULES}}}}}")
        assert [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found["violations"]] == []
