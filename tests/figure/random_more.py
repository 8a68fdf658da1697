"""Further things for random figures, and further changes to them: the rarer ones."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.collections import EllipseCollection, LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredText
from matplotlib.patches import Circle, ConnectionPatch, FancyArrowPatch, Wedge
from matplotlib.ticker import MaxNLocator, PercentFormatter

X = np.linspace(0, 10, 30)
FIELD = np.outer(np.sin(X), np.cos(X))
DAYS = np.datetime64("2024-01-01") + np.arange(30)


class Cross(Artist):
    """An artist of the user's own, which draws with another one."""

    def __init__(self, place: float) -> None:
        super().__init__()
        self.place = place

    def draw(self, renderer: Any) -> None:
        """Draw a cross at its place, whoever set that."""
        line = mpl.lines.Line2D([self.place, self.place + 1], [0, 1], transform=self.axes.transData)
        line.set_figure(self.axes.get_figure())
        line.draw(renderer)


def brighten(image: np.ndarray, dpi: float) -> tuple[np.ndarray, int, int]:
    """An agg filter that moves and turns colours around."""
    return image[..., [2, 1, 0, 3]], 3, 3


def _segments(n: int) -> LineCollection:
    lines = [np.column_stack([X, np.sin(X + n + k)]) for k in range(3)]
    return LineCollection(lines, array=[1, 2, 3], linewidths=[1, 4], linestyles=["-", ":"])


def _patches(n: int) -> PatchCollection:
    patches = [Circle((n % 10, 0), 1), Wedge((5, 0), 1, 20, 200)]
    return PatchCollection(patches, alpha=0.5, hatch="x")


def _ellipses(n: int) -> EllipseCollection:
    return EllipseCollection(X[:5], X[:5] / 2, 10 * X[:5], units="x", offsets=np.c_[X[:5], X[:5]])


def _add_cross(axes: Any, n: int) -> None:
    cross = Cross(n % 10)
    axes.add_artist(cross)


def _twin_over(axes: Any, n: int) -> None:
    twin = axes.twiny()
    twin.plot(X * n, X)
    twin.set_xlabel(f"other {n}")


def _line_between(axes: Any, n: int) -> None:
    other = axes.get_figure().axes[-1]
    axes.add_artist(
        ConnectionPatch((n, 0), (n, 0), coordsA=axes.transData, coordsB=other.transData)
    )


def _secondary(axes: Any, n: int) -> None:
    axes.secondary_yaxis("right", functions=(_double, _halve))


def _double(numbers: Any) -> Any:
    return np.asarray(numbers) * 2


def _halve(numbers: Any) -> Any:
    return np.asarray(numbers) / 2


MORE_INGREDIENTS: dict[str, Any] = {
    "segments": lambda axes, n: axes.add_collection(_segments(n)),
    "patches": lambda axes, n: axes.add_collection(_patches(n)),
    "ellipses": lambda axes, n: axes.add_collection(_ellipses(n)),
    "events": lambda axes, n: axes.eventplot([X[::4], X[::7] + 0.2]),
    "stems": lambda axes, n: axes.stem(X[::3], np.cos(X[::3] * n)),
    "stairs": lambda axes, n: axes.stairs(np.cos(X[:9] + n), X[:10], fill=n % 2 == 0),
    "histogram": lambda axes, n: axes.hist(np.cos(X * n), bins=6, histtype="step"),
    "boxes": lambda axes, n: axes.boxplot([X * n, X], notch=True),
    "pie": lambda axes, n: axes.pie([1, 2, n], labels=["a", "b", "c"], shadow=True),
    "hexagons": lambda axes, n: axes.hexbin(X, np.sin(X * n), gridsize=8),
    "triangles": lambda axes, n: axes.tripcolor(X, np.cos(X * 3), np.sin(X), shading="gouraud"),
    "cells": lambda axes, n: axes.pcolor(X[:6], X[:6], FIELD[:6, :6], hatch="/"),
    "quick cells": lambda axes, n: axes.pcolorfast(X[:6], X[:6] ** 2, FIELD[:5, :5]),
    "shaded": lambda axes, n: axes.pcolormesh(X[:8], X[:8], FIELD[:8, :8] * n, shading="gouraud"),
    "areas": lambda axes, n: axes.contourf(X, X, FIELD, hatches=["/", "."], alpha=0.5),
    "level names": lambda axes, n: axes.clabel(axes.contour(X, X, FIELD, levels=[-0.5, 0.5])),
    "barbs": lambda axes, n: axes.barbs(X[:4], X[:4], 20 * X[:4], 10 * X[:4]),
    "key": lambda axes, n: axes.quiverkey(
        axes.quiver(X[:4], X[:4], X[:4], X[:4]), 0.8, 0.9, 2, "2"
    ),
    "streams": lambda axes, n: axes.streamplot(X[:5], X[:5], FIELD[:5, :5], FIELD[5:10, :5]),
    "endless line": lambda axes, n: axes.axline((0, 0), slope=n / 10),
    "span": lambda axes, n: axes.axvspan(1, 1 + n % 5, alpha=0.3, hatch="."),
    "table": lambda axes, n: axes.table([["1", str(n)]], loc="bottom"),
    "anchored": lambda axes, n: axes.add_artist(AnchoredText(f"at {n}", loc="lower left")),
    "arrow": lambda axes, n: axes.add_patch(
        FancyArrowPatch((1, 0), (n % 10, 1), mutation_scale=15, connectionstyle="arc3,rad=0.3")
    ),
    "cross": _add_cross,
    "line between axes": _line_between,
    "filtered": lambda axes, n: axes.plot(X, np.cos(X))[0].set_agg_filter(brighten),
    "rastered level": lambda axes, n: axes.set_rasterization_zorder(n % 4),
    "dates": lambda axes, n: axes.plot(DAYS, np.sin(X + n)),
    "categories": lambda axes, n: axes.plot(["a", "b", "c"], [n, 2, 3]),
    "logarithms": lambda axes, n: axes.loglog(X + 1, X * n + 1),
    "secondary": _secondary,
    "other twin": _twin_over,
    "inset zoom": lambda axes, n: axes.indicate_inset_zoom(
        axes.inset_axes((0.1, 0.5, 0.3, 0.3), xlim=(1, 3), ylim=(-1, 0))
    ),
    "two colour bars": lambda axes, n: [
        axes.get_figure().colorbar(axes.scatter(X, X + k, c=X * n), ax=axes, location=side)
        for k, side in enumerate(("left", "bottom"))
    ],
    "line in space": lambda axes, n: (
        axes.get_figure().add_axes((0.5, 0.1, 0.4, 0.4), projection="3d").plot(X, X * n, X)
    ),
    "bars in space": lambda axes, n: (
        axes.get_figure()
        .add_axes((0.5, 0.5, 0.4, 0.4), projection="3d")
        .bar3d([1, 2], [1, 2], [0, 0], 1, 1, [n, 2])
    ),
    "bars around": lambda axes, n: (
        axes.get_figure().add_axes((0.1, 0.5, 0.4, 0.4), projection="polar").bar(X[:5], X[:5])
    ),
    "globe": lambda axes, n: (
        axes.get_figure().add_axes((0.1, 0.1, 0.4, 0.4), projection="mollweide").plot(X / 5, X / 9)
    ),
    "big numbers": lambda axes, n: axes.plot(X * 1e3 * n, X * 1e-7 + 1e6),
    "image of numbers": lambda axes, n: axes.matshow(FIELD[:5, : 3 + n % 3]),
    "sharp image": lambda axes, n: axes.imshow(FIELD, extent=(2, 4, 0, 1), clip_on=False),
    "figure legend": lambda axes, n: axes.get_figure().legend(loc="lower right"),
    "figure image": lambda axes, n: axes.get_figure().figimage(FIELD * n, 10, n),
    "edge labels": lambda axes, n: (
        axes.get_figure().supxlabel(f"all x {n}"),
        axes.get_figure().supylabel("all y"),
    ),
    "bar names": lambda axes, n: axes.bar_label(axes.bar(range(3), [1, n, 2])),
    "snapped": lambda axes, n: axes.axhline(0.3, snap=n % 2 == 0, lw=n % 3 + 0.5),
    "text around": lambda axes, n: axes.text(0.5, 0.5, "many words " * n, wrap=True),
    "outlined text": lambda axes, n: axes.text(
        n % 10, 0, "outlined", path_effects=[patheffects.withStroke(linewidth=3, foreground="y")]
    ),
}
"""Each adds something to an axes; the number makes it a little different."""


def _artists(axes: Any) -> list[Any]:
    return [*axes.lines, *axes.collections, *axes.patches, *axes.texts, *axes.images]


def _one(axes: Any, n: int) -> Any:
    artists = _artists(axes)
    return artists[n % len(artists)] if artists else axes.patch


def _move_over(figure: Figure, axes: Any, n: int) -> None:
    """Take a line from its axes and give it to another."""
    if axes.lines and len(figure.axes) > 1:
        line = axes.lines[0]
        line.remove()
        line.set_transform(None)
        line._transformSet = False
        line.axes = None
        line.set_clip_path(None)
        figure.axes[n % len(figure.axes)].add_line(line)


def _in_place(figure: Figure, axes: Any, n: int) -> None:
    """Change what artists hold, without telling them."""
    for artist in axes.collections:
        artist.get_offsets()[:1] = n % 5
        if artist.get_array() is not None:
            artist.get_array()[:1] = n % 5
    for patch in axes.patches:
        patch.get_path().vertices.flags.writeable and patch.get_path().vertices.__imul__(1.01)
    for text in axes.texts:
        text.get_fontproperties().set_size(5 + n % 9)
    axes.transAxes.get_matrix()


def _tick_in_place(figure: Figure, axes: Any, n: int) -> None:
    ticks = axes.xaxis.get_major_ticks()
    if ticks:
        ticks[n % len(ticks)].label1.set_color("rgb"[n % 3])
        ticks[n % len(ticks)].tick1line.set_markersize(n)
        ticks[0].label1.get_fontproperties().set_size(4 + n % 5)


def _cross_moves(figure: Figure, axes: Any, n: int) -> None:
    for artist in axes.artists:
        if isinstance(artist, Cross):
            artist.place = n % 10


def _colours(figure: Figure, axes: Any, n: int) -> None:
    for thing in (*axes.images, *axes.collections):
        thing.set_clim(-1, n % 4)
        thing.set_cmap(("viridis", "hot")[n % 2])


def _norm(figure: Figure, axes: Any, n: int) -> None:
    for thing in (*axes.images, *axes.collections):
        thing.norm.vmin, thing.norm.vmax = -1 - n % 3, 2 + n % 4


def _look_of_lines(figure: Figure, axes: Any, n: int) -> None:
    for line in axes.lines:
        line.set(linestyle=("-", "--", ":")[n % 3], marker=("", "s", "*")[n % 3], lw=n % 5)
        if type(line) is mpl.lines.Line2D:
            line.set_drawstyle(("default", "steps-post")[n % 2])


def _look_of_patches(figure: Figure, axes: Any, n: int) -> None:
    for patch in axes.patches:
        patch.set(hatch=("", "/", "*")[n % 3], linewidth=n % 4, edgecolor="rgb"[n % 3])


def _effects(figure: Figure, axes: Any, n: int) -> None:
    artist = _one(axes, n)
    artist.set_path_effects([patheffects.withStroke(linewidth=n % 7, foreground="m")])


def _legend(figure: Figure, axes: Any, n: int) -> None:
    legend = axes.get_legend()
    if legend is not None:
        legend.set_visible(n % 4 > 0)
        legend.get_frame().set_facecolor("wcy"[n % 3])
        legend.set_title(f"legend {n}")


def _insets(figure: Figure, axes: Any, n: int) -> None:
    for child in axes.child_axes:
        child.set_xlim(0, 1 + n % 7)
        child.set_zorder(n % 7)


def _saved(figure: Figure, axes: Any, n: int) -> None:
    axes.tick_params(colors="krb"[n % 3])
    figure.savefig(io.BytesIO(), format=("png", "svg")[n % 2], dpi=40)


def _measured(figure: Figure, axes: Any, n: int) -> None:
    axes.title.set_fontsize(5 + n % 8)
    figure.draw_without_rendering()
    axes.get_tightbbox()


MORE_CHANGES: dict[str, Any] = {
    "move over": _move_over,
    "in place, more": _in_place,
    "ticks themselves": _tick_in_place,
    "cross": _cross_moves,
    "colours": _colours,
    "norm": _norm,
    "look of lines": _look_of_lines,
    "look of patches": _look_of_patches,
    "effects": _effects,
    "filter": lambda figure, axes, n: _one(axes, n).set_agg_filter((None, brighten)[n % 2]),
    "sketch": lambda figure, axes, n: _one(axes, n).set_sketch_params((None, 2)[n % 2], 20, 3),
    "snap": lambda figure, axes, n: _one(axes, n).set_snap((None, True, False)[n % 3]),
    "rasterized": lambda figure, axes, n: _one(axes, n).set_rasterized(n % 2 == 0),
    "antialiased": lambda figure, axes, n: _one(axes, n).set_antialiased(n % 2 == 0),
    "clip box": lambda figure, axes, n: _one(axes, n).set_clip_box(axes.get_figure().bbox),
    "legend itself": _legend,
    "insets": _insets,
    "saved": _saved,
    "measured": _measured,
    "invert": lambda figure, axes, n: axes.invert_xaxis(),
    "margins": lambda figure, axes, n: axes.margins(n % 5 / 10),
    "locator": lambda figure, axes, n: axes.xaxis.set_major_locator(MaxNLocator(1 + n % 7)),
    "locator in place": lambda figure, axes, n: axes.locator_params(nbins=1 + n % 7),
    "formatter": lambda figure, axes, n: axes.yaxis.set_major_formatter(PercentFormatter(n)),
    "tick names": lambda figure, axes, n: axes.set_xticks([1, 5, 9], ["a", "b" * n, "c"]),
    "tick sides": lambda figure, axes, n: axes.tick_params(top=n % 2, labelright=n % 3 == 0),
    "minor": lambda figure, axes, n: (axes.minorticks_on, axes.minorticks_off)[n % 2](),
    "grid look": lambda figure, axes, n: axes.grid(True, color="rgb"[n % 3], lw=n % 4),
    "below": lambda figure, axes, n: axes.set_axisbelow((True, False, "line")[n % 3]),
    "logs": lambda figure, axes, n: axes.set_xscale(("log", "linear", "symlog")[n % 3]),
    "spine places": lambda figure, axes, n: axes.spines["bottom"].set_position(("axes", n / 30)),
    "spine bounds": lambda figure, axes, n: axes.spines["left"].set_bounds(-1, n % 4),
    "spine width": lambda figure, axes, n: axes.spines[:].set_linewidth(n % 6),
    "raster level": lambda figure, axes, n: axes.set_rasterization_zorder((None, n % 5)[n % 2]),
    "titles": lambda figure, axes, n: axes.set_title(f"{n}", loc="left", pad=n, y=(None, 1)[n % 2]),
    "label place": lambda figure, axes, n: axes.xaxis.set_label_coords(0.5, -n / 100),
    "label pad": lambda figure, axes, n: setattr(axes.xaxis, "labelpad", n % 20),
    "offset text": lambda figure, axes, n: axes.ticklabel_format(
        axis="both", style="sci", scilimits=(0, n % 3)
    ),
    "twin now": lambda figure, axes, n: axes.twinx().plot(X, X * n, "g"),
    "share": lambda figure, axes, n: figure.axes[0] is not axes and axes.sharex(figure.axes[0]),
    "box": lambda figure, axes, n: axes.set_box_aspect((None, 0.5, 1)[n % 3]),
    "anchor": lambda figure, axes, n: axes.set_anchor("NSW"[n % 3]),
    "set data": lambda figure, axes, n: axes.lines and axes.lines[0].set_data([1, n], [0, 1]),
    "rc": lambda figure, axes, n: mpl.rcParams.update({"hatch.linewidth": 0.5 + n % 3}),
    "rc for ticks": lambda figure, axes, n: mpl.rcParams.update({"axes.unicode_minus": n % 2 == 0}),
    "view more": lambda figure, axes, n: axes.name == "3d" and axes.set_zlim(0, n),
    "zoom": lambda figure, axes, n: axes.name == "3d" and axes.set_box_aspect(None, zoom=n / 15),
    "polar more": lambda figure, axes, n: axes.name == "polar" and axes.set_theta_offset(n),
    "subfigure": lambda figure, axes, n: [
        part.set_facecolor("wcy"[n % 3]) for part in figure.subfigs
    ],
    "subfigure title": lambda figure, axes, n: [p.suptitle(f"{n}") for p in figure.subfigs],
    "legend of figure": lambda figure, axes, n: figure.legend(loc="upper left"),
    "no figure texts": lambda figure, axes, n: [text.remove() for text in list(figure.texts)],
    "figure line": lambda figure, axes, n: figure.add_artist(
        mpl.lines.Line2D([0, 1], [0, n / 30], zorder=n % 6)
    ),
}
"""Each changes something in a figure, most of them in one of its axes."""
