"""Parts of a page as data: its links, its tables, what a selector chooses. Runs in a worker process."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urldefrag, urljoin

from homeport_shared.documents.model import clean
from homeport_shared.errors import HomeportError

Kind = Literal["links", "tables", "elements"]
MOST_COLUMNS = 100
LONGEST = 2000  # characters of one text


def links(html: str, address: str) -> list[dict[str, str]]:
    """Return `{text, url}` of each address that the page links to, once, in its order.

    Args:
        html: The page.
        address: Where it came from, which relative links start from.
    """
    tree = _parsed(html)
    base_tag = tree.css_first("base[href]")
    base = _joined(address, base_tag.attributes.get("href") or "") if base_tag else address
    found: dict[str, str] = {}
    for node in tree.css("a[href], area[href]"):
        url = urldefrag(_joined(base or address, node.attributes.get("href") or "")).url
        if url.startswith(("http://", "https://")) and url != urldefrag(address).url:
            text = _text(node) or clean(node.attributes.get("title") or "")
            found[url] = found.get(url) or text
    return [{"text": text, "url": url} for url, text in found.items()]


def tables(html: str, address: str) -> list[dict[str, Any]]:
    """Return `{caption, rows}` of each table that holds no other, `rows` as lists of texts."""
    found: list[dict[str, Any]] = []
    for table in _parsed(html).css("table"):
        if len(table.css("table")) > 1:  # itself is among them
            continue
        rows = [[_text(cell) for cell in row.css("th, td")[:MOST_COLUMNS]] for row in table.css("tr")]
        caption = table.css_first("caption")
        if any(any(row) for row in rows):
            found.append({"caption": _text(caption) if caption else "", "rows": [row for row in rows if row]})
    return found


def elements(html: str, address: str, selector: str) -> list[dict[str, Any]]:
    """Return `{tag, text, attributes}` of each element that a CSS selector chooses.

    Raises:
        HomeportError: `invalid`, when it is no CSS selector.
    """
    try:
        chosen = _parsed(html).css(selector)
    except Exception as error:  # the boundary to the parser, which has an exception of its own for each fault
        raise HomeportError("invalid", f"{selector[:200]!r} is no CSS selector.", "Try one like `h2 > a`.") from error
    return [
        {
            "tag": node.tag,
            "text": _text(node),
            "attributes": {name: clean(value or "")[:LONGEST] for name, value in node.attributes.items()},
        }
        for node in chosen
    ]


def _parsed(html: str) -> Any:
    from selectolax.lexbor import LexborHTMLParser

    tree: Any = LexborHTMLParser(html)
    tree.strip_tags(["script", "style", "template"])
    return tree


def _text(node: Any) -> str:
    return clean(" ".join(node.text(separator=" ").split()))[:LONGEST]


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address.strip())
    except ValueError:  # such as half an IPv6 address
        return ""
