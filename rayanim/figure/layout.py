"""Where the axes stand: what a layout engine moves, and what a frame depends on through it.

A frame is drawn from wherever the frame before it left the axes, as in a
serial loop; nothing is put back. ``layout="constrained"`` and its kin place
the axes by what they measure where the axes stood before. So a process that
comes to a frame without the frames before it runs the engine until the axes
rest, which is where they stand in a serial loop too, if the labels stay.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_RUNS = 12
"""Colour bars and axes in 3D come 15 times as close to where they rest with each run, from up to
30 pixels away: after 12 runs nothing is left of that."""

AT_REST = 1e-9
"""A move so small, as a share of the figure, is none: rounding alone moves axes by 1e-16."""

MARGINS = ("left", "right", "bottom", "top", "wspace", "hspace")

Approach = Literal["first", "next", "jump"]
"""How a process comes to a frame: it is the video's first one; in order; or others were skipped."""

_approach: ContextVar[Approach] = ContextVar("rayanim_approach", default="next")


@contextlib.contextmanager
def coming_by(approach: Approach) -> Iterator[None]:
    """Have the figures that are drawn inside begin their layout as `approach` needs it."""
    token = _approach.set(approach)
    try:
        yield
    finally:
        _approach.reset(token)


class LayoutStart:
    """Where the layout of one figure begins with each frame."""

    def __init__(self) -> None:
        self._first: Callable[[], None] | None = None

    def begin(self, figure: Figure) -> None:
        """Bring the axes of `figure` to where its layout engine begins with the frame."""
        approach = _approach.get()
        if approach == "next" or not runs_layout(figure):
            return
        if approach == "jump":
            settle_layout(figure)
        elif self._first is None:
            self._first = noted_layout(figure)
        else:
            self._first()


def runs_layout(figure: Figure) -> bool:
    """Whether a layout engine runs whenever `figure` is drawn."""
    engine = figure.get_layout_engine()
    # What tight_layout() leaves on the figure does nothing.
    idle = sys.modules["matplotlib.layout_engine"].PlaceHolderLayoutEngine
    return engine is not None and not isinstance(engine, idle) and bool(figure.axes)


def settle_layout(figure: Figure) -> None:
    """Run the layout engine of `figure` until the axes rest."""
    before = _corners(figure)
    for _ in range(MOST_RUNS):
        figure.draw_without_rendering()
        after = _corners(figure)
        if after.shape == before.shape and np.abs(after - before).max(initial=0.0) < AT_REST:
            return
        before = after


def noted_layout(figure: Figure) -> Callable[[], None]:
    """What puts all that a layout engine moves back to where it stands now, to the bit."""
    boxes = [(box, box.get_points().copy()) for box in layout_boxes(figure)]
    margins = {name: getattr(figure.subplotpars, name) for name in MARGINS}
    texts = [(text, text.get_position()) for text in figure.texts]

    def put_back() -> None:
        figure.subplotpars.update(**margins)
        for box, points in boxes:
            box.set_points(points)
        for text, position in texts:
            text.set_position(position)

    return put_back


@contextlib.contextmanager
def restored_layout(figure: Figure) -> Iterator[None]:
    """Put what a layout engine moves inside back to where it stood."""
    put_back = noted_layout(figure)
    try:
        yield
    finally:
        put_back()


def skip_draw(figure: Figure) -> None:
    """Leave `figure` as drawing it would, without pixels."""
    in_space = any(hasattr(ax, "get_proj") for ax in figure.axes)
    is_laid_out = runs_layout(figure) or (in_space and figure.get_layout_engine() is not None)
    if is_laid_out or _has_arrows(figure) or any(ax.tables for ax in every_axes(figure.axes)):
        # The next layout begins where this one ends: even what rounding does to it shows. And
        # tight_layout() measures axes in 3D as they were drawn last. Arrows keep the scale that
        # their first draw finds, and tables the smallest letters that a draw needed.
        figure.draw_without_rendering()
    else:
        _settle_limits(figure)
        _settle_norms(figure)


def _has_arrows(figure: Any) -> bool:
    module: Any = sys.modules.get("matplotlib.quiver")
    if module is None:
        return False
    return any(isinstance(each, module.Quiver) for ax in figure.axes for each in ax.collections)


def _settle_limits(figure: Any) -> None:
    """Have all axes find what a draw would: limits, aspects, and in 3D the projection.

    What is in the axes decides: once it is taken off, they would find others.
    """
    for ax in figure.axes:
        # Asking is what makes matplotlib find them.
        for axis in ("x", "y", "z"):
            getattr(ax, f"get_{axis}lim", tuple)()
        ax.get_position()
        if hasattr(ax, "get_proj"):
            ax.M = ax.get_proj()


def _settle_norms(figure: Any) -> None:
    """Have colours without limits find them in the values of this frame, as a draw would."""
    for axes in every_axes(figure.axes):
        unscaled = [
            each
            for each in axes.get_children()
            if hasattr(each, "autoscale_None") and each.get_visible() and not each.norm.scaled()
        ]
        for each in sorted(unscaled if axes.get_visible() else [], key=lambda it: it.get_zorder()):
            values = each.get_array()
            # Those of an image in colours have no limits.
            if values is not None and values.ndim < 3:
                each.autoscale_None()


def layout_boxes(figure: Any) -> list[Any]:
    """Where all axes and subfigures stand; matplotlib's own boxes."""
    boxes = [box for ax in figure.axes for box in (ax._position, ax._originalPosition)]
    return boxes + [each.bbox_relative for each in subfigures_of(figure)]


def subfigures_of(figure: Any) -> Iterator[Any]:
    """The subfigures of a figure, with those in them."""
    for each in figure.subfigs:
        yield each
        yield from subfigures_of(each)


def every_axes(found: Any) -> Iterator[Any]:
    """These axes, with the axes in them."""
    for axes in found:
        yield axes
        yield from every_axes(axes.child_axes)


def _corners(figure: Figure) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([box.get_points() for box in layout_boxes(figure)])
