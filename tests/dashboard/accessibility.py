"""The accessibility rules that every page passes, checked by axe in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "shared" / "web" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark", "contrast")
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast"]}  # what a theme can break
CHOOSE = "theme => document.dispatchEvent(new CustomEvent('homeport:theme', { detail: theme }))"
CHOSEN = "theme => document.documentElement.dataset.theme === theme"
RUN = """async runOnly => (await axe.run(document, { iframes: false, runOnly })).violations
    .map(rule => [rule.id, rule.nodes.map(node => node.html.slice(0, 160))])"""


def sound(page: Page) -> None:
    """No theme has an accessibility problem, neither on the page nor in the view that it shows."""
    page.emulate_media(reduced_motion="reduce")  # a colour on its way to another one has no contrast
    rules = AXE.read_text("utf-8")
    for frame in page.frames:
        frame.evaluate(rules)
    for theme in THEMES:
        page.evaluate(CHOOSE, theme)
        for frame in page.frames:
            frame.wait_for_function(CHOSEN, arg=theme)
            broken = frame.evaluate(RUN, RULES if theme == THEMES[0] else COLOURS)
            assert not broken, (theme, frame.url, broken)
