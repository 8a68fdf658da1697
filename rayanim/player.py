"""A video as HTML for notebooks: it plays, and steps by frames, without a widget."""

from __future__ import annotations

import base64
import functools
import html
import json
import mimetypes
import os
import sys
from pathlib import Path
from urllib.parse import quote

from rayanim.storage.address import Address

LARGEST_EMBEDDED_BYTES = 20 * 2**20
"""Videos from this size on are linked from a notebook, not stored in it."""

WIDEST_PX = 960

VIDEO_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/webm",
}
"""What browsers play, by suffix.

They play a .mov that holds H.264 if it is called MP4. Chromium plays a .mkv that is called WebM,
with H.264, VP9 and AV1.
"""

IMAGE_TYPES = {f".{name}": f"image/{name}" for name in ("apng", "avif", "gif", "webp")}
"""Images that move; not all versions of Python know them."""


class Player:
    """A video that a notebook shows in place of the object: what `rayanim.show` gives."""

    def __init__(self, path: Path, *, embedded: bool = False) -> None:
        self._text = path.name
        # Now: the file may be gone when it is shown.
        self._html = video_html(path, None, embedded=embedded)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._text}>"

    def _repr_html_(self) -> str:
        leave_out_figures()
        return self._html


def media_type(path: Path) -> str | None:
    """The type of what browsers show as a video or an image; None where they do not."""
    suffix = path.suffix.lower()
    kind = (VIDEO_TYPES | IMAGE_TYPES).get(suffix) or mimetypes.types_map.get(suffix, "")
    return kind if kind in VIDEO_TYPES.values() or kind.startswith("image/") else None


def video_html(output: Address, width_px: int | None, *, embedded: bool = False) -> str:
    """The video inside the page if it is small, else by its path; a link if nothing plays it.

    Where `embedded`, it is inside whatever its size, and nothing leads to the file.
    """
    if not isinstance(output, Path):
        return f"<div>{safe(str(output))}</div>"
    link = safe(output.name)
    if not embedded:
        link = f'<a href="{safe(_relative_url(output))}">{link}</a>'
    kind = media_type(output)
    try:
        if kind is None:
            return f"<div>{link}</div>" if output.exists() else ""
        is_inside = embedded or output.stat().st_size < LARGEST_EMBEDDED_BYTES
        address = _data_url(output, kind) if is_inside else _relative_url(output)
    except OSError:  # never written (a dry run), or moved since
        return ""
    if kind.startswith("image/"):
        width = "" if width_px is None else f'width="{min(width_px, WIDEST_PX)}" '
        return f'<img src="{safe(address)}" {width}style="max-width: 100%">'
    own_width_px, times_s = _frames_of(output)
    width_px = min(width_px or own_width_px, WIDEST_PX)
    return (
        f'<video controls loop playsinline width="{width_px}" style="max-width: 100%" '
        f'{_stepping(times_s)}src="{safe(address)}">{link}</video>'
    )


def leave_out_figures() -> None:
    """Have a notebook not show, below the cell, the figures that videos were drawn from."""
    from rayanim.figure.figure import close_figure
    from rayanim.sources import drawn_figures

    matplotlib = sys.modules.get("matplotlib")
    # Other backends show windows or widgets, which are the user's.
    if matplotlib is not None and "inline" in str(matplotlib.get_backend()):
        for figure in list(drawn_figures):
            close_figure(figure)


def safe(text: str) -> str:
    """`text` without anything that HTML reads as its own."""
    return html.escape(text, quote=True)


def _frames_of(path: Path) -> tuple[int, list[float]]:
    """The width, and when each frame begins; no frames where the file cannot be read."""
    from rayanim.errors import EncodeError
    from rayanim.video.formats import frame_times

    try:
        return frame_times(path)
    except EncodeError:
        return WIDEST_PX, []


EVEN_S = 1e-3
"""Times that differ so little are even: WebM rounds them to milliseconds."""


def _stepping(times_s: list[float]) -> str:
    """Attributes of a <video> that make the bar below it."""
    if len(times_s) < 2:
        return ""
    step_s = times_s[-1] / (len(times_s) - 1)
    if all(abs(time_s - number * step_s) < EVEN_S for number, time_s in enumerate(times_s)):
        data = f'data-frames="{len(times_s)}" data-step="{step_s:.9g}"'
    else:
        data = f'data-starts="{json.dumps([round(each, 6) for each in times_s])}"'
    return f'{data} onloadedmetadata="{safe(_script())}" '


@functools.cache
def _script() -> str:
    lines = Path(__file__).with_name("player.js").read_text("utf-8").splitlines()
    return "\n".join(line.strip() for line in lines if not line.startswith("//"))


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _relative_url(path: Path) -> str:
    """The path from the working folder, which in a notebook is the notebook's, as a URL."""
    try:
        relative = Path(os.path.relpath(path))
    except ValueError:  # another drive
        relative = path
    return quote(relative.as_posix())
