"""Contestant: the loop that a skilled user writes. Arguments as for `run_rayanim`.

It keeps the figure, blits where that gives the same pixels as a full draw, and
hands frames to x264 in this process with rayanim's own settings for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import av
import drawings
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg

Pixels = npt.NDArray[np.uint8]


def figure_frames(drawing: drawings.Drawing, count: int) -> Iterator[Pixels]:
    """Frames of a figure that is kept; blitted where the drawing says what moves."""
    figure = drawing.setup()
    canvas = FigureCanvasAgg(figure)
    for artist in drawing.moving:
        artist.set_animated(True)
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for number in range(count):
        drawing.update(number, number / count)
        if drawing.moving:
            canvas.restore_region(background)
            for artist in drawing.moving:
                figure.draw_artist(artist)
        else:
            canvas.draw()
        yield np.asarray(canvas.buffer_rgba())


def frames_of(case: str, count: int) -> Iterator[Pixels]:
    """The frames of a case."""
    shares = (number / count for number in range(count))
    if case == "square":
        return (np.asarray(drawings.image_of_square(share)) for share in shares)
    if case == "sweep":
        return (
            np.frombuffer(drawings.rgba_of_new_sweep(share), np.uint8).reshape(1080, 1920, 4)
            for share in shares
        )
    kinds = {"wave": drawings.Wave, "panels": drawings.Panels, "sweep_kept": drawings.Sweep}
    return figure_frames(kinds[case](), count)


X264 = {
    "crf": "24.4",
    "preset": "medium",
    "bf": "5",
    "direct-pred": "auto",
    "psy": "0",
    "aq-strength": "0.5",
    "x264-params": "chroma-qp-offset=-2",
}
"""rayanim's defaults."""


def write(frames: Iterator[Pixels], output: str) -> None:
    """Encode `frames` as they come."""
    with av.open(output, "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=drawings.FPS)
        stream.pix_fmt = "yuv420p"
        stream.options = X264
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode())


if __name__ == "__main__":
    case, frames, output, _ = sys.argv[1:]
    mpl.use("agg")
    write(frames_of(case, int(frames)), output)
