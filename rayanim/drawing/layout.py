"""Keeps where the axes stand from depending on the frames drawn before.

``layout="constrained"`` and its kin, and ``tight_layout()`` in an update, move
the axes a little further with every frame, from wherever the last one left
them. Frames are drawn in any order by any number of processes: each begins
from where the film's first frame settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = tuple[float, float, float, float]
"""x0, y0, width, height as shares of the figure."""

SETTLING_DRAWS = 2
"""matplotlib's own films jump between their first frame and the second; later
draws move the axes by less than a pixel as long as the labels stay the same."""

MARGINS = ("left", "right", "bottom", "top", "wspace", "hspace")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stood that layouts move.

    Attributes
    ----------
    axes
        The original and the active position of each of the figure's axes.
    margins
        The subplot parameters by name.
    """

    axes: tuple[tuple[Bounds, Bounds], ...]
    margins: dict[str, float]


def settled_layout(figure: Figure) -> Layout:
    """Let the layout engine of `figure`, if it has one, come to rest; its canvas must be Agg's."""
    if figure.get_layout_engine() is not None:
        for _ in range(SETTLING_DRAWS):
            figure.draw_without_rendering()
    return current_layout(figure)


def current_layout(figure: Figure) -> Layout:
    """Where everything stands now."""
    axes = tuple(
        (ax.get_position(original=True).bounds, ax.get_position().bounds) for ax in figure.axes
    )
    return Layout(axes, _margins(figure))


def restore_layout(figure: Figure, layout: Layout | None) -> None:
    """Put everything back to where it stood.

    Axes that came later stay where they are, and those that the script has
    placed itself, by which it took them out of the layout.
    """
    if layout is None:
        return
    engine = figure.get_layout_engine()
    adjustable = engine is None or engine.adjust_compatible
    if adjustable and _margins(figure) != layout.margins:
        figure.subplots_adjust(**layout.margins)
    for ax, (original, active) in zip(figure.axes, layout.axes, strict=False):
        if ax.get_in_layout():
            _move(ax, original, active)


def _margins(figure: Figure) -> dict[str, float]:
    return {name: getattr(figure.subplotpars, name) for name in MARGINS}


def _move(ax: Axes, original: Bounds, active: Bounds) -> None:
    if (ax.get_position(original=True).bounds, ax.get_position().bounds) == (original, active):
        return
    ax.set_position(original, which="original")
    ax.set_position(active, which="active")
    # `set_position` has taken the axes out of the layout: they go back in.
    ax.set_in_layout(True)


def settle_limits(figure: Figure) -> None:
    """Have all axes find their limits now, as drawing would.

    What is in the axes decides: once it is taken off, they would find others.
    """
    for ax in figure.axes:
        # Asking is what makes matplotlib find them.
        for axis in ("x", "y", "z"):
            getattr(ax, f"get_{axis}lim", tuple)()
