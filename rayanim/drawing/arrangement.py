"""Runs a figure's layout engine when something that it measures changed, and only then."""

from __future__ import annotations

from typing import Any

from matplotlib.collections import Collection
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rayanim.drawing.links import every_axes
from rayanim.drawing.unit import Unit

UNMEASURED = (Line2D, Collection, AxesImage, Patch)
"""Kinds of artists that no layout engine measures while they are clipped to their axes."""


class Arrangement:
    """Whether the layout of a figure still holds.

    A layout holds when running the engine moved nothing, and since then
    nothing changed but artists that it does not measure.
    """

    def __init__(self, figure: Any) -> None:
        self._figure = figure
        self._holds = False
        self._unmeasured: set[int] = set()

    def holds(self, units: list[Unit], *, order_changed: bool) -> bool:
        """Whether the engine need not run before the dirty ones of `units` are drawn."""
        if not has_engine(self._figure):
            return True
        return (
            self._holds
            and not order_changed
            and not has_animated(self._figure)
            and all(
                id(unit) in self._unmeasured and is_unmeasured(unit.artist)
                for unit in units
                if unit.dirty
            )
        )

    def run(self, units: list[Unit]) -> None:
        """Run the engine as ``Figure.draw`` does."""
        before = self._places()
        try:
            self._figure.get_layout_engine().execute(self._figure)
        except ValueError:
            # matplotlib passes over it, too: a window may be too small for a layout.
            self._holds = False
            return
        self._holds = before == self._places()
        self._unmeasured = {id(unit) for unit in units if is_unmeasured(unit.artist)}

    def _places(self) -> list[bytes]:
        """Where everything is that an engine moves, to the bit."""
        boxes = [
            box for axes in self._figure.axes for box in (axes._position, axes._originalPosition)
        ]
        return [
            *(box.get_points().tobytes() for box in boxes),
            *(repr(text.get_position()).encode() for text in self._figure.texts),
        ]


def has_engine(figure: Any) -> bool:
    """Whether ``Figure.draw`` runs a layout engine."""
    return figure.get_layout_engine() is not None and bool(figure.axes)


def has_animated(figure: Any) -> bool:
    """Whether there are artists that a layout engine measures and nobody draws or watches."""
    return any(
        child.get_animated()
        for owner in (figure, *every_axes(figure.axes))
        for child in owner.get_children()
    )


def is_unmeasured(artist: Any) -> bool:
    """Whether layout engines take no notice of `artist`."""
    clipped = getattr(artist, "_fully_clipped_to_axes", None)
    return isinstance(artist, UNMEASURED) and clipped is not None and bool(clipped())
