"""What a file is: by its content first, then by its name."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath

from homeport_shared.documents.decoding import is_binary
from homeport_shared.errors import HomeportError

MEDIA_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xlsb": "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    "xls": "application/vnd.ms-excel",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "html": "text/html",
    "eml": "message/rfc822",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "markdown": "text/markdown",
    "json": "application/json",
    "xml": "application/xml",
    "code": "text/plain",
    "text": "text/plain",
}
_CODE = (
    ".py", ".pyi", ".js", ".mjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs",
    ".go", ".rs", ".rb", ".php", ".pl", ".r", ".jl", ".lua", ".swift", ".scala", ".sh", ".bash", ".zsh", ".ps1",
    ".bat", ".sql", ".css", ".scss", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".proto",
    ".tf", ".graphql", ".diff", ".patch", ".cmake", ".gradle", ".vue", ".hs", ".ex", ".erl", ".clj", ".dart", ".m",
    ".f90", ".asm",
)  # fmt: skip
_SUFFIXES = {
    **{f".{kind}": kind for kind in ("pdf", "docx", "pptx", "xlsx", "xlsb", "xls", "ods", "html", "eml", "csv", "tsv")},
    **dict.fromkeys((".docm", ".dotx"), "docx"),
    **dict.fromkeys((".xlsm", ".xltx"), "xlsx"),
    **dict.fromkeys((".pptm", ".ppsx"), "pptx"),
    **dict.fromkeys((".htm", ".xhtml"), "html"),
    **dict.fromkeys((".md", ".markdown", ".mdx"), "markdown"),
    **dict.fromkeys((".txt", ".text", ".log", ".rst", ".adoc", ".tex", ".srt", ".vtt"), "text"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson", ".ipynb"), "json"),
    **dict.fromkeys((".xml", ".xsd", ".xsl", ".svg", ".rss"), "xml"),
    **dict.fromkeys(_CODE, "code"),
}
_BARE_NAMES = {"readme", "license", "copying", "authors", "changelog", "changes", "news", "todo", "notice", "install"}
_BARE_CODE = {"makefile", "dockerfile", "gemfile", "rakefile", "justfile"}

_INSTALLED = {"node_modules", "__pycache__", "site-packages", "venv"}

# First bytes of what people often have and this cannot read: what it is, and what to do.
_FOREIGN = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"{\\rtf", "an RTF document"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound or video file"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML_START = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S)
_MAIL_START = re.compile(
    rb"(?:From \S+ .*\r?\n)?(?:(?:return-path|received|delivered-to|message-id|mime-version|dkim-signature|"
    rb"x-[\w-]+):[^\n]*\n)",
    re.I,
)


def supported(name: str) -> bool:
    """Say whether a file called `name` is worth reading: whether its suffix, or its bare name, promises text."""
    path = PurePath(name)
    return path.suffix.lower() in _SUFFIXES or path.name.lower() in _BARE_NAMES | _BARE_CODE


def passed_over(name: str) -> bool:
    """Say whether what is called `name` stays out when a folder is taken in: hidden, or installed code."""
    return name.startswith(".") or name in _INSTALLED


def promised(name: str) -> str:
    """Return the kind that the name of a file promises; empty when it promises none."""
    path = PurePath(name)
    bare = "code" if path.name.lower() in _BARE_CODE else ""
    return _SUFFIXES.get(path.suffix.lower(), bare)


def kind_of(data: bytes, name: str) -> str:
    """Return the kind of document that `data` is, a key of `MEDIA_TYPES`.

    Raises:
        HomeportError: `unsupported`, for a known kind that cannot be read; `denied`, for an encrypted Office file;
            `damaged`, for a ZIP that does not open.
    """
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_zip(data, name)
    if data.startswith(_OLE):
        return _kind_of_ole(data, name)
    for start, what in _FOREIGN:
        if data.startswith(start):
            raise HomeportError("unsupported", f"{name} is {what}; it has no text that can be read.")
    if _HTML_START.match(data[:4096]):
        return "html"
    named = promised(name)
    if named == "eml" or (not named and _MAIL_START.match(data[:4096])):
        return "eml"
    if named in ("pdf", "docx", "pptx", "xlsx", "xlsb", "xls", "ods"):
        if is_binary(data):
            raise HomeportError("damaged", f"{name} is damaged: it does not begin like a {named.upper()}.", GET_AGAIN)
        return "text"
    return named or "text"


def _kind_of_zip(data: bytes, name: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = set(archive.namelist())
            mimetype = archive.read("mimetype")[:80] if "mimetype" in members else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise HomeportError(
            "damaged", f"{name} is damaged: it begins like a ZIP or Office file but does not open.", GET_AGAIN
        ) from error
    for member, kind in (
        ("word/document.xml", "docx"),
        ("xl/workbook.xml", "xlsx"),
        ("xl/workbook.bin", "xlsb"),
        ("ppt/presentation.xml", "pptx"),
    ):
        if member in members:
            return kind
    if mimetype == MEDIA_TYPES["ods"].encode():
        return "ods"
    what = "an OpenDocument or EPUB file" if mimetype else "a ZIP archive"
    hint = "Save it as DOCX or PDF and use that." if mimetype else "Unpack it and use what is inside."
    raise HomeportError("unsupported", f"{name} is {what}, which cannot be read as a document.", hint)


def _kind_of_ole(data: bytes, name: str) -> str:
    """Look for the names of its streams: a directory of an OLE file holds them in UTF-16."""

    def has(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if has("EncryptedPackage"):
        raise password_needed(name)
    if has("Workbook") or has("Book"):
        return "xls"
    if has("WordDocument") or has("PowerPoint Document"):
        newer = "DOCX" if has("WordDocument") else "PPTX"
        raise HomeportError(
            "unsupported", f"{name} is an Office file in the old format of 1997.", f"Save it as {newer} and use that."
        )
    if has("__substg1.0_"):
        raise HomeportError("unsupported", f"{name} is an Outlook message.", "Save it as EML and use that.")
    raise HomeportError("unsupported", f"{name} is an OLE file of a kind that cannot be read.")


GET_AGAIN = "Open it in its own program to check it, or get it again from its source."


def password_needed(name: str) -> HomeportError:
    """Return the error for a document that only opens with a password."""
    return HomeportError(
        "denied", f"{name} is protected by a password.", "Save a copy without the password and use that."
    )
