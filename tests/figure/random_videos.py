"""Random figures and random changes to them, for properties that hold for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from random_more import MORE_CHANGES, MORE_INGREDIENTS

X = np.linspace(0, 10, 30)
FIELD = np.outer(np.sin(X), np.cos(X))

Ingredient = Callable[[Any, int], None]
Change = Callable[[Figure, Any, int], None]


def _numbers(seed: int, count: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


INGREDIENTS: dict[str, Ingredient] = {
    "line": lambda axes, n: axes.plot(X, np.cos(X + n), label=f"line {n}"),
    "thick line beyond": lambda axes, n: axes.plot(X, np.sin(X * n), lw=4, clip_on=False),
    "markers": lambda axes, n: axes.plot(X, np.cos(X) * n, "o--", markevery=3),
    "steps": lambda axes, n: axes.step(X, _numbers(n), where="mid"),
    "scatter": lambda axes, n: axes.scatter(X, _numbers(n), c=X, s=20, alpha=0.7),
    "bars": lambda axes, n: axes.bar(range(4), _numbers(n, 4), hatch="/" if n % 2 else None),
    "fill": lambda axes, n: axes.fill_between(X, 0, _numbers(n), alpha=0.5),
    "error bars": lambda axes, n: axes.errorbar(X[::5], _numbers(n, 6), 0.3, capsize=2),
    "image": lambda axes, n: axes.imshow(FIELD * n, extent=(0, 5, -1, 1), aspect="auto"),
    "other image": lambda axes, n: axes.imshow(
        FIELD, extent=(5, 10, -1, 1), interpolation="bilinear", aspect="auto", alpha=0.8
    ),
    "mesh": lambda axes, n: axes.pcolormesh(X[:8], X[:8], FIELD[:8, :8] + n),
    "contours": lambda axes, n: axes.contour(X, X, FIELD * n),
    "arrows": lambda axes, n: axes.quiver(X[:5], X[:5], _numbers(n, 5), _numbers(n + 1, 5)),
    "text": lambda axes, n: axes.text(n % 10, 0, f"text {n}", rotation=20 * (n % 3)),
    "boxed text": lambda axes, n: axes.text(
        0.5, 0.9, f"box {n}", transform=axes.transAxes, bbox={"boxstyle": "round"}
    ),
    "note": lambda axes, n: axes.annotate("note", (5, 0), (7, 1), arrowprops={"arrowstyle": "->"}),
    "patch": lambda axes, n: axes.add_patch(Circle((n % 10, 0), 1, alpha=0.5)),
    "loose patch": lambda axes, n: axes.add_patch(
        Rectangle((n % 10, -1), 2, 3, clip_on=False, fill=False, joinstyle="miter", lw=3)
    ),
    "legend": lambda axes, n: axes.legend(loc=("upper left", "best", "center")[n % 3]),
    "title": lambda axes, n: axes.set_title(f"title {n}", loc=("left", "center", "right")[n % 3]),
    "labels": lambda axes, n: axes.set(xlabel=f"x {n}", ylabel=f"$y_{n}$"),
    "grid": lambda axes, n: axes.grid(True, which=("major", "both")[n % 2]),
    "axis below": lambda axes, n: axes.set_axisbelow((True, False, "line")[n % 3]),
    "minor ticks": lambda axes, n: axes.minorticks_on(),
    "ticks on top": lambda axes, n: axes.xaxis.tick_top(),
    "twin": lambda axes, n: axes.twinx().plot(X, np.sin(X) * n, "r"),
    "inset": lambda axes, n: axes.inset_axes((0.5, 0.5, 0.3, 0.3)).plot(X, X * n),
    "colour bar": lambda axes, n: axes.get_figure().colorbar(axes.scatter(X, X, c=X, s=4), ax=axes),
    "effects": lambda axes, n: axes.plot(
        X, X / 10, path_effects=[patheffects.withStroke(linewidth=4, foreground="c")]
    ),
    "sketched": lambda axes, n: axes.axhline(n % 3).set_sketch_params(2, 20, 3),
    "rough": lambda axes, n: axes.axvline(n % 10, antialiased=False, rasterized=True),
    "polar": lambda axes, n: (
        axes.get_figure().add_axes((0.6, 0.1, 0.3, 0.4), projection="polar").plot(X, X)
    ),
    "space": lambda axes, n: (
        axes.get_figure().add_axes((0.1, 0.1, 0.4, 0.4), projection="3d").plot(X, X, X)
    ),
    "surface": lambda axes, n: (
        axes.get_figure()
        .add_axes((0.1, 0.5, 0.4, 0.4), projection="3d")
        .plot_surface(X[:4, None], X[None, :4], FIELD[:4, :4])
    ),
    "log": lambda axes, n: axes.set_yscale("symlog"),
    "spine": lambda axes, n: axes.spines["left"].set_position(("data", n % 10)),
    **MORE_INGREDIENTS,
}


def _artists(axes: Axes) -> list[Any]:
    return [*axes.lines, *axes.collections, *axes.patches, *axes.texts, *axes.images]


def _some_artist(axes: Axes, n: int) -> Any:
    artists = _artists(axes)
    return artists[n % len(artists)] if artists else axes.title


def _move_lines(figure: Figure, axes: Any, n: int) -> None:
    for line in axes.lines:
        if isinstance(line, Line2D) and len(line.get_ydata()) == len(X):
            line.set_ydata(np.cos(X + n))


def _move_collections(figure: Figure, axes: Any, n: int) -> None:
    for dots in axes.collections:
        if len(dots.get_offsets()) == len(X):
            dots.set_offsets(np.column_stack([X, _numbers(n)]))


def _move_texts(figure: Figure, axes: Any, n: int) -> None:
    for text in axes.texts:
        text.set_text(f"now {n}")
        text.set_position((n % 10, n % 2))


def _grow_bars(figure: Figure, axes: Any, n: int) -> None:
    for bar in axes.patches:
        if isinstance(bar, Rectangle):
            bar.set_height(n % 5)


def _new_images(figure: Figure, axes: Any, n: int) -> None:
    for image in axes.images:
        image.set_data(FIELD * (n % 7))


def _remove(figure: Figure, axes: Any, n: int) -> None:
    if _artists(axes):
        _some_artist(axes, n).remove()


def _clear(figure: Figure, axes: Any, n: int) -> None:
    axes.clear()
    axes.plot(X, np.sin(X * n))


def _in_place(figure: Figure, axes: Any, n: int) -> None:
    for image in axes.images:
        image.get_array()[:5] = n % 3
    for line in axes.lines:
        if isinstance(line.get_xdata(), np.ndarray):
            line.get_path().vertices[:1] = n % 3


CHANGES: dict[str, Change] = {
    "nothing": lambda figure, axes, n: None,
    "move lines": _move_lines,
    "move dots": _move_collections,
    "move texts": _move_texts,
    "grow bars": _grow_bars,
    "new images": _new_images,
    "hide or show": lambda figure, axes, n: _some_artist(axes, n).set_visible(n % 2),
    "transparency": lambda figure, axes, n: _some_artist(axes, n).set_alpha(0.1 + n % 9 / 10),
    "order": lambda figure, axes, n: _some_artist(axes, n).set_zorder(n % 6),
    "clip": lambda figure, axes, n: _some_artist(axes, n).set_clip_path(
        Circle((5, 0), 2 + n % 3, transform=axes.transData)
    ),
    "clip off": lambda figure, axes, n: _some_artist(axes, n).set_clip_on(False),
    "animated": lambda figure, axes, n: _some_artist(axes, n).set_animated(n % 2 == 0),
    "x limits": lambda figure, axes, n: axes.set_xlim(0, 5 + n % 9),
    "y limits": lambda figure, axes, n: axes.set_ylim(-1 - n % 5, 2),
    "rescale": lambda figure, axes, n: (axes.relim(), axes.autoscale(), axes.margins(0.1)),
    "scale": lambda figure, axes, n: axes.set_yscale(("linear", "symlog")[n % 2]),
    "title": lambda figure, axes, n: axes.set_title(f"now {n}\n" * (1 + n % 2)),
    "label": lambda figure, axes, n: axes.set_ylabel(f"y {n}"),
    "grid": lambda figure, axes, n: axes.grid(n % 2 == 0),
    "ticks": lambda figure, axes, n: axes.tick_params(labelsize=6 + n % 6, direction="inout"),
    "tick places": lambda figure, axes, n: axes.set_xticks(range(n % 7 + 1)),
    "frame": lambda figure, axes, n: axes.set_frame_on(n % 2),
    "axis off": lambda figure, axes, n: axes.axis("off" if n % 2 else "on"),
    "spine": lambda figure, axes, n: axes.spines["top"].set_visible(n % 2),
    "background": lambda figure, axes, n: axes.set_facecolor("wcy"[n % 3]),
    "place": lambda figure, axes, n: axes.set_position((0.1 + n % 3 / 10, 0.2, 0.6, 0.6)),
    "aspect": lambda figure, axes, n: axes.set_aspect(("auto", 2.0)[n % 2], adjustable="datalim"),
    "hide axes": lambda figure, axes, n: axes.set_visible(n % 2),
    "axes order": lambda figure, axes, n: axes.set_zorder(n % 3),
    "view": lambda figure, axes, n: axes.name == "3d" and axes.view_init(20, 30 * n),
    "bound method": lambda figure, axes, n: axes.tick_params(labelrotation=n),
    "best legend": lambda figure, axes, n: axes.legend(),
    "subplots": lambda figure, axes, n: figure.subplots_adjust(left=0.1 + n % 4 / 20),
    "layout": lambda figure, axes, n: figure.set_layout_engine(
        (None, "tight", "constrained")[n % 3]
    ),
    "remove axes": lambda figure, axes, n: len(figure.axes) > 1 and axes.remove(),
    "remove": _remove,
    "clear": _clear,
    "add": lambda figure, axes, n: axes.plot(X, _numbers(n)),
    "legend": lambda figure, axes, n: axes.legend(loc="upper right"),
    "dpi": lambda figure, axes, n: figure.set_dpi(50 + n % 3 * 10),
    "size": lambda figure, axes, n: figure.set_size_inches(3 + n % 2, 3),
    "page": lambda figure, axes, n: figure.set_facecolor("wcy"[n % 3]),
    "big title": lambda figure, axes, n: figure.suptitle(f"all {n}"),
    "figure text": lambda figure, axes, n: figure.text(n % 10 / 10, 0.5, f"{n}"),
    "new axes": lambda figure, axes, n: figure.add_axes((0.6, 0.6, 0.3, 0.3)).plot(X, X * n),
    "in place": _in_place,
    "align": lambda figure, axes, n: figure.align_labels(),
    **MORE_CHANGES,
}


def build(
    rows: int,
    columns: int,
    recipe: list[tuple[int, str, int]],
    share: bool,
    layout: str = "none",
    parts: int = 1,
) -> Figure:
    """A figure of a grid of axes with some ingredients in each, in as many subfigures."""
    figure = Figure(figsize=(4, 3), dpi=60, layout=layout)
    homes: list[Any] = [figure] if parts == 1 else list(figure.subfigures(1, parts))
    for home in homes:
        home.subplots(rows, columns, squeeze=False, sharex=share)
    places = list(figure.axes)
    for place, name, number in recipe:
        attempt(INGREDIENTS[name], places[place % len(places)], number)
    return figure


def apply(figure: Figure, place: int, name: str, number: int) -> str:
    """Change something in one axes of `figure`; returns the error that matplotlib raised."""
    axes = figure.axes[place % len(figure.axes)]
    return attempt(CHANGES[name], figure, axes, number)


def attempt(action: Callable[..., Any], *args: Any) -> str:
    """Call `action`; matplotlib refuses some things on some axes. Returns the error's name."""
    try:
        action(*args)
    except Exception as error:
        return type(error).__name__
    return ""
