"""Random changes to the artists of any figure: what they show and how they look."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, _ImageBase
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Affine2D, Transform
from random_more import Cross, brighten

COLORS = ("red", "#1f77b4", "0.6", "gold", (0.1, 0.7, 0.3, 0.5), "black", "none")
CMAPS = ("viridis", "hot", "gray", "RdBu", "tab10")
WORDS = ("", "a", "now", "two\nlines", "$x^2_i$", "$a$", "a longer text of some words", "Ägypten")


class NothingThereError(LookupError):
    """The figure has nothing that a change is for."""


class Pick:
    """Random choices in a figure: the same ones in two processes with the same figure.

    Attributes
    ----------
    random
        Makes the choices; seeded anew for each change.
    kept
        What changes leave for later ones, such as a renderer.
    animations
        The figure's animations.
    """

    def __init__(self, figure: Figure, animations: Sequence[Any]) -> None:
        self.figure = figure
        self.random = random.Random()
        self.kept: dict[str, Any] = {}
        self.animations = [each for each in animations if each._fig is figure]

    def one(self, things: Sequence[Any]) -> Any:
        """Any of `things`."""
        if not len(things):
            raise NothingThereError
        return things[self.random.randrange(len(things))]

    def all_axes(self) -> list[Any]:
        """All axes, insets as well."""
        found, rest = [], list(self.figure.axes)
        while rest:
            axes = rest.pop(0)
            if axes not in found:
                found.append(axes)
                rest += axes.child_axes
        return found

    def axes(self, name: str = "") -> Any:
        """Any axes, of the projection `name` if one is given."""
        return self.one([each for each in self.all_axes() if name in ("", each.name)])

    def axis(self) -> Any:
        """Any axis of any axes."""
        return self.one(list(self.axes()._axis_map.values()))

    def artist(self, kind: type = Artist) -> Any:
        """Any artist of a class, mostly one that an axes or the figure was given."""
        if self.random.random() < 0.2:
            return self.one(self.figure.findobj(kind))
        homes = [*self.all_axes(), self.figure, *self.figure.subfigs]
        given = [each for home in homes for each in _given(home) if isinstance(each, kind)]
        return self.one(given)

    def color(self) -> Any:
        """Any colour."""
        return self.one(COLORS)

    def number(self, low: float, high: float) -> float:
        """A number of few digits in between."""
        return round(self.random.uniform(low, high), 2)


def _given(home: Any) -> list[Artist]:
    if hasattr(home, "_children"):
        legend = [home.get_legend()] if home.get_legend() else []
        titles = [home.title, home._left_title, home.xaxis.label, home.yaxis.label]
        return [*home._children, *legend, *titles, home.patch, *home.spines.values()]
    return [*home.artists, *home.lines, *home.patches, *home.texts, *home.images, *home.legends]


Change = Callable[[Pick], Any]

CHANGES: dict[str, Change] = {}
"""All changes by name. Each returns more about what it did, or nothing."""

SHARES = {"set": 0.22, "rc": 0.04}
"""Changes that stand for many: how often each is made. All others come equally often."""


def name_of_any(chance: random.Random) -> str:
    """The name of any change."""
    share = chance.random()
    for name, part in SHARES.items():
        if share < part:
            return name
        share -= part
    return chance.choice(list(CHANGES))


def change(function: Change) -> Change:
    """Put a function into the table, under its own name."""
    CHANGES[function.__name__.strip("_").replace("_", " ")] = function
    return function


def _effects(pick: Pick) -> list[Any]:
    outline = patheffects.withStroke(linewidth=pick.number(1, 6), foreground="m")
    return pick.one([[], [outline], [patheffects.SimpleLineShadow(), patheffects.Normal()]])


Value = Callable[[Pick], Any]

SETTERS: dict[type, dict[str, Value]] = {
    Artist: {
        "visible": lambda pick: pick.random.random() < 0.6,
        "alpha": lambda pick: pick.one([None, 0.3, 0.8, 1.0]),
        "zorder": lambda pick: pick.number(-1, 6),
        "clip_on": lambda pick: pick.random.random() < 0.5,
        "animated": lambda pick: pick.random.random() < 0.3,
        "rasterized": lambda pick: pick.random.random() < 0.5,
        "snap": lambda pick: pick.one([None, True, False]),
        "sketch_params": lambda pick: pick.one([None, 2, 5]),
        "agg_filter": lambda pick: pick.one([None, brighten]),
        "path_effects": _effects,
        "in_layout": lambda pick: pick.random.random() < 0.5,
        "clip_box": lambda pick: pick.one([None, pick.figure.bbox, pick.axes().bbox]),
        "label": lambda pick: pick.one(WORDS[1:]),
    },
    Line2D: {
        "color": Pick.color,
        "linewidth": lambda pick: pick.number(0, 6),
        "linestyle": lambda pick: pick.one(["-", "--", ":", "", (0, (1, 2, 5, 2))]),
        "marker": lambda pick: pick.one(["", "o", "s", "*", "x", "$a$"]),
        "markersize": lambda pick: pick.number(0, 15),
        "markerfacecolor": Pick.color,
        "markeredgewidth": lambda pick: pick.number(0, 3),
        "markevery": lambda pick: pick.one([None, 2, 0.1, [0]]),
        "drawstyle": lambda pick: pick.one(["default", "steps-post", "steps-mid"]),
        "fillstyle": lambda pick: pick.one(["full", "left", "none"]),
        "gapcolor": Pick.color,
        "antialiased": lambda pick: pick.random.random() < 0.5,
        "dash_capstyle": lambda pick: pick.one(["butt", "round"]),
        "solid_joinstyle": lambda pick: pick.one(["miter", "round"]),
    },
    Text: {
        "text": lambda pick: pick.one(WORDS) + str(pick.random.randrange(9)),
        "fontsize": lambda pick: pick.one([5, 8, 13, 20, "large"]),
        "color": Pick.color,
        "rotation": lambda pick: pick.one([0, 30, 90, "vertical", 200]),
        "rotation_mode": lambda pick: pick.one(["default", "anchor"]),
        "horizontalalignment": lambda pick: pick.one(["left", "center", "right"]),
        "verticalalignment": lambda pick: pick.one(["top", "center", "baseline"]),
        "bbox": lambda pick: pick.one([None, {"facecolor": "y"}, {"boxstyle": "round, pad=1"}]),
        "backgroundcolor": Pick.color,
        "fontfamily": lambda pick: pick.one(["serif", "monospace", "DejaVu Sans"]),
        "fontweight": lambda pick: pick.one(["normal", "bold"]),
        "fontstyle": lambda pick: pick.one(["normal", "italic"]),
        "linespacing": lambda pick: pick.number(0.8, 2),
        "wrap": lambda pick: pick.random.random() < 0.7,
        "parse_math": lambda pick: pick.random.random() < 0.5,
        "math_fontfamily": lambda pick: pick.one(["cm", "stix", "dejavuserif"]),
        "transform_rotates_text": lambda pick: pick.random.random() < 0.5,
        "antialiased": lambda pick: pick.random.random() < 0.5,
    },
    Patch: {
        "facecolor": Pick.color,
        "edgecolor": Pick.color,
        "linewidth": lambda pick: pick.number(0, 5),
        "linestyle": lambda pick: pick.one(["-", "--", ":"]),
        "hatch": lambda pick: pick.one([None, "/", "*o", "xx"]),
        "hatchcolor": Pick.color,
        "hatch_linewidth": lambda pick: pick.number(0.2, 4),
        "fill": lambda pick: pick.random.random() < 0.5,
        "joinstyle": lambda pick: pick.one(["miter", "round"]),
        "antialiased": lambda pick: pick.random.random() < 0.5,
    },
    Collection: {
        "facecolor": Pick.color,
        "edgecolor": Pick.color,
        "linewidth": lambda pick: pick.number(0, 4),
        "linestyle": lambda pick: pick.one(["-", "--", [":", "-"]]),
        "hatch": lambda pick: pick.one([None, "/", "*o"]),
        "antialiased": lambda pick: pick.random.random() < 0.5,
        "cmap": lambda pick: pick.one(CMAPS),
        "clim": lambda pick: (pick.number(-2, 0), pick.number(0.1, 4)),
        "norm": lambda pick: pick.one([mpl.colors.PowerNorm(0.5), mpl.colors.Normalize()]),
        "offset_transform": lambda pick: pick.axes().transData,
    },
    _ImageBase: {
        "cmap": lambda pick: pick.one(CMAPS),
        "clim": lambda pick: (pick.number(-2, 0), pick.number(0.1, 4)),
        "norm": lambda pick: pick.one([mpl.colors.PowerNorm(0.5), mpl.colors.Normalize()]),
        "interpolation": lambda pick: pick.one(["nearest", "bilinear", "antialiased"]),
        "interpolation_stage": lambda pick: pick.one(["data", "rgba"]),
        "resample": lambda pick: pick.random.random() < 0.5,
    },
}
"""Values for the setters of each class; all that apply to an artist may be called."""


@change
def _set(pick: Pick) -> str:
    """Call any setter of any artist."""
    kind = pick.one(list(SETTERS))
    artist = pick.artist(kind)
    name = pick.one(list(SETTERS[kind]))
    value = SETTERS[kind][name](pick)
    artist.set(**{name: value})
    return f"{type(artist).__name__}.{name}={str(value)[:30]!r}"


@change
def _set_as_it_is(pick: Pick) -> str:
    """Call a setter with the value that is there."""
    kind = pick.one(list(SETTERS))
    artist = pick.artist(kind)
    name = pick.one([name for name in SETTERS[kind] if hasattr(artist, f"get_{name}")])
    artist.set(**{name: getattr(artist, f"get_{name}")()})
    return f"{type(artist).__name__}.{name}"


@change
def _clip_path(pick: Pick) -> str:
    axes, artist = pick.axes(), pick.artist()
    circle = Circle((0.5, 0.5), pick.number(0.1, 0.6), transform=axes.transAxes)
    artist.set_clip_path(pick.one([None, circle, axes.patch]))
    pick.kept["circle"] = circle
    return type(artist).__name__


@change
def _clip_path_in_place(pick: Pick) -> None:
    if "circle" not in pick.kept:
        raise NothingThereError
    pick.kept["circle"].set_radius(pick.number(0.1, 0.6))


@change
def _clip_the_drawn_ones(pick: Pick) -> None:
    axes = pick.axes()
    axes.patch.set_bounds(0, 0, pick.number(0.4, 1), pick.number(0.4, 1))


@change
def _line_data(pick: Pick) -> str:
    line = pick.artist(Line2D)
    x, y = (np.array(each, dtype=float) for each in line.get_data(orig=False))
    factor = pick.number(0.3, 1.7)
    if pick.random.random() < 0.5:
        line.set_ydata(y * factor)
    else:
        line.set_data(x[: max(2, len(x) // 2)], y[: max(2, len(y) // 2)] * factor)
    return f"{len(x)} points"


@change
def _line_data_in_place(pick: Pick) -> str:
    """Change the line's own arrays; sometimes without telling it."""
    line = pick.artist(Line2D)
    y = line.get_ydata(orig=pick.random.random() < 0.5)
    if not isinstance(y, np.ndarray) or not y.size:
        raise NothingThereError
    y[pick.random.randrange(y.size)] *= pick.number(-1, 2)
    told = pick.random.random() < 0.5
    if told:
        line.recache_always()
    return "told" if told else "not told"


@change
def _line_data_as_they_are(pick: Pick) -> None:
    line = pick.artist(Line2D)
    line.set_data(*line.get_data())


@change
def _text(pick: Pick) -> str:
    text = pick.artist(Text)
    text.set_text(pick.one(WORDS) + str(pick.random.randrange(99)))
    return type(text).__name__


@change
def _text_place(pick: Pick) -> str:
    text = pick.artist(Text)
    x, y = text.get_position()
    text.set_position((x + pick.number(-0.2, 0.2), y + pick.number(-0.2, 0.2)))
    if isinstance(text, Annotation) and pick.random.random() < 0.5:
        text.xy = (text.xy[0] * pick.number(0.5, 2), text.xy[1])
    return type(text).__name__


@change
def _text_font_in_place(pick: Pick) -> str:
    text = pick.artist(Text)
    text.get_fontproperties().set_size(pick.one([6, 12, 18]))
    return type(text).__name__


@change
def _text_box(pick: Pick) -> str:
    text = pick.artist(Text)
    if text.get_bbox_patch() is None:
        text.set_bbox({"boxstyle": pick.one(["square", "round", "rarrow"]), "fc": "w"})
    else:
        text.get_bbox_patch().set(facecolor=pick.color(), linewidth=pick.number(0, 3))
    return type(text).__name__


@change
def _patch_shape(pick: Pick) -> str:
    patch = pick.artist(Patch)
    if isinstance(patch, Rectangle):
        patch.set_height(patch.get_height() * pick.number(0.3, 1.5))
    elif hasattr(patch, "set_radius"):
        patch.set_radius(patch.get_radius() * pick.number(0.5, 1.2))
    else:
        patch.get_path().vertices[:1] *= pick.number(0.8, 1.2)
        patch.stale = True
    return type(patch).__name__


@change
def _offsets(pick: Pick) -> str:
    collection = pick.artist(Collection)
    offsets = np.array(collection.get_offsets(), dtype=float)
    collection.set_offsets(offsets * pick.number(0.5, 1.5))
    return f"{type(collection).__name__} {len(offsets)}"


@change
def _collection_in_place(pick: Pick) -> str:
    collection = pick.artist(Collection)
    kind = pick.one(["offsets", "array", "vertices", "linewidths", "facecolors"])
    if kind == "vertices":
        array = pick.one(collection.get_paths()).vertices
    else:
        array = getattr(collection, f"get_{kind}")()
    if array is None or not len(array):
        raise NothingThereError
    array[pick.random.randrange(len(array))] *= 0.5
    if pick.random.random() < 0.3:
        collection.stale = True
    return f"{type(collection).__name__} {kind}"


@change
def _collection_array(pick: Pick) -> str:
    collection = pick.artist(Collection)
    if collection.get_array() is None:
        raise NothingThereError
    collection.set_array(np.roll(collection.get_array(), pick.random.randrange(9)))
    return type(collection).__name__


@change
def _sizes(pick: Pick) -> None:
    collection = pick.artist(Collection)
    if not hasattr(collection, "set_sizes"):
        raise NothingThereError
    collection.set_sizes([pick.number(1, 90), 20], pick.figure.dpi)


@change
def _paths(pick: Pick) -> str:
    collection = pick.artist(Collection)
    paths = collection.get_paths()
    collection.set_paths([paths[0], *paths[2:]] if paths else paths)
    return type(collection).__name__


@change
def _image_data(pick: Pick) -> None:
    image = pick.artist(_ImageBase)
    array = image.get_array()
    if array is None:
        raise NothingThereError
    image.set_data(np.flip(array, pick.random.randrange(2)))


@change
def _image_in_place(pick: Pick) -> str:
    """Change pixels or the mask of an image; sometimes without telling it."""
    image = pick.artist(_ImageBase)
    array = image._A
    if array is None or not len(array):
        raise NothingThereError
    rows = slice(0, 1 + len(array) // 3)
    kind = pick.one(["values", "mask", "masked"])
    if kind == "values":
        array[rows] = array[len(array) // 2]
    elif kind == "mask":
        array.mask[rows] = True
    else:
        array[rows] = np.ma.masked
    told = pick.random.random() < 0.6
    if told:
        image.changed()
    return f"{kind}, {'told' if told else 'not told'}"


@change
def _extent(pick: Pick) -> None:
    image = pick.artist(AxesImage)
    left, right, bottom, top = image.get_extent()
    image.set_extent((left, left + (right - left) * pick.number(0.4, 1.2), bottom, top))


@change
def _norm_in_place(pick: Pick) -> str:
    mappable = pick.one(
        [each for axes in pick.all_axes() for each in (*axes.collections, *axes.images)]
    )
    low, high = mappable.norm.vmin or 0.0, mappable.norm.vmax or 1.0
    mappable.norm.vmax = high + (high - low) * pick.number(-0.4, 0.6)
    return type(mappable).__name__


@change
def _cmap_in_place(pick: Pick) -> str:
    mappable = pick.one(
        [each for axes in pick.all_axes() for each in (*axes.collections, *axes.images)]
    )
    mappable.get_cmap().set_bad(pick.color())
    mappable.get_cmap().set_under(pick.color())
    return type(mappable).__name__


@change
def _transform_in_place(pick: Pick) -> str:
    """Move an affine transform that an artist is drawn through."""
    artist = pick.artist()
    found = list(_affines(artist.get_transform()))
    pick.one(found).translate(pick.number(-0.2, 0.2), 0)
    return type(artist).__name__


def _affines(transform: Transform) -> list[Affine2D]:
    parts = [getattr(transform, name, None) for name in ("_a", "_b", "_x", "_y", "_child")]
    found = [each for part in parts if isinstance(part, Transform) for each in _affines(part)]
    return [transform, *found] if type(transform) is Affine2D else found


@change
def _own_transform(pick: Pick) -> str:
    artist = pick.artist()
    artist.set_transform(Affine2D().translate(0, pick.number(0, 0.1)) + artist.get_transform())
    return type(artist).__name__


@change
def _remove_artist(pick: Pick) -> str:
    artist = pick.one(pick.axes()._children)
    artist.remove()
    return type(artist).__name__


@change
def _remove_and_add_again(pick: Pick) -> str:
    axes = pick.axes()
    artist = pick.one([*axes.lines, *axes.collections, *axes.texts])
    artist.remove()
    axes.add_artist(artist)
    return type(artist).__name__


@change
def _own_artist(pick: Pick) -> str:
    """Add an artist of the user's own class, or move one without telling anybody."""
    crosses = [each for each in pick.figure.findobj(Cross) if each.axes is not None]
    if crosses and pick.random.random() < 0.7:
        pick.one(crosses).place = pick.number(0, 3)
        return "moved"
    pick.axes().add_artist(Cross(pick.number(0, 3)))
    return "added"


@change
def _animation_step(pick: Pick) -> str:
    animation = pick.one(pick.animations)
    if "steps" not in pick.kept:
        pick.kept["steps"] = animation.new_frame_seq()
        animation._init_draw()
    animation._draw_frame(next(pick.kept["steps"]))
    return type(animation).__name__
