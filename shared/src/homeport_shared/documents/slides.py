"""PPTX by python-pptx: of each slide its title, texts, tables and notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from homeport_shared.documents import archive
from homeport_shared.documents.model import Writer, row


def read(data: bytes, writer: Writer) -> None:
    """Fill `writer` from a presentation."""
    import pptx

    archive.check(data, writer.name)
    presentation: Any = pptx.Presentation(io.BytesIO(data))
    core = presentation.core_properties
    writer.title = core.title or ""
    if core.author:
        writer.metadata["author"] = core.author
    writer.metadata["slides"] = len(presentation.slides)
    for page, slide in enumerate(presentation.slides, 1):
        title = slide.shapes.title
        heading = title.text_frame.text.strip() if title is not None else ""
        writer.add(heading or f"Slide {page}", "heading", level=2, page=page)
        for shape in _shapes(slide.shapes):
            if title is None or shape.shape_id != title.shape_id:
                _add_shape(shape, page, writer)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            writer.add(slide.notes_slide.notes_text_frame.text, page=page)


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _add_shape(shape: Any, page: int, writer: Writer) -> None:
    if shape.has_text_frame:
        lines = [p.text for p in shape.text_frame.paragraphs if p.text.strip()]
        writer.add("\n".join(lines), "list" if len(lines) > 1 else "paragraph", page=page)
    elif getattr(shape, "has_table", False):
        rows = (row([cell.text for cell in cells.cells]) for cells in shape.table.rows)
        writer.add("\n".join(rows), "table", page=page)
