"""What this package needs of matplotlib's insides: private names, and how methods are replaced.

`NAMES` has the names that an incremental draw cannot do without: where one is missing,
every frame is drawn in full, and a warning says so. The names in
`TRANSFORM_CACHES`, `UNSEEN` and `AXES_UNSEEN` are left out of a comparison: one
that a version lacks does no harm.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PrivateName:
    """One name of matplotlib's that may go with any release."""

    owner: str
    name: str
    use: str


NAMES = (
    PrivateName("image module", "_draw_list_compositing_images", "draws the artists of an owner"),
    PrivateName("renderer", "_renderer", "the C++ renderer, before which a recorder stands"),
    PrivateName("renderer", "_update_methods", "lets the recorder take its place"),
    PrivateName("renderer", "_filter_renderers", "emptied when drawing under a filter fails"),
    PrivateName("figure", "_align_label_groups", "axes whose labels or titles are aligned"),
    PrivateName("figure", "_layout_engine", "put aside where it would move nothing"),
    PrivateName("axes", "_stale_viewlims", "whether limits are to be found before a layout"),
    PrivateName("axes", "_originalPosition", "where a layout engine puts an axes"),
    PrivateName("axes", "_update_title_position", "moves titles above ticks, as a draw does"),
    PrivateName("axes", "_viewLim", "whether the limits of all axes move"),
    PrivateName("axes", "_position", "whether all axes move"),
    PrivateName("axes", "_twinned_axes", "axes whose titles move together"),
    PrivateName("axes", "_axis_map", "the axes' axis objects"),
    PrivateName("axes", "_children", "what a legend keeps clear of"),
    PrivateName("axes", "_left_title", "the title on the left"),
    PrivateName("axes", "_right_title", "the title on the right"),
    PrivateName("figure", "_dpi", "what is in a figure is drawn from it"),
    PrivateName("figure", "_parent_figure", "what is in a figure is drawn from it"),
    PrivateName("axis", "_scale", "what is in an axes is drawn from it"),
    PrivateName("axis", "_converter", "what is in an axes is drawn from it"),
    PrivateName("artist", "_stale", "whether a setter or a draw changed an artist"),
    PrivateName("artist", "_fully_clipped_to_axes", "artists that no layout engine measures"),
    PrivateName("artist", "_visible", "parts of ticks that draw nothing"),
    PrivateName("matrix", "_mtx", "a transform's numbers"),
    PrivateName("box", "_points", "a box's numbers"),
    PrivateName("legend", "_loc", "a legend that looks for the best place"),
)
"""Names that an incremental draw needs."""

STYLE_NAMES = (
    PrivateName("dates", "_epoch", "the date that dates count from, where one is set"),
    PrivateName("colormaps", "_builtin_cmaps", "colour maps that need not be sent to actors"),
    PrivateName("scales", "_scale_mapping", "the classes behind the names of axis scales"),
)
"""Names that carrying a script's style needs: without that of the colour maps more is sent, without
the others scales and the epoch of dates must be set in ``setup``."""

ANIMATION_NAMES = (
    PrivateName("animation", "_fig", "the figure that it plays in"),
    PrivateName("animation", "_init_draw", "what is drawn before the first frame"),
    PrivateName("animation", "_draw_next_frame", "makes the figure that of the next frame"),
    PrivateName("animation", "_start", "plays the animation in a window after the first draw"),
    PrivateName("animation", "_draw_was_started", "whether to warn that nothing was drawn"),
    PrivateName("writer", "_supports_transparency", "whether frames are drawn on white"),
)
"""Names that drawing an unchanged animation needs: where one is missing, matplotlib does it."""

FUNC_ANIMATION_NAMES = (
    "_func", "_iter_gen", "_init_func", "_save_count", "_framedata", "_interval",
)  # fmt: skip
"""What an animation was made with; where one is missing, its frames are taken to come once."""

LEFT_OUT = frozenset(["frame_seq", "_tee_from", "_blit_cache", "_first_draw_id", "_close_id"])
"""Attributes of an animation that only a window needs: they are not sent to actors."""

TRANSFORM_CACHES = frozenset(
    [
        "_invalid", "_parents", "_mtx", "_inverted", "_points", "_affine", "_transformed_path",
        "_transformed_points", "_shorthand_name", "_shorthand_doc", "_is_separable",
    ]
)  # fmt: skip
"""Attributes of transforms that are derived from their other attributes."""

UNSEEN = frozenset(
    [
        "stale_callback", "_callbacks", "_cid_colorbar", "_contour_generator", "_counter", "_gid",
        "_id_norm", "_id_colorizer", "_label", "_mouseover", "_remove_method", "_renderer",
        "_stale", "_sticky_edges", "_subplotspec", "_url", "colorbar", "colorizer_cid",
        "ind_offset",
    ]
)  # fmt: skip
"""Attributes of matplotlib's objects that only events, exports, layouts and measuring read."""

WEDGE_PATH = "_path"
"""Where a wedge keeps the path that follows from its other attributes."""

TEXT_PLACE = ("_x", "_y")
"""Where a text stands; where it is empty that is nowhere."""

TICK_PARTS = ("gridline", "tick1line", "tick2line", "label1", "label2")

AXIS_STATE = ("_scale", "_converter", "units")
"""Attributes of an axis that the data in its axes are drawn from."""

FIGURE_STATE = (
    "_dpi", "bbox", "figbbox", "bbox_inches", "dpi_scale_trans", "transFigure", "transSubfigure",
    "canvas", "_parent_figure",
)  # fmt: skip
"""Attributes of a figure that what is in it is drawn from."""

AXES_UNSEEN = UNSEEN | frozenset(
    [
        "_stale", "_children", "child_axes", "containers", "dataLim", "xy_dataLim", "zz_dataLim",
        "ignore_existing_data_limits", "legend_", "title", "_left_title", "_right_title", "patch",
        "spines", "xaxis", "yaxis", "zaxis", "_axis_map", "_get_lines", "_get_patches_for_fill",
        "_mouseover_set", "_axes_locator", "_sharex", "_sharey", "_sharez", "_stale_viewlims",
        "_colorbar", "_colorbars", "_colorbar_info", "_current_image", "_projection_init",
        "fmt_xdata", "fmt_ydata", "fmt_zdata", "button_pressed", "_sx", "_sy", "_pan_start",
        "_zoom_info", "_in_autoscale", "_tight", "_forward_navigation_events", "_navigate",
        "_navigate_mode", "_shared_axes", "_axisbelow", "titleOffsetTrans", "_get_view",
        "_set_view", "_set_view_from_bbox", "drag_pan", "cla",
    ]
)  # fmt: skip
"""Attributes of axes that their artists are not drawn from, or that are watched apart."""


def owners_in(renderer: Any, figure: Any) -> Iterator[tuple[str, Any]]:
    """The objects that the names are looked up on, so far as the figure has them.

    Living objects, for some names are set only when an object is made.
    """
    yield "image module", sys.modules["matplotlib.image"]
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
        yield "axis", axes.xaxis


def missing_names(renderer: Any, figure: Any) -> tuple[str, ...]:
    """The names that this matplotlib lacks and that an incremental draw needs."""
    found = dict(owners_in(renderer, figure))
    return tuple(
        f"{each.owner}.{each.name}"
        for each in NAMES
        if each.owner in found and not hasattr(found[each.owner], each.name)
    )


def missing_animation_names(animation: Any) -> tuple[str, ...]:
    """The names that this matplotlib lacks and that drawing an animation needs."""
    module: Any = sys.modules["matplotlib.animation"]
    owners = {"animation": animation, "writer": module.AbstractMovieWriter}
    return tuple(
        f"{each.owner}.{each.name}"
        for each in ANIMATION_NAMES
        if not hasattr(owners[each.owner], each.name)
    )


def shipped_colormaps() -> frozenset[str] | None:
    """Names of the colour maps that matplotlib ships, or None where that is not known."""
    import matplotlib as mpl

    shipped = getattr(mpl.colormaps, "_builtin_cmaps", None)
    return None if shipped is None else frozenset(shipped)


def scale_classes() -> list[type]:
    """The classes of all axis scales, those of the script included; none if not known."""
    known = getattr(sys.modules.get("matplotlib.scale"), "_scale_mapping", {})
    return list(known.values())


Function = tuple[Any, str, Callable[[Any], Any]]
"""A class or module, the name of a function in it, and what makes another of that."""

_lock = threading.Lock()
_in_place: dict[tuple[Any, str], tuple[int, Any]] = {}
"""By owner and name how many have it replaced now, and the function that was there before."""


@contextlib.contextmanager
def replaced(*functions: Function) -> Iterator[None]:
    """Have ``make(function)`` in the place of a class's or module's own functions."""
    with _lock:
        found = [vars(owner)[name] for owner, name, _ in functions]
        for (owner, name, make), function in zip(functions, found, strict=True):
            users, before = _in_place.get((owner, name), (0, function))
            if not users:
                setattr(owner, name, _made(make, function))
            _in_place[owner, name] = (users + 1, before)
    try:
        yield
    finally:
        with _lock:
            for owner, name, _ in functions:
                users, before = _in_place.pop((owner, name))
                if users > 1:
                    _in_place[owner, name] = (users - 1, before)
                else:
                    setattr(owner, name, before)


@functools.lru_cache(maxsize=64)
def _made(make: Callable[[Any], Any], function: Any) -> Any:
    """Made once: another function in a class would look like a change of the class."""
    return make(function)
