"""Links between pages lead somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from .pages import PAGES, ROOT, anchors_of, links_of


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    dead = []
    for link in links_of(page):
        if link.startswith(("https://", "http://127.0.0.1", "mailto:")):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or not target.is_relative_to(ROOT) or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    assert dead == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, new = set(), {ROOT / "README.md"}
    while new:
        seen |= new
        linked = {
            (page.parent / link.partition("#")[0]).resolve()
            for page in new
            for link in links_of(page)
            if not link.startswith("http")
        }
        new = {page for page in linked if page.suffix == ".md" and page.is_file()} - seen
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in seen] == []
