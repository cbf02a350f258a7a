"""Pictures and pages of PDF, made small enough to be shown. Everything here runs in a worker."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from homeport_shared.errors import HomeportError

MOST_PIXELS = 100_000_000
MOST_BYTES = 700_000
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be shown.

    Attributes:
        data: PNG, JPEG or WebP, at most `MOST_BYTES`.
        media_type: Of `data`.
        width: Of the original, in pixels; of a page in points.
        height: The same.
        pages: How many pages or frames the original has.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    pages: int = 1


def picture(data: bytes, name: str, edge: int) -> Picture:
    """Return the picture in `data`, turned as its camera says, none of its sides above `edge` pixels.

    Raises:
        HomeportError: `too_large`, before it is unpacked; `damaged`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the size is checked here, before any pixel is unpacked
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise HomeportError(
                    "too_large",
                    f"{name} has {width:,} × {height:,} pixels, more than are unpacked for a preview.",
                    "Open it in its own program.",
                )
            frames = int(getattr(image, "n_frames", 1))
            image.draft("RGB", (edge, edge))
            image.thumbnail((edge, edge))
            turned = ImageOps.exif_transpose(image)
            return Picture(*_encoded(turned), width, height, frames)
    except HomeportError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise HomeportError("damaged", f"{name} is damaged: it does not open as a picture.") from error


def page(data: bytes, name: str, number: int, edge: int) -> Picture:
    """Return page `number`, from 1, of a PDF, its longer side `edge` pixels.

    Raises:
        HomeportError: `damaged`; `denied`, with a password; `not_found`, when it has fewer pages.
    """
    import pypdfium2

    try:
        document: Any = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise HomeportError("denied", f"{name} is protected by a password.", "Open it in its program.") from error
        raise HomeportError("damaged", f"{name} is damaged: it does not open as a PDF.") from error
    try:
        if not 1 <= number <= len(document):
            raise HomeportError("not_found", f"{name} has {len(document)} pages, not {number}.", "Ask for another.")
        sheet = document[number - 1]
        width, height = sheet.get_size()
        scale = edge / max(width, height, 1.0)
        image = sheet.render(scale=scale).to_pil()
        image.thumbnail((edge, edge))
        return Picture(*_encoded(image), round(width), round(height), len(document))
    except pypdfium2.PdfiumError as error:
        raise HomeportError("damaged", f"Page {number} of {name} is damaged.") from error
    finally:
        document.close()


def _encoded(image: Any) -> tuple[bytes, str]:
    """Return PNG where it is small and JPEG otherwise, smaller and smaller until it fits."""
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    image = image.convert("RGBA" if clear else "RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    if out.tell() <= MOST_BYTES // 4:
        return out.getvalue(), "image/png"
    form = "WEBP" if clear else "JPEG"
    for quality in (85, 60, 30):
        out = io.BytesIO()
        image.save(out, form, quality=quality)
        if out.tell() <= MOST_BYTES:
            return out.getvalue(), f"image/{form.lower()}"
    image.thumbnail((image.width // 2, image.height // 2))
    return _encoded(image)
