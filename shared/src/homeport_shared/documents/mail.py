"""EML by the standard library: who, what and when, then the body; attachments are named, not read."""

from __future__ import annotations

import email
import email.errors
import email.header
from email.message import Message
from typing import cast

from homeport_shared.documents.decoding import decode
from homeport_shared.documents.html import add_html
from homeport_shared.documents.model import Writer, clean
from homeport_shared.documents.plain import paragraphs
from homeport_shared.errors import HomeportError

_SHOWN = ("From", "To", "Cc", "Date")
_DEEPEST = 20


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from a message; `metadata["attachments"]` lists `name`, `media_type` and `size` of each."""
    # The older message class: the newer one parses a header whenever it is read, and raises on malformed ones.
    message = email.message_from_bytes(data)
    writer.title = _header(message, "Subject")
    names = (*_SHOWN, "Message-ID")
    writer.metadata |= {name.lower().replace("-", "_"): value for name in names if (value := _header(message, name))}
    writer.metadata["attachments"] = []
    _add_message(message, writer, 1)


def _add_message(message: Message, writer: Writer, depth: int) -> None:
    writer.add(_header(message, "Subject"), "heading", level=min(depth, 6))
    writer.add("\n".join(f"{name}: {value}" for name in _SHOWN if (value := _header(message, name))))
    _add_part(message, writer, depth)


def _add_part(part: Message, writer: Writer, depth: int) -> None:
    kind = part.get_content_type()
    children = _children(part)
    if depth > _DEEPEST:
        writer.warnings.append(f"{writer.name} holds messages in messages too deep; the innermost were left out.")
    elif kind == "multipart/alternative" and children:
        _add_part(next((child for child in children if _is_plain(child)), children[-1]), writer, depth + 1)
    elif kind.startswith("message/") and children:
        _note_attachment(part, writer)
        for child in children:
            _add_message(child, writer, depth + 1)
    elif children:
        for child in children:
            _add_part(child, writer, depth + 1)
    elif part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
        _note_attachment(part, writer)
    elif kind == "text/html":
        add_html(_text(part, writer), writer)
    else:
        for paragraph in paragraphs(clean(_text(part, writer)).split("\n")):
            writer.add(paragraph.text)


def _children(part: Message) -> list[Message]:
    return cast("list[Message]", part.get_payload()) if part.is_multipart() else []


def _is_plain(part: Message) -> bool:
    return part.get_content_type() == "text/plain" and bool(_content(part).strip())


def _note_attachment(part: Message, writer: Writer) -> None:
    name = part.get_filename()
    content = b"".join(child.as_bytes() for child in _children(part)) or _content(part)
    attachment = {
        "name": _decoded_words(name) if name else "",
        "media_type": part.get_content_type(),
        "size": len(content),
    }
    writer.metadata["attachments"].append(attachment)


def _content(part: Message) -> bytes:
    return cast("bytes | None", part.get_payload(decode=True)) or b""


def _text(part: Message, writer: Writer) -> str:
    """Return the text of a part in the charset that it states, or else the one that is found."""
    content = _content(part)
    try:
        return content.decode(str(part.get_param("charset", "ascii")))
    except (LookupError, UnicodeError, ValueError):
        pass
    try:
        return decode(content).text
    except HomeportError:
        writer.warnings.append(f"A part of {writer.name} calls itself text and is not; it was left out.")
        return ""


def _header(message: Message, name: str) -> str:
    return next((_decoded_words(str(value)) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _decoded_words(value: str) -> str:
    """Return a header as people read it: encoded words decoded, bare bytes in whatever encoding they are."""
    try:
        value = decode(value.encode("utf-8", "surrogateescape")).text
        value = str(email.header.make_header(email.header.decode_header(value)))
    except (HomeportError, LookupError, ValueError, email.errors.MessageError):  # show it as it was sent
        pass
    return " ".join(clean(value).split())
