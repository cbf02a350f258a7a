"""HTML by selectolax (Lexbor): the words in their blocks, without scripts, styles and tags."""

from __future__ import annotations

import codecs
import re
from typing import Any

from homeport_shared.documents.decoding import decode
from homeport_shared.documents.model import Writer, row

_DROPPED = ["script", "style", "noscript", "template", "iframe", "object", "svg", "head", "select", "textarea"]
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "main", "nav", "p",
    "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
}  # fmt: skip
_WHOLE = {"h1", "h2", "h3", "h4", "h5", "h6", "pre", "ul", "ol"}
# What pages mean by these names, which are older and smaller sets. Source: the Encoding standard of WHATWG.
_AS_BROWSERS = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252", "shift_jis": "cp932",
    "sjis": "cp932", "euc-kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030", "iso-8859-9": "cp1254",
}  # fmt: skip
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.I)


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from a page in the encoding that it states, or else the one that is found."""
    text, encoding = decode_page(data, writer.name)
    writer.metadata["encoding"] = encoding
    add_html(text, writer)


def add_html(text: str, writer: Writer) -> None:
    """Add the blocks of HTML to `writer`."""
    from selectolax.lexbor import LexborHTMLParser

    tree: Any = LexborHTMLParser(text)
    title = tree.css_first("title")
    if title is not None and not writer.title:
        writer.title = title.text()
    tree.strip_tags(_DROPPED)
    if tree.body is not None:
        _walk(tree.body, writer)


def decode_page(data: bytes, name: str, stated: str = "") -> tuple[str, str]:
    """Return the text of a page and its encoding: by its mark, else what was stated and fits, else what is found.

    Args:
        data: The page.
        name: What to call it in an error.
        stated: What came with it, such as the `charset` of an HTTP header; goes before what the page says itself.

    Raises:
        HomeportError: `unsupported`, when it is no text; `damaged`, when it breaks the encoding its mark promises.
    """
    if not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        own = _CHARSET.search(data[:2048])
        for label in filter(None, (stated, own[1].decode("ascii") if own else "")):
            try:
                codec = codecs.lookup(_AS_BROWSERS.get(label.lower(), label)).name
                return data.decode(codec), codec
            except (LookupError, UnicodeError):
                pass
    decoded = decode(data, name)
    return decoded.text, decoded.encoding


def _walk(body: Any, writer: Writer) -> None:
    """Visit the tree without recursion, as pages nest deeper than Python's stack."""
    inline: list[str] = []

    def flush() -> None:
        writer.add(_spaced("".join(inline)))
        inline.clear()

    node = body.child
    while node is not None:
        tag: str = node.tag
        whole = tag in _WHOLE or (tag == "table" and not _is_layout(node))
        if whole:
            flush()
            _add_whole(node, tag, writer)
        elif tag in _BLOCKS:
            flush()
        elif tag == "-text":
            inline.append(re.sub(r"\s+", " ", node.text_content or ""))
        elif tag == "br":
            inline.append("\n")
        node = _following(node, body, flush, enter=not whole)
    flush()


def _following(node: Any, top: Any, leave_block: Any, *, enter: bool) -> Any:
    """Return the next node in reading order; call `leave_block` for each block element that ends before it."""
    if enter and node.child is not None:
        return node.child
    while node.next is None:
        node = node.parent
        if node is None or node.mem_id == top.mem_id:
            return None
        if node.tag in _BLOCKS:
            leave_block()
    return node.next


def _is_layout(table: Any) -> bool:
    return any(child.css_first("table") is not None for child in table.iter())


def _add_whole(node: Any, tag: str, writer: Writer) -> None:
    if tag[0] == "h":
        writer.add(node.text(separator=" "), "heading", level=int(tag[1]))
    elif tag == "pre":
        writer.add(node.text(), "code")
    elif tag == "table":
        rows = [row([cell.text(separator=" ") for cell in r.css("td, th")]) for r in node.css("tr")]
        writer.add("\n".join(line for line in rows if line), "table")
    else:
        items = (" ".join(item.text(separator=" ").split()) for item in node.iter(include_text=True))
        writer.add("\n".join(f"- {item}" for item in items if item), "list")


def _spaced(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))
