"""What came from an address, read as Markdown. Runs in a worker process: pages are not to be trusted."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from homeport_shared.documents import extract_bytes
from homeport_shared.documents.html import add_html, decode_page
from homeport_shared.documents.model import Writer, clean
from homeport_shared.errors import HomeportError

logger = logging.getLogger(__name__)
_PAGES = {"text/html", "application/xhtml+xml"}
_SUFFIXES = {
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/xml": ".xml",
    "text/xml": ".xml",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
_NO_TEXT = ("image/", "audio/", "video/", "font/")
_LOOKS_LIKE_A_PAGE = re.compile(rb"\s*(?:<!--.{0,1000}?-->\s*)*<(?:!doctype html|html|head|body)\b", re.I | re.S)
FEW = 200  # characters of a page below which the main text that was found is doubted


@dataclass(frozen=True, slots=True)
class Page:
    """A page or document as text.

    Attributes:
        text: Markdown; of a page only its main part, without navigation.
        html: The page as it came, for links, tables and elements; empty for a document.
        author, published, site, language: As the page says; empty where it does not.
        warnings: Sentences about what is missing.
    """

    title: str
    text: str
    media_type: str
    html: str = ""
    author: str = ""
    published: str = ""
    site: str = ""
    language: str = ""
    warnings: list[str] = field(default_factory=list[str])


def read(data: bytes, address: str, media_type: str, charset: str) -> Page:
    """Return what is at `address` as text.

    Args:
        data: The body.
        address: Where it came from, after redirects.
        media_type: What the server calls it; empty where it does not say.
        charset: What the server says of its encoding; empty where it does not.

    Raises:
        HomeportError: `unsupported`, when it holds no text; `damaged`; `denied`, when it is protected by a password.
    """
    if media_type.startswith(_NO_TEXT):
        raise HomeportError("unsupported", f"{address} is {media_type}, not text.", "Visit the page that shows it.")
    if media_type in _PAGES or (media_type in {"", "text/plain"} and _LOOKS_LIKE_A_PAGE.match(data[:4096])):
        return _page(decode_page(data, address, charset)[0], address)
    if charset and media_type.startswith("text/"):
        data, charset = decode_page(data, address, charset)[0].encode("utf-8", "replace"), "utf-8"
    name = _name(address, media_type)
    document = extract_bytes(data, name)
    if document.media_type in _PAGES:
        return _page(decode_page(data, address, charset)[0], address)
    if not document.text.strip() and not document.warnings:
        document.warnings.append(f"{name} holds no text.")
    return Page(
        document.title,
        document.text,
        document.media_type,
        author=str(document.metadata.get("author") or ""),
        warnings=document.warnings,
    )


def _name(address: str, media_type: str) -> str:
    """Return a file name for messages and for the kind, which a suffix tells where the content does not."""
    path = PurePosixPath(unquote(urlsplit(address).path))
    name = clean(path.name)[:100].replace("\n", " ") or urlsplit(address).hostname or "page"
    suffix = _SUFFIXES.get(media_type, "")
    return name if path.suffix or not suffix else name + suffix


def _page(html: str, address: str) -> Page:
    found = _main_text(html, address)
    whole = Writer(address)
    add_html(html, whole)
    visible = whole.finish("text/html")
    warnings: list[str] = []
    text = clean(found.get("text", ""))
    if len(text) < FEW and len(visible.text) > 2 * len(text):
        text = visible.text
    if len(text) < FEW and re.search(r"<script\b", html, re.IGNORECASE):
        warnings.append("The page shows little text without its scripts, which are not run.")
    return Page(
        title=visible.title if visible.title != address else found.get("title", "") or address,
        text=text,
        media_type="text/html",
        html=html,
        author=found.get("author", ""),
        published=found.get("date", ""),
        site=found.get("sitename", ""),
        language=_language(html),
        warnings=warnings + visible.warnings,
    )


def _main_text(html: str, address: str) -> dict[str, str]:
    """Return the main text as Markdown and what the page says of itself, as far as trafilatura finds them."""
    from trafilatura import extract, extract_metadata

    try:
        about: Any = extract_metadata(html, default_url=address)
        text = extract(html, url=address, output_format="markdown", include_comments=False)
    except Exception as error:  # the boundary to the parser: a hostile page makes it raise anything
        logger.info("the main text of %s was not found", address, exc_info=error)
        return {}
    names = ("title", "author", "date", "sitename")
    facts = {name: clean(str(getattr(about, name, "") or ""))[:300] for name in names} if about else {}
    return {**facts, "text": text or ""}


def _language(html: str) -> str:
    found = re.search(r"<html\b[^>]{0,500}?\blang\s*=\s*[\"']?([A-Za-z-]{2,35})", html[:10_000], re.IGNORECASE)
    return found[1] if found else ""
