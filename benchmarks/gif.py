"""Compares rayanim's GIFs with those of ``ani.save("x.gif", writer="pillow")``.

A wave and a heat map, 120 frames of 640x480 each, with the defaults of both. The two
take turns in one process; the medians of the seconds by the clock count. The PSNR
compares the pixels of each file, as Pillow reads them, with those that were drawn.
Ends with an error where a file is larger than 0.75 of Pillow's, has a lower PSNR, or
took more than an eighth of its time.

Run ``python benchmarks/gif.py [ROUNDS]``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import drawing
import numpy as np
from drawing import Update, drawn_frames
from matplotlib.animation import FuncAnimation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

import rayanim

FRAMES = 120
CASES = {"wave": drawing.wave, "heat map": drawing.heat_map}
Make = Callable[[], tuple[Figure, Update]]


def by_pillow(make: Make, path: Path) -> float:
    """Seconds that `Animation.save` takes."""
    figure, update = make()
    FigureCanvasAgg(figure)
    began_s = time.perf_counter()
    animation = FuncAnimation(figure, lambda n: update(n) or (), frames=FRAMES, repeat=False)
    animation.save(path, writer="pillow", fps=30)
    return time.perf_counter() - began_s


def by_rayanim(make: Make, path: Path) -> float:
    """Seconds that rayanim takes."""
    figure, update = make()

    def draw(number: int) -> Figure:
        update(number)
        return figure

    began_s = time.perf_counter()
    rayanim.produce(draw, 30, outfile=path, n_frames=FRAMES, progress=False, cache=False)
    return time.perf_counter() - began_s


def psnr_db(path: Path, drawn: list[np.ndarray]) -> float:
    """Of all frames against those that were drawn."""
    with Image.open(path) as image:
        shown = [np.asarray(each.convert("RGB")) for each in ImageSequence.Iterator(image)]
    errors = [
        np.square(one.astype(float) - other[..., :3]).mean()
        for one, other in zip(shown, drawn, strict=True)
    ]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def main(rounds: int) -> int:
    """Print a line per case; the number of cases that fall short."""
    short = 0
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder, "pillow.gif"), Path(folder, "rayanim.gif")
        for name, make in CASES.items():
            times = [(by_pillow(make, theirs), by_rayanim(make, ours)) for _ in range(rounds)]
            their_s, our_s = (statistics.median(each) for each in zip(*times, strict=True))
            share = os.path.getsize(ours) / os.path.getsize(theirs)
            drawn = drawn_frames(*make(), FRAMES)
            gain_db = psnr_db(ours, drawn) - psnr_db(theirs, drawn)
            print(
                f"{name}: {share:.2f} of the bytes ({os.path.getsize(ours) / 1024:.0f} KiB), "
                f"{gain_db:+.1f} dB, {their_s / our_s:.1f} times as fast "
                f"({our_s:.2f} against {their_s:.2f} s)"
            )
            short += share > 0.75 or gain_db < 0 or their_s < 8 * our_s
    return short


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
