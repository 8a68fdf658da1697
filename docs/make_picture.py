"""Makes the README's moving picture from the video of an example.

``python docs/make_picture.py`` renders `examples/panels.py` and writes ``docs/panels.webp``.
"""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image

from rayanim.overrides import Overrides, overriding

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "panels.py"
PICTURE = ROOT / "docs" / "panels.webp"

SIZE = (512, 288)
EVERY = 3
"""Every third frame is kept: ten a second are smooth enough for a picture."""

FRAMES = "70-219"
"""The time in which the three forecasts diverge."""


def main() -> None:
    """Render the example and shrink its video."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        arguments = {"frames": f"{FRAMES}x{EVERY}", "crf": 10}
        with overriding(Overrides(output=video, arguments=arguments)):
            runpy.run_path(str(EXAMPLE), run_name="__main__")
        first, *others = _shrunk(video)
    first.save(
        PICTURE,
        save_all=True,
        append_images=others,
        duration=1000 * EVERY // 30,
        loop=0,
        quality=30,
        method=6,
    )
    print(f"{PICTURE}: {len(others) + 1} frames, {PICTURE.stat().st_size / 1024:.0f} KiB")


def _shrunk(video: Path) -> Iterator[Image.Image]:
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_image().resize(SIZE, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
