"""matplotlib's private names that this room uses: each of them here, each guarded.

Checked against matplotlib 3.10.0 to 3.11.2. A name that is missing makes the
function that reads it answer None, and its caller do without.

===================================  ==========================================
name                                 what it is used for
===================================  ==========================================
``ColormapRegistry._builtin_cmaps``  tells a script's own colour maps from
                                     those that matplotlib ships
``matplotlib.scale._scale_mapping``  the classes behind the names of axis scales
``RendererAgg._renderer``            the C++ renderer, before which a tape stands
``RendererAgg._update_methods``      lets the tape's head take its place
``RendererAgg._filter_renderers``    emptied when drawing under a filter fails
``_AxesBase._unstale_viewLim``       autoscaling that waits for a draw
``_AxesBase._position``              where an axes is, and where it was put
and ``_originalPosition``            before its aspect was applied
``_AxesBase._shared_axes``           axes with a common axis
``_AxesBase._update_title_position`` moves titles above ticks, as a draw does
``_AxesBase._rasterization_zorder``  axes that have one are drawn whole
``_AxesBase._axis_map``              the axes' axis objects
``_AxesBase._twinned_axes``          axes whose titles move together
``FigureBase._align_label_groups``   axes whose labels are aligned
``FigureBase._localaxes``            axes whose aspect a figure applies
``_AxesBase._children``              what a legend looks at for its best place
``Artist._fully_clipped_to_axes``    artists that no layout engine measures
``Artist._stale``                    parts of ticks that were changed by a setter
``Legend._loc``                      a legend that looks for the best place
``Axes3D._axis3don``                 whether a 3D axes draws panes and axes
===================================  ==========================================

The attribute names in `TRANSFORM_CACHES`, `UNSEEN_ATTRIBUTES` and
`AXES_UNSEEN` are left out of a comparison: one that a version lacks does no harm.
"""

from __future__ import annotations

import sys
from typing import Any

TRANSFORM_CACHES = frozenset(
    [
        "_invalid",
        "_parents",
        "_mtx",
        "_inverted",
        "_points",
        "_affine",
        "_transformed_path",
        "_transformed_points",
        "_shorthand_name",
        "_shorthand_doc",
        "_is_separable",
    ]
)
"""Attributes of transforms that are derived from their other attributes."""

UNSEEN_ATTRIBUTES = frozenset(
    [
        "axes",
        "_axes",
        "figure",
        "_parent_figure",
        "_root_figure",
        "parent",
        "_parent",
        "axis",
        "colorbar",
        "_colorbar",
        "stale_callback",
        "_callbacks",
        "callbacks",
        "_remove_method",
        "_picker",
        "_mouseover",
        "_renderer",
        "_subplotspec",
        "_gid",
        "_url",
        "_label",
        "_cid_colorbar",
        "_id_norm",
        "colorizer_cid",
        "_sticky_edges",
    ]
)
"""Attributes of artists that lead upwards, or to what only events and exports read."""

AXES_UNSEEN = UNSEEN_ATTRIBUTES | frozenset(
    [
        "_stale",
        "_children",
        "child_axes",
        "containers",
        "dataLim",
        "xy_dataLim",
        "zz_dataLim",
        "ignore_existing_data_limits",
        "legend_",
        "title",
        "_left_title",
        "_right_title",
        "patch",
        "spines",
        "xaxis",
        "yaxis",
        "zaxis",
        "_axis_map",
        "_get_lines",
        "_get_patches_for_fill",
        "_mouseover_set",
        "_axes_locator",
        "_sharex",
        "_sharey",
        "_sharez",
        "_stale_viewlims",
        "M",
        "invM",
        "_colorbars",
        "_colorbar_info",
        "_current_image",
        "_projection_init",
        "fmt_xdata",
        "fmt_ydata",
        "fmt_zdata",
        "button_pressed",
        "_sx",
        "_sy",
        "_pan_start",
        "_zoom_info",
        "_in_autoscale",
        "_tight",
        "_forward_navigation_events",
        "_navigate",
        "_navigate_mode",
        "_shared_axes",
        "_axisbelow",
        "titleOffsetTrans",
        "_get_view",
        "_set_view",
        "_set_view_from_bbox",
        "drag_pan",
        "cla",
    ]
)
"""Attributes of axes that their artists are not drawn from, or that are watched apart."""


RENDERER_NEEDED = ("_renderer", "_update_methods", "_filter_renderers")
FIGURE_NEEDED = ("_align_label_groups", "_localaxes")
AXES_NEEDED = (
    "_unstale_viewLim", "_stale_viewlims", "_update_title_position", "_rasterization_zorder",
    "_axis_map", "_twinned_axes", "_position", "_originalPosition", "_shared_axes", "_children",
)  # fmt: skip


def missing_names(renderer: Any, figure: Any) -> tuple[str, ...]:
    """The names that this matplotlib lacks and that drawing in parts needs.

    Looked up on living objects, for some are set only when an object is made.
    """
    from matplotlib.legend import Legend

    needed: list[tuple[Any, tuple[str, ...]]] = [
        (renderer, RENDERER_NEEDED),
        (figure, FIGURE_NEEDED),
        (Legend, ("_loc",)),
        *((axes, AXES_NEEDED) for axes in figure.axes[:1]),
    ]
    return tuple(
        f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
        for owner, names in needed
        for name in names
        if not hasattr(owner, name)
    )


def shipped_colormaps() -> frozenset[str] | None:
    """Names of the colour maps that matplotlib ships, or None where it does not tell."""
    import matplotlib as mpl

    shipped = getattr(mpl.colormaps, "_builtin_cmaps", None)
    return None if shipped is None else frozenset(shipped)


def scale_classes() -> list[type]:
    """The classes of all axis scales, those of the script included; none where it is not told."""
    known = getattr(sys.modules.get("matplotlib.scale"), "_scale_mapping", {})
    return list(known.values())
