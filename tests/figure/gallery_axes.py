"""Random changes to the axes of any figure: limits, ticks, labels, spines, places, space."""

from __future__ import annotations

from typing import Any

import numpy as np
from gallery_changes import CMAPS, WORDS, NothingThereError, Pick, change
from matplotlib import ticker
from matplotlib.patches import Circle


@change
def _limits(pick: Pick) -> str:
    axis = pick.axis()
    low, high = axis.get_view_interval()
    low, high = low + (high - low) * pick.number(-0.2, 0.3), high + (high - low) * 0.1
    getattr(pick.one([axis.axes]), f"set_{axis.axis_name}lim")(low, high)
    return axis.axis_name


@change
def _limits_in_place(pick: Pick) -> None:
    axes = pick.axes()
    low, high = axes.viewLim.intervalx
    axes.viewLim.intervalx = (low, low + (high - low) * pick.number(0.5, 1.2))


@change
def _scale(pick: Pick) -> str:
    axis = pick.axis()
    name = pick.one(["log", "linear", "symlog", "asinh"])
    getattr(axis.axes, f"set_{axis.axis_name}scale")(name)
    return f"{axis.axis_name} {name}"


@change
def _margins(pick: Pick) -> None:
    pick.axes().margins(pick.number(0, 0.4))


@change
def _autoscale(pick: Pick) -> None:
    axes = pick.axes()
    axes.relim(visible_only=pick.random.random() < 0.5)
    axes.autoscale(pick.random.random() < 0.8)
    axes.autoscale_view()


@change
def _invert(pick: Pick) -> None:
    axis = pick.axis()
    axis.set_inverted(not axis.get_inverted())


@change
def _tick_places(pick: Pick) -> None:
    axis = pick.axis()
    low, high = sorted(axis.get_view_interval())
    axis.set_ticks(np.linspace(low, high, pick.random.randrange(1, 8)))


@change
def _tick_names(pick: Pick) -> None:
    axis = pick.axis()
    low, high = sorted(axis.get_view_interval())
    axis.set_ticks([low, (low + high) / 2, high], [pick.one(WORDS), "b", "$c$"])


@change
def _locator(pick: Pick) -> str:
    """A locator, at times the one of another axis."""
    axis = pick.axis()
    locator = pick.one(
        [
            ticker.MaxNLocator(pick.random.randrange(1, 9)),
            ticker.AutoLocator(),
            ticker.NullLocator(),
            ticker.LinearLocator(pick.random.randrange(2, 9)),
            pick.axis().get_major_locator(),
        ]
    )
    locator = pick.kept.setdefault("locator", locator) if pick.random.random() < 0.4 else locator
    axis.set_major_locator(locator)
    return type(locator).__name__


@change
def _locator_in_place(pick: Pick) -> None:
    locator = pick.axis().get_major_locator()
    if hasattr(locator, "_nbins"):
        locator.set_params(nbins=pick.random.randrange(1, 10))
    elif hasattr(locator, "numticks"):
        locator.numticks = pick.random.randrange(2, 9)
    else:
        raise NothingThereError


@change
def _formatter(pick: Pick) -> str:
    axis = pick.axis()
    names = pick.kept.setdefault("names", {each / 2: f"n{each}" for each in range(-20, 40)})
    formatter = pick.one(
        [
            ticker.PercentFormatter(),
            ticker.ScalarFormatter(),
            ticker.StrMethodFormatter("{x:.3f}"),
            ticker.FuncFormatter(lambda value, place: names.get(value, "-")),
            pick.axis().get_major_formatter(),
        ]
    )
    axis.set_major_formatter(formatter)
    return type(formatter).__name__


@change
def _formatter_in_place(pick: Pick) -> None:
    if "names" in pick.kept and pick.random.random() < 0.5:
        pick.kept["names"].update({0.0: pick.one(WORDS), 1.0: pick.one(WORDS)})
        return
    formatter = pick.axis().get_major_formatter()
    if not isinstance(formatter, ticker.ScalarFormatter):
        raise NothingThereError
    formatter.set_powerlimits((0, pick.random.randrange(3)))


@change
def _tick_params(pick: Pick) -> str:
    name, values = pick.one(
        [
            ("labelsize", [5, 9, 15]),
            ("direction", ["in", "out", "inout"]),
            ("length", [0, 3, 12]),
            ("colors", ["red", "black"]),
            ("labelrotation", [0, 45]),
            ("labelright", [True, False]),
            ("top", [True, False]),
            ("labelleft", [True, False]),
            ("labelbottom", [True, False]),
            ("grid_color", ["g", "b"]),
            ("pad", [0, 10]),
        ]
    )
    value = pick.one(values)
    pick.axes().tick_params(which=pick.one(["major", "both"]), **{name: value})
    return f"{name}={value}"


@change
def _one_tick(pick: Pick) -> str:
    tick = pick.one(pick.axis().get_major_ticks())
    part, name, value = pick.one(
        [
            ("label1", "color", "r"),
            ("label1", "bbox", {"facecolor": "y"}),
            ("label1", "parse_math", False),
            ("label1", "visible", False),
            ("label1", "fontsize", 15),
            ("tick1line", "markersize", 12),
            ("tick2line", "visible", True),
            ("gridline", "visible", True),
        ]
    )
    getattr(tick, part).set(**{name: value})
    return f"{part} {name}"


@change
def _minor_ticks(pick: Pick) -> None:
    axes = pick.axes()
    pick.one([axes.minorticks_on, axes.minorticks_off])()


@change
def _grid(pick: Pick) -> None:
    pick.axes().grid(pick.random.random() < 0.7, color=pick.one(["r", "0.8"]), which="both")


@change
def _axis_side(pick: Pick) -> None:
    axes = pick.axes()
    axes.xaxis.set_ticks_position(pick.one(["top", "bottom", "both"]))
    if pick.random.random() < 0.5:
        axes.yaxis.set_label_position(pick.one(["left", "right"]))


@change
def _axis_off_or_on(pick: Pick) -> str:
    what = pick.one(["off", "on", "off", "tight", "equal", "square", "image"])
    pick.axes().axis(what)
    return what


@change
def _axis_visible(pick: Pick) -> None:
    axis = pick.axis()
    axis.set_visible(not axis.get_visible())


@change
def _title(pick: Pick) -> None:
    pick.axes().set_title(
        pick.one(WORDS),
        loc=pick.one(["left", "center", "right"]),
        pad=pick.one([None, 3, 20]),
        y=pick.one([None, None, 0.9]),
    )


@change
def _axis_label(pick: Pick) -> None:
    axis = pick.axis()
    axis.set_label_text(pick.one(WORDS))
    axis.labelpad = pick.number(0, 15)


@change
def _label_place(pick: Pick) -> None:
    pick.one([pick.axes().xaxis, pick.axes().yaxis]).set_label_coords(0.5, -0.1)


@change
def _align_labels(pick: Pick) -> None:
    pick.one([pick.figure.align_labels, pick.figure.align_titles])()


@change
def _legend_anew(pick: Pick) -> None:
    pick.axes().legend(loc=pick.one(["best", "upper left", "center"]), ncols=pick.one([1, 2]))


@change
def _legend_entry(pick: Pick) -> None:
    legend = pick.one([each.get_legend() for each in pick.all_axes() if each.get_legend()])
    if pick.random.random() < 0.5:
        pick.one(legend.get_texts()).set_text(pick.one(WORDS))
    else:
        pick.one(legend.legend_handles).set_alpha(pick.number(0.2, 1))


@change
def _spine(pick: Pick) -> str:
    spine = pick.one(list(pick.axes().spines.values()))
    kind = pick.one(["position", "visible", "bounds", "linewidth", "color"])
    if kind == "position":
        spine.set_position(pick.one(["zero", ("axes", 0.4), ("outward", 8), ("data", 0.3)]))
    elif kind == "visible":
        spine.set_visible(not spine.get_visible())
    elif kind == "bounds":
        spine.set_bounds(pick.number(0, 0.3), pick.number(0.5, 1))
    else:
        spine.set(**{kind: 4 if kind == "linewidth" else pick.color()})
    return kind


@change
def _aspect(pick: Pick) -> None:
    pick.axes().set_aspect(
        pick.one(["auto", "equal", 0.5]), adjustable=pick.one(["box", "datalim"]), anchor="C"
    )


@change
def _box_aspect(pick: Pick) -> None:
    pick.axes().set_box_aspect(pick.one([None, 0.5, 1]))


@change
def _anchor(pick: Pick) -> None:
    pick.axes().set_anchor(pick.one(["N", "SW", "C"]))


@change
def _axes_place(pick: Pick) -> None:
    axes = pick.axes()
    x, y, width, height = axes.get_position(original=True).bounds
    axes.set_position((x + pick.number(-0.05, 0.05), y, width * pick.number(0.7, 1.1), height))


@change
def _axes_look(pick: Pick) -> str:
    axes = pick.axes()
    kind = pick.one(["facecolor", "zorder", "visible", "frame_on", "axisbelow", "animated"])
    value = {"facecolor": pick.color(), "zorder": pick.random.randrange(4), "axisbelow": "line"}
    axes.set(**{kind: value.get(kind, pick.random.random() < 0.6)})
    return kind


@change
def _rasterization_zorder(pick: Pick) -> None:
    pick.axes().set_rasterization_zorder(pick.one([None, 1, 3]))


@change
def _grid_spec(pick: Pick) -> None:
    spec = pick.one([each.get_gridspec() for each in pick.figure.axes if each.get_subplotspec()])
    if pick.random.random() < 0.5:
        spec.set_width_ratios([pick.number(1, 3) for _ in range(spec.ncols)])
    else:
        spec.set_height_ratios([pick.number(1, 3) for _ in range(spec.nrows)])


@change
def _twin(pick: Pick) -> None:
    axes = pick.axes()
    pick.one([axes.twinx, axes.twiny])().plot([0, 1, 2], [1, pick.number(0, 3), 0], "c")


@change
def _inset(pick: Pick) -> None:
    inset = pick.axes().inset_axes((0.6, 0.1, 0.3, pick.number(0.1, 0.4)))
    inset.plot([0, 1], [0, 1])


@change
def _add_artist(pick: Pick) -> str:
    axes = pick.axes()
    low, high = axes.get_xlim()[0], axes.get_xlim()[1]
    kind = pick.one(["line", "text", "circle", "scatter", "span", "note", "image"])
    if kind == "line":
        axes.plot([low, high], axes.get_ylim(), label=pick.one(WORDS[1:]))
    elif kind == "text":
        axes.text(0.5, pick.number(0, 1), pick.one(WORDS), transform=axes.transAxes)
    elif kind == "circle":
        axes.add_patch(Circle((0.5, 0.5), 0.2, transform=axes.transAxes, alpha=0.5))
    elif kind == "scatter":
        axes.scatter([low, high], axes.get_ylim(), c=[0, 1], s=[20, 300], alpha=0.5)
    elif kind == "span":
        axes.axvspan(low, (low + high) / 2, alpha=0.3, hatch="/")
    elif kind == "note":
        axes.annotate("note", (low, axes.get_ylim()[0]), (0.5, 0.5), arrowprops={}, wrap=True)
    else:
        axes.imshow(np.eye(4) * pick.number(0, 2), extent=(low, high, *axes.get_ylim()))
    return kind


@change
def _contour_again(pick: Pick) -> None:
    axes = pick.axes()
    field = np.outer(np.sin(np.arange(8)), np.cos(np.arange(9) + pick.number(0, 3)))
    old = pick.kept.pop("contour", None)
    if old is not None:
        old.remove()
    pick.kept["contour"] = axes.contourf(field, cmap=pick.one(CMAPS), alpha=0.6)


@change
def _clear(pick: Pick) -> None:
    if pick.random.random() < 0.7:
        raise NothingThereError
    axes = pick.axes()
    axes.clear()
    axes.plot([0, 1, 2], [0, pick.number(0, 2), 1])


@change
def _remove_axes(pick: Pick) -> None:
    if len(pick.figure.axes) < 2 or pick.random.random() < 0.5:
        raise NothingThereError
    pick.one(pick.figure.axes).remove()


@change
def _color_bar(pick: Pick) -> str:
    """Make a colour bar, or remove one and perhaps make it anew."""
    mappables = [each for axes in pick.figure.axes for each in (*axes.collections, *axes.images)]
    mappable = pick.one([each for each in mappables if each.get_array() is not None])
    if mappable.colorbar is not None:
        mappable.colorbar.remove()
        if pick.random.random() < 0.5:
            return "removed"
    pick.figure.colorbar(mappable, ax=mappable.axes, location=pick.one(["right", "bottom", "left"]))
    return "made"


@change
def _view(pick: Pick) -> None:
    pick.axes("3d").view_init(pick.number(-20, 80), pick.number(0, 360), pick.one([0, 20]))


@change
def _space_data(pick: Pick) -> str:
    axes = pick.axes("3d")
    artist = pick.one([each for each in axes._children if hasattr(each, "do_3d_projection")])
    if hasattr(artist, "_vec"):
        artist._vec = artist._vec * pick.number(0.7, 1.1)
    elif hasattr(artist, "_offsets3d"):
        artist._offsets3d = tuple(each * 0.9 for each in artist._offsets3d)
    else:
        artist.set_alpha(pick.number(0.3, 1))
    return type(artist).__name__


@change
def _space_look(pick: Pick) -> None:
    axes = pick.axes("3d")
    kind = pick.one(["proj", "zoom", "pane", "off", "focal"])
    if kind == "proj":
        axes.set_proj_type(pick.one(["ortho", "persp"]))
    elif kind == "zoom":
        axes.set_box_aspect(None, zoom=pick.number(0.6, 1.3))
    elif kind == "pane":
        axes.xaxis.set_pane_color(pick.one(["c", "y", "w"]))
    elif kind == "off":
        axes.set_axis_off()
    else:
        axes.set_zlim(0, pick.number(0.5, 3))


@change
def _limits_callback(pick: Pick) -> None:
    """Something follows the limits of an axes, at times while it is drawn."""
    axes, other = pick.axes(), pick.axes()
    text = axes.text(0.1, 0.9, "", transform=axes.transAxes)

    def follow(changed: Any) -> None:
        text.set_text("{:.3g} to {:.3g}".format(*changed.get_ylim()))
        other.set_facecolor("0.9")

    axes.callbacks.connect("ylim_changed", follow)
