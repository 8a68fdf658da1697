"""Draws the same video twice, in full and incrementally, and compares every pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rayanim.figure.canvas import IncrementalCanvas

Change = Callable[[Figure], None]
Build = Callable[[], Figure]


def unguarded(figure: Figure) -> IncrementalCanvas:
    """A canvas for `figure` that only draws."""
    canvas = IncrementalCanvas(figure)
    canvas.compares_first = False
    canvas.always_try = True
    return canvas


def assert_same_as_full(build: Build, changes: Sequence[Change]) -> IncrementalCanvas:
    """Fail unless each frame of a video has the pixels of matplotlib's own draw.

    Parameters
    ----------
    build
        Makes the figure; called twice, must make the same one.
    changes
        Applied one by one; a frame is drawn before the first and after each.
        A figure that matplotlib cannot draw must be refused incrementally, too.
    """
    full_figure, incremental_figure = build(), build()
    full, incremental = FigureCanvasAgg(full_figure), unguarded(incremental_figure)
    for number, change in enumerate([_nothing, _nothing, *changes]):
        change(full_figure)
        change(incremental_figure)
        refused = _refusal(full)
        if refused != _refusal(incremental):
            raise AssertionError(
                f"frame {number}: a full draw said {refused!r}, an incremental one another thing"
            )
        if refused:
            continue
        expected = np.asarray(full.buffer_rgba())
        if not np.array_equal(expected, incremental.pixels):
            raise AssertionError(describe(number, expected, incremental.pixels))
    return incremental


def _refusal(canvas: FigureCanvasAgg) -> str:
    """Draw; what matplotlib says to a figure that it cannot draw, or nothing."""
    try:
        canvas.draw()
    except (ValueError, TypeError, RuntimeError, IndexError, ArithmeticError, AttributeError) as e:
        return f"{type(e).__name__}: {e}"
    return ""


def describe(number: int, expected: np.ndarray, got: np.ndarray) -> str:
    """Where two frames differ."""
    if expected.shape != got.shape:
        return f"frame {number}: {got.shape} in place of {expected.shape}"
    rows, columns = np.nonzero((expected != got).any(axis=2))
    return (
        f"frame {number}: {len(rows)} pixels differ, x {columns.min()} to {columns.max()}, "
        f"y {rows.min()} to {rows.max()}"
    )


def _nothing(figure: Figure) -> None:
    pass
