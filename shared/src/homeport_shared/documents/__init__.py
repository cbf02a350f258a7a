"""Text, structure and metadata out of documents: one `extract` for every format.

| format | recognized by | blocks | `Block.page` |
|---|---|---|---|
| PDF | `%PDF-` | lines of a page; lines that the outline names are headings | page |
| DOCX | ZIP with `word/document.xml` | headings, paragraphs, lists, tables | none |
| XLSX, XLSB, XLS, ODS | ZIP or OLE with a workbook | one table per sheet below its name | sheet |
| PPTX | ZIP with `ppt/presentation.xml` | title, text, tables, notes of each slide | slide |
| HTML | `<!doctype html>`, `<html`, suffix | headings, paragraphs, lists, tables, `pre`; no scripts | none |
| EML | header lines, suffix | subject, sender and receivers, body; attachments are named only | none |
| CSV, TSV | suffix | one table | none |
| Markdown | suffix | headings, paragraphs, lists, tables, code | none |
| source code, JSON, XML, YAML | suffix | code, divided at blank lines before an unindented line | none |
| any other text | decodes as text | paragraphs, divided at blank lines | none |

What is text already keeps its own lines, so `Block.line` is the line of the file. The parsers are native code that
reads untrusted files: call `extract_bytes` through a `workers.Worker` with a memory limit and a timeout.
"""

from homeport_shared.documents.decoding import Decoded, decode
from homeport_shared.documents.detection import passed_over, supported
from homeport_shared.documents.extraction import extract, extract_bytes
from homeport_shared.documents.model import Block, BlockKind, Document

__all__ = [
    "Block",
    "BlockKind",
    "Decoded",
    "Document",
    "decode",
    "extract",
    "extract_bytes",
    "passed_over",
    "supported",
]
