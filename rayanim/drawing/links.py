"""Knows artists that are drawn from more than one axes, and when their order cannot be followed.

matplotlib brings each axes up to date only when its turn to be drawn comes. An
artist below it that is drawn from it, too, sees the limits and the place of
before: a draw in parts, which brings all up to date first, would be ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from matplotlib.offsetbox import AnnotationBbox
from matplotlib.patches import ConnectionPatch
from matplotlib.text import Annotation

from rayanim.drawing.unit import Unit
from rayanim.drawing.watch import ELSEWHERE


def in_transit(figure: Any, units: Iterable[Unit]) -> bool:
    """Whether axes may move in this draw after something was drawn or laid out from them."""
    everyone = list(every_axes(figure.axes))
    laid_out = figure.get_layout_engine() is not None
    rescaled = any(any(axes._stale_viewlims.values()) for axes in everyone)
    if laid_out and rescaled:
        # A layout may measure by the limits of before, what is not clipped to them.
        return True
    if any(map(moves_twins, everyone)):
        # Each twin that is drawn moves the others, too, those already drawn included.
        return True
    moving = laid_out or rescaled or any(map(shaped, everyone))
    return moving and (
        any(unit.reason == ELSEWHERE for unit in units)
        or any(_links(child) for axes in everyone for child in axes._children)
        or any(map(_links, (*figure.artists, *figure.patches)))
    )


def shaped(axes: Any) -> bool:
    """Whether an aspect decides about the place or the limits of `axes`."""
    return axes.get_aspect() != "auto" or axes.get_box_aspect() is not None


def moves_twins(axes: Any) -> bool:
    """Whether `axes` goes, when it is drawn, to another place than its twins."""
    twins = twins_of(axes)
    if len(twins) == 1:
        return False
    places = {twin.get_position(original=True).bounds for twin in twins}
    return shaped(axes) or len(places) > 1


def twins_of(axes: Any) -> list[Any]:
    """The axes that stand where `axes` stands, itself included."""
    return list(axes._twinned_axes.get_siblings(axes))


def every_axes(found: Iterable[Any]) -> Iterator[Any]:
    """These axes and the insets in them."""
    for axes in found:
        yield axes
        yield from every_axes(axes.child_axes)


def _links(artist: Any) -> bool:
    if isinstance(artist, Annotation | AnnotationBbox):
        return not (isinstance(artist.xycoords, str) and isinstance(artist.anncoords, str))
    return isinstance(artist, ConnectionPatch) or type(artist).__name__ == "InsetIndicator"
