"""Contestant: matplotlib's ``Animation.save``. Arguments as for `run_rayanim`."""

from __future__ import annotations

import sys

import drawings
import matplotlib as mpl
from matplotlib.animation import FFMpegWriter, FuncAnimation

if __name__ == "__main__":
    case, frames, output, _ = sys.argv[1:]
    mpl.use("agg")
    drawing = drawings.ANIMATED[case]()
    figure = drawing.setup()
    count = int(frames)

    def update(number: int) -> None:
        drawing.update(number, number / count)

    # init_func keeps FuncAnimation from drawing the first frame once more.
    animation = FuncAnimation(
        figure, update, frames=count, init_func=lambda: None, cache_frame_data=False
    )
    animation.save(output, writer=FFMpegWriter(fps=drawings.FPS, codec="libx264"))
