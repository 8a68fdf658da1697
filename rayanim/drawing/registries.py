"""Carries what a script adds to matplotlib's registries: colours, sequences, scales, projections.

A script registers them at its top level, which actors do not run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from rayanim.drawing.private import scale_classes

SHIPPED_BY = ("matplotlib.", "mpl_toolkits.")


@dataclass(frozen=True, slots=True)
class Additions:
    """Names that a script gave to what matplotlib does not ship.

    Attributes
    ----------
    colors
        Colours by name.
    sequences
        Colour sequences by name.
    scales, projections
        Classes of axis scales and of axes.
    """

    colors: dict[str, Any]
    sequences: dict[str, Any]
    scales: tuple[type, ...]
    projections: tuple[type, ...]


def capture_additions() -> Additions:
    """What this process has registered; nothing where matplotlib's modules were not imported."""
    import matplotlib as mpl

    sequences = {}
    if "matplotlib.colors" in sys.modules:
        sequences = {name: mpl.color_sequences[name] for name in mpl.color_sequences}
    return Additions(_colors(), sequences, _own(scale_classes()), _own(_projection_classes()))


def apply_additions(additions: Additions) -> None:
    """Register in this process what `additions` were captured in another."""
    import matplotlib as mpl
    from matplotlib import projections, scale
    from matplotlib.colors import get_named_colors_mapping

    get_named_colors_mapping().update(additions.colors)
    for name, colors in additions.sequences.items():
        if name not in mpl.color_sequences:
            mpl.color_sequences.register(name, colors)
    for each in additions.scales:
        scale.register_scale(each)
    for each in additions.projections:
        projections.register_projection(each)


def _colors() -> dict[str, Any]:
    colors = sys.modules.get("matplotlib.colors")
    if colors is None:
        return {}
    shipped = {*colors.BASE_COLORS, *colors.TABLEAU_COLORS, *colors.CSS4_COLORS}
    return {
        name: color
        for name, color in colors.get_named_colors_mapping().items()
        if name not in shipped and not name.startswith("xkcd:")
    }


def _projection_classes() -> list[type]:
    projections = sys.modules.get("matplotlib.projections")
    if projections is None:
        return []
    return [projections.get_projection_class(name) for name in projections.get_projection_names()]


def _own(classes: list[type]) -> tuple[type, ...]:
    return tuple(each for each in classes if not each.__module__.startswith(SHIPPED_BY))
