"""Videos that lose nothing after the conversion from RGB, to compare them with drawn pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from matplotlib.animation import MovieWriter
from numpy.typing import NDArray

from rayanim.pixels import to_rgba
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter

Pixels = NDArray[np.uint8]

LOSSLESS: dict[str, Any] = {
    "codec": "h264",
    "crf": 0,
    "pixel_format": "yuv444p",
    "preset": "ultrafast",
    "bitrate": -1,
}
"""Arguments of `produce`: x264 with a crf of 0 keeps every bit, and 4:4:4 every pixel."""


def read_planes(path: str | os.PathLike[str]) -> list[Pixels]:
    """All frames of a lossless video as decoded, each (3, height, width) uint8 YUV."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="yuv444p") for frame in container.decode(video=0)]


def to_planes(rgba: Pixels) -> Pixels:
    """What `rgba`, (height, width, 4) uint8, is in a lossless video."""
    height, width = rgba.shape[:2]
    settings = VideoSettings(crf=0, pixel_format="yuv444p")
    spec = make_spec(".mp4", settings, (width, height), Fraction(30))
    packed = np.empty(spec.frame_bytes, np.uint8)
    FrameConverter(spec).convert(np.ascontiguousarray(rgba), packed)
    return packed.reshape(3, height, width)


def draw_animator(animator: Any, frames: list[tuple[int, Any]], dpi: float | None) -> list[Pixels]:
    """Frames of an Animator by nothing but matplotlib: set up once, updated, drawn in full.

    Parameters
    ----------
    animator
        The user's object.
    frames
        Number and parameters of each frame.
    dpi
        Pixels per inch; None keeps the figure's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = animator.setup()
    if dpi is not None:
        figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    drawn = []
    for number, params in frames:
        animator.update(number, params)
        canvas.draw()
        drawn.append(np.array(canvas.buffer_rgba()))
    return drawn


def draw_generator(generator: Any, numbers: list[int], fps: Fraction | int) -> list[Pixels]:
    """Frames of a frame generator or act by calling it, in order, in this process."""
    generator.start()
    try:
        return [
            to_rgba(
                generator.generate_at(float(1000 * n / Fraction(fps))), generator.frame_size
            ).copy()
            for n in numbers
        ]
    finally:
        generator.finish()


class Grabber(MovieWriter):
    """Keeps the pixels that matplotlib gives its writers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(codec="h264", **options)
        self.frames: list[Pixels] = []

    def _run(self) -> None:
        """No program."""

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        self.fig.set_size_inches(self._w, self._h)
        memory = io.BytesIO()
        self.fig.savefig(memory, format="rgba", dpi=self.dpi, **savefig_kwargs)
        width, height = self.frame_size
        pixels = np.frombuffer(memory.getvalue(), np.uint8)
        self.frames.append(pixels.reshape(height, width, 4))

    def finish(self) -> None:
        """Nothing to write."""


def grabbed(animation: Any, **saved_with: Any) -> list[Pixels]:
    """The frames that `Animation.save` gives."""
    writer = Grabber()
    saved_with.pop("fps", None)
    animation.save("unused", writer=writer, **saved_with)
    return writer.frames


def draw_function(function: Callable[[float], Any], times: list[float]) -> list[Pixels]:
    """Frames of a plain function."""
    return [to_rgba(function(time), None).copy() for time in times]


def assert_same_pixels(video: str | os.PathLike[str], drawn: list[Pixels]) -> None:
    """The lossless `video` holds exactly the frames `drawn`, in this order."""
    decoded = read_planes(video)
    assert len(decoded) == len(drawn)
    for position, (found, rgba) in enumerate(zip(decoded, drawn, strict=True)):
        expected = to_planes(rgba)
        assert found.shape == expected.shape
        differing = int((found != expected).any(axis=0).sum())
        assert differing == 0, f"{differing} pixels of frame {position} of the video differ"
