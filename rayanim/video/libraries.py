"""Names the builds of PyAV and FFmpeg that are loaded."""

from __future__ import annotations

import av


def library_versions() -> dict[str, str]:
    """PyAV and FFmpeg's libraries with their versions, such as ``{"libavcodec": "62.28.102"}``."""
    found = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    return {"av": av.__version__, **found}
