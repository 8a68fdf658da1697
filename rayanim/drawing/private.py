"""matplotlib's private names that this room uses: each of them here, each guarded.

`NAMES` has those that a draw in parts cannot do without: where one is missing,
every frame is drawn in full, and a warning says so. The names in
`TRANSFORM_CACHES`, `UNSEEN_ATTRIBUTES`, `AXES_UNSEEN` and `NOISE` are left out
of a comparison: one that a version lacks does no harm.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHECKED_VERSIONS = ("3.10.0", "3.11.2")
"""The oldest and the newest matplotlib with which all these names were checked."""


@dataclass(frozen=True, slots=True)
class PrivateName:
    """One name of matplotlib's that may go with any release.

    Attributes
    ----------
    owner
        What has it, as `owners_in` calls it.
    name
        The attribute.
    use
        What it is read for.
    """

    owner: str
    name: str
    use: str


NAMES = (
    PrivateName("renderer", "_renderer", "the C++ renderer, before which a tape stands"),
    PrivateName("renderer", "_update_methods", "lets the tape's head take its place"),
    PrivateName("renderer", "_filter_renderers", "emptied when drawing under a filter fails"),
    PrivateName("figure", "_align_label_groups", "axes whose labels are aligned"),
    PrivateName("figure", "_dpi", "what a figure is drawn from"),
    PrivateName("figure", "_layout_engine", "what a figure is drawn from"),
    PrivateName("figure", "_agg_filter", "what a figure is drawn from"),
    PrivateName("figure", "_rasterized", "what a figure is drawn from"),
    PrivateName("figure", "_alpha", "what a figure is drawn from"),
    PrivateName("axes", "_unstale_viewLim", "autoscaling that waits for a draw"),
    PrivateName("axes", "_stale_viewlims", "whether autoscaling waits for a draw"),
    PrivateName("axes", "_position", "where an axes is"),
    PrivateName("axes", "_originalPosition", "where it was put before its aspect was applied"),
    PrivateName("axes", "_shared_axes", "axes with a common axis"),
    PrivateName("axes", "_twinned_axes", "axes whose titles move together"),
    PrivateName("axes", "_update_title_position", "moves titles above ticks, as a draw does"),
    PrivateName("axes", "_rasterization_zorder", "axes that have one are drawn whole"),
    PrivateName("axes", "_axis_map", "the axes' axis objects"),
    PrivateName("axes", "_children", "what an axes draws, and a legend avoids"),
    PrivateName("axes", "_left_title", "the title on the left"),
    PrivateName("axes", "_right_title", "the title on the right"),
    PrivateName("axis", "_scale", "what the data of an axes are drawn from"),
    PrivateName("axis", "_converter", "what the data of an axes are drawn from"),
    PrivateName("tick", "_stale", "whether a setter or a draw changed a tick"),
    PrivateName("tick line", "_stale", "whether a setter or a draw changed a part of a tick"),
    PrivateName("tick line", "_visible", "parts of ticks that draw nothing"),
    PrivateName("tick line", "_transform", "what can change in it without a setter"),
    PrivateName("tick line", "_path_effects", "what can change in it without a setter"),
    PrivateName("tick line", "_agg_filter", "what can change in it without a setter"),
    PrivateName("tick line", "_clippath", "what can change in it without a setter"),
    PrivateName("tick label", "_stale", "whether a setter or a draw changed a part of a tick"),
    PrivateName("tick label", "_fontproperties", "what can change in it without a setter"),
    PrivateName("tick label", "_bbox_patch", "what can change in it without a setter"),
    PrivateName("artist", "_visible", "the order in which an axes draws"),
    PrivateName("artist", "_animated", "the order in which an axes draws"),
    PrivateName("artist", "_fully_clipped_to_axes", "artists that no layout engine measures"),
    PrivateName("matrix", "_mtx", "a transform's numbers"),
    PrivateName("box", "_points", "a box's numbers"),
    PrivateName("legend", "_loc", "a legend that looks for the best place"),
    PrivateName("space", "_axis3don", "whether a 3D axes draws panes and axes"),
)
"""Names that a draw in parts needs."""

STYLE_NAMES = (
    PrivateName("colormaps", "_builtin_cmaps", "colour maps that need not be sent to actors"),
    PrivateName("scales", "_scale_mapping", "the classes behind the names of axis scales"),
)
"""Names that carrying a script's style needs: without the first more is sent, without the
second its own scales must be registered in ``setup``."""

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

NOISE = frozenset({"_renderer", "_mouseover", "_remove_method", "stale_callback", "ind_offset"})
"""Attributes that drawing writes and does not read."""


def owners_in(renderer: Any, figure: Any) -> Iterator[tuple[str, Any]]:
    """The objects that the names are looked up on, so far as the figure has them.

    Living objects, for some names are set only when an object is made.
    """
    yield "renderer", renderer
    yield "figure", figure
    yield "box", figure.bbox_inches
    yield "matrix", figure.dpi_scale_trans
    yield "artist", figure.patch
    legends = sys.modules.get("matplotlib.legend")
    if legends is not None:
        yield "legend", legends.Legend
    for axes in figure.axes:
        yield "axes", axes
        if axes.name == "3d":
            yield "space", axes
        yield "axis", axes.xaxis
        for tick in vars(axes.xaxis).get("majorTicks", ())[:1]:
            yield "tick", tick
            yield "tick line", tick.tick1line
            yield "tick label", tick.label1


def missing_names(renderer: Any, figure: Any) -> tuple[str, ...]:
    """The names that this matplotlib lacks and that drawing in parts needs."""
    found = dict(owners_in(renderer, figure))
    return tuple(
        f"{each.owner}.{each.name}"
        for each in NAMES
        if each.owner in found and not hasattr(found[each.owner], each.name)
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
