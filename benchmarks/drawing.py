"""Prints how much sooner a frame is drawn incrementally than in full, for figures of several kinds.

Run ``python benchmarks/drawing.py [case ...]``. Frames of the two ways are drawn
by turns, so that a busy machine slows both alike; medians of processor time are compared. Last
come the first frames of figures, on which incremental drawing can gain nothing.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rayanim.figure.canvas import IncrementalCanvas
from rayanim.figure.figure import close_figure

Update = Callable[[float], None]
X = np.linspace(0, 4 * np.pi, 200)
DOTS = X[::4]
FRAMES = 40
FIRSTS = 21
"""First draws of each kind; the figure is made anew for each."""


def drawn_frames(figure: Figure, update: Update, count: int) -> list[np.ndarray]:
    """The first frames of a figure, each (height, width, 4) uint8 RGBA."""
    canvas = IncrementalCanvas(figure)
    frames = []
    for number in range(count):
        update(number)
        canvas.draw()
        frames.append(canvas.pixels.copy())
    return frames


def wave() -> tuple[Figure, Update]:
    """640x480, one line."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axes = figure.subplots()
    (line,) = axes.plot(X, np.cos(X))
    axes.set(ylim=(-1.5, 1.5), xlabel="x", ylabel="y", title="A wave")
    return figure, lambda n: line.set_ydata(np.cos(X + n / 5))


def grid() -> tuple[Figure, Update]:
    """1920x1080, nine axes with a line each."""
    figure = Figure(figsize=(19.2, 10.8), dpi=100)
    lines = [axes.plot(X, np.cos(X))[0] for axes in figure.subplots(3, 3).flat]

    def update(number: int) -> None:
        for place, line in enumerate(lines):
            line.set_ydata(np.cos(X + number / 5 + place))

    return figure, update


def scatter() -> tuple[Figure, Update]:
    """640x480, 50 moving dots under a legend."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axes = figure.subplots()
    dots = axes.scatter(DOTS, np.sin(DOTS), c=DOTS, label="dots")
    axes.set(xlim=(0, 13), ylim=(-1.5, 1.5), title="dots")
    axes.legend(loc="upper right")
    return figure, lambda n: dots.set_offsets(np.column_stack([DOTS, np.sin(DOTS + n / 5)]))


def heat_map() -> tuple[Figure, Update]:
    """640x480, an image of 100x100 with its colour bar."""
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axes = figure.subplots()
    steps = np.linspace(-3, 3, 100)
    image = axes.imshow(np.outer(steps, steps), vmin=-1, vmax=1)
    figure.colorbar(image)
    return figure, lambda n: image.set_data(np.sin(np.outer(steps, steps) + n / 5))


def panels() -> tuple[Figure, Update]:
    """2000x400, five axes, one of them in 3D with a fixed view."""
    from drawings import Panels

    drawing = Panels()
    figure = drawing.setup()
    return figure, lambda n: drawing.update(n, n / 100)


def texts() -> tuple[Figure, Update]:
    """640x480, a line and a text that count."""
    figure, move = wave()
    text = figure.axes[0].text(1, 1.2, "")

    def update(number: int) -> None:
        move(number)
        text.set_text(f"frame {number}")

    return figure, update


def title() -> tuple[Figure, Update]:
    """640x480, a line and a title that counts."""
    figure, move = wave()

    def update(number: int) -> None:
        move(number)
        figure.axes[0].set_title(f"frame {number}")

    return figure, update


def limits() -> tuple[Figure, Update]:
    """640x480, limits that change in every frame."""
    figure, move = wave()

    def update(number: int) -> None:
        move(number)
        figure.axes[0].set_xlim(0, 10 + number / 10)

    return figure, update


CASES: dict[str, tuple[Callable[[], tuple[Figure, Update]], float]] = {
    "wave": (wave, 10),
    "grid": (grid, 20),
    "scatter": (scatter, 8),
    "heat_map": (heat_map, 4),
    "panels": (panels, 3),
    "texts": (texts, 5),
    "title": (title, 5),
    "limits": (limits, 1 / 1.05),
}
"""Each case with the ratio that it should reach."""


def measure(make: Callable[[], tuple[Figure, Update]], frames: int) -> tuple[float, float, str]:
    """Median milliseconds of a full and of an incremental draw, and the frames drawn each way."""
    full_figure, full_update = make()
    parts_figure, parts_update = make()
    full, parts = FigureCanvasAgg(full_figure), IncrementalCanvas(parts_figure)
    full_ms: list[float] = []
    parts_ms: list[float] = []
    for number in range(frames + 10):
        for canvas, update, times_ms in (
            (full, full_update, full_ms),
            (parts, parts_update, parts_ms),
        ):
            update(number)
            start_s = time.process_time()
            canvas.draw()
            times_ms.append((time.process_time() - start_s) * 1e3)
        if not np.array_equal(np.asarray(full.buffer_rgba()), parts.pixels):
            raise RuntimeError(f"draw {number} differs from matplotlib's")
    ways = f"{parts.drawn_incrementally} incremental, {sum(parts.drawn_in_full.values())} in full"
    if make is limits:
        # What is tried now and then counts, too.
        return statistics.fmean(full_ms), statistics.fmean(parts_ms), ways
    return statistics.median(full_ms[10:]), statistics.median(parts_ms[10:]), ways


def first_frames(make: Callable[[], tuple[Figure, Update]]) -> tuple[float, float]:
    """Least milliseconds of a figure's first draw: matplotlib's own, and with what it prepares."""
    kinds = (FigureCanvasAgg, IncrementalCanvas)
    times_ms: dict[type[FigureCanvasAgg], list[float]] = {kind: [] for kind in kinds}
    for number in range(FIRSTS):
        for kind in kinds if number % 2 else reversed(kinds):
            figure, _ = make()
            canvas = kind(figure)
            gc.collect()
            start_s = time.process_time()
            canvas.draw()
            times_ms[kind].append((time.process_time() - start_s) * 1e3)
            close_figure(figure)
    full_ms, parts_ms = times_ms.values()
    return min(full_ms), min(parts_ms)


def print_overheads() -> None:
    """Print what incremental drawing costs where it gains nothing; it should be at most 5 %."""
    for name in ("wave", "grid", "panels"):
        full_ms, parts_ms = first_frames(CASES[name][0])
        print(
            f"first frame of {name:6} full {full_ms:7.2f} ms  incremental {parts_ms:7.2f} ms  "
            f"overhead {100 * (parts_ms / full_ms - 1):4.1f} % (at most 5)"
        )


def main() -> None:
    """Print a line per case, and one per first frame if no case is named."""
    for name in sys.argv[1:] or CASES:
        make, target = CASES[name]
        full_ms, parts_ms, ways = measure(make, FRAMES)
        ratio = full_ms / parts_ms
        print(
            f"{name:9} full {full_ms:7.2f} ms  incremental {parts_ms:6.2f} ms  ratio {ratio:5.1f} "
            f"(at least {target:.3g})  {ways}"
        )
    if not sys.argv[1:]:
        print_overheads()


if __name__ == "__main__":
    main()
