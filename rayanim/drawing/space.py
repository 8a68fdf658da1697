"""What a 3D axes does before its artists: projection, panes, grids and axes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.collections import Collection
from matplotlib.patches import Patch


def is_space(axes: Any) -> bool:
    """Whether `axes` is matplotlib's 3D axes, drawn as matplotlib draws it."""
    module = sys.modules.get("mpl_toolkits.mplot3d.axes3d")
    return module is not None and type(axes).draw is module.Axes3D.draw


def is_plain_space(axes: Any) -> bool:
    """Whether it is one without surfaces, whose order does not depend on the view."""
    return is_space(axes) and not any(
        isinstance(child, Collection | Patch) and child.get_visible()
        for child in axes.get_children()
        if child is not axes.patch
    )


def project(axes: Any) -> None:
    """Set the projection of the axes from its view and limits."""
    axes.M = axes.get_proj()
    axes.invM = np.linalg.inv(axes.M)


def space_frame(axes: Any) -> Callable[[Any], None]:
    """A function that draws panes, grids and axes in matplotlib's order."""

    def draw(renderer: Any) -> None:
        if not axes._axis3don:
            return
        axis_list = list(axes._axis_map.values())
        for axis in axis_list:
            axis.draw_pane(renderer)
        for axis in axis_list:
            axis.draw_grid(renderer)
        for axis in axis_list:
            axis.draw(renderer)

    return draw
