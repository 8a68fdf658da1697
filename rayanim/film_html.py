"""Shows a finished film in a notebook's page."""

from __future__ import annotations

import base64
import html
import mimetypes
import os
from pathlib import Path
from urllib.parse import quote

from rayanim.storage.address import Address

LARGEST_EMBEDDED_BYTES = 20 * 2**20
"""Films from this size on are linked from a notebook, not stored in it."""

WIDEST_PX = 960

# What browsers play, by suffix. They play a .mov that holds H.264 if it is
# called MP4; they play no .mkv.
FILM_TYPES = {".mp4": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}


def film_html(output: Address, width_px: int) -> str:
    """The film inside the page if it is small, else by its path; a link if nothing plays it.

    Parameters
    ----------
    output
        Where the film is.
    width_px
        Its width.
    """
    if not isinstance(output, Path):
        return f"<div>{safe(str(output))}</div>"
    link = f'<a href="{safe(_relative_url(output))}">{safe(output.name)}</a>'
    suffix = output.suffix.lower()
    try:
        kind = FILM_TYPES.get(suffix) or _image_type(suffix)
        if kind is None:
            return f"<div>{link}</div>" if output.exists() else ""
        address = _address(output, kind)
    except OSError:  # never written (a dry run), or moved since
        return ""
    width_px = min(width_px, WIDEST_PX)
    if kind.startswith("image/"):
        return f'<img src="{safe(address)}" width="{width_px}" style="max-width: 100%">'
    return (
        f'<video controls loop width="{width_px}" style="max-width: 100%" '
        f'src="{safe(address)}">{link}</video>'
    )


def safe(text: str) -> str:
    """`text` without anything that HTML reads as its own."""
    return html.escape(text, quote=True)


def _address(path: Path, kind: str) -> str:
    """A data URI for a small file, a relative URL for a large one."""
    if path.stat().st_size >= LARGEST_EMBEDDED_BYTES:
        return _relative_url(path)
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _relative_url(path: Path) -> str:
    """The path from the working folder, which in a notebook is the notebook's, as a URL."""
    try:
        relative = Path(os.path.relpath(path))
    except ValueError:  # another drive
        relative = path
    return quote(relative.as_posix())


def _image_type(suffix: str) -> str | None:
    kind = mimetypes.types_map.get(suffix)
    return kind if kind is not None and kind.startswith("image/") else None
