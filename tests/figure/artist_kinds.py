"""Small figures, one for each kind of artist that matplotlib defines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.patches as mpatches
import numpy as np
from matplotlib import collections as mcoll
from matplotlib import offsetbox
from matplotlib.colors import BoundaryNorm, CenteredNorm, LogNorm, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import BboxImage, NonUniformImage, PcolorImage
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.table import Table
from matplotlib.ticker import FixedLocator, FormatStrFormatter, MultipleLocator
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox
from mpl_toolkits.axes_grid1 import anchored_artists, inset_locator, mpl_axes
from mpl_toolkits.mplot3d import art3d

Make = Callable[[Any], Any]

KINDS: dict[str, tuple[Make, dict[str, Any]]] = {}
"""By name what adds the artist to some axes and gives it back, and the options of the axes."""

POINTS = np.array([[0.2, 0.2], [0.8, 0.3], [0.5, 0.8]])
GRID = np.arange(12.0).reshape(3, 4)
RGBA = np.tile(np.array([0.2, 0.4, 0.6, 0.8]), (3, 4, 1))


def figure_of(name: str) -> tuple[Figure, Any]:
    """A figure with one kind of artist in it, and the artist."""
    make, options = KINDS[name]
    figure = Figure(figsize=(1.8, 1.4), dpi=50)
    axes = figure.add_subplot(**options)
    if not options:
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    return figure, make(axes)


def kind(make: Make | None = None, /, **options: Any) -> Any:
    """Enter a function among the kinds."""
    if make is None:
        return lambda function: kind(function, **options)
    KINDS[make.__name__] = (make, options)
    return make


def patch_kind(name: str, make: Callable[[], Any]) -> None:
    """Enter a patch."""
    KINDS[name] = (lambda axes: axes.add_artist(make()), {})


@kind
def line(axes: Any) -> Any:
    return axes.plot(*POINTS.T, "o--", markersize=4, markevery=2, label="one")[0]


@kind
def line_with_looks(axes: Any) -> Any:
    line = axes.plot(
        *POINTS.T, ":", drawstyle="steps", gapcolor="red", marker=(5, 1, 20),
        path_effects=[withStroke(linewidth=5, foreground="y")],
    )[0]  # fmt: skip
    line.set_sketch_params(2, 9, 3)
    return line


@kind
def dated_line(axes: Any) -> Any:
    axes.set(xlim=(None, None), ylim=(None, None))
    return axes.plot(np.array(["2021-01-01", "2021-01-03"], "datetime64[D]"), [1, 2])[0]


@kind
def masked_line(axes: Any) -> Any:
    return axes.plot(POINTS[:, 0], np.ma.array(POINTS[:, 1], mask=[False, True, False]), "o-")[0]


@kind
def endless_line(axes: Any) -> Any:
    return axes.axline((0.2, 0.2), slope=0.7, clip_on=True)


@kind
def line_of_a_figure(axes: Any) -> Any:
    return axes.figure.add_artist(Line2D([0.1, 0.9], [0.1, 0.5], lw=3))


SQUARE = [(0.2, 0.2), (0.8, 0.2), (0.6, 0.7)]
patch_kind("rectangle", lambda: mpatches.Rectangle((0.2, 0.2), 0.5, 0.4, angle=10, hatch="/"))
patch_kind("circle", lambda: mpatches.Circle((0.5, 0.5), 0.3, alpha=0.5))
patch_kind("ellipse", lambda: mpatches.Ellipse((0.5, 0.5), 0.6, 0.3, angle=20))
patch_kind("annulus", lambda: mpatches.Annulus((0.5, 0.5), 0.4, 0.1))
patch_kind("arc", lambda: mpatches.Arc((0.5, 0.5), 0.6, 0.4, theta1=10, theta2=200))
patch_kind("wedge", lambda: mpatches.Wedge((0.5, 0.5), 0.4, 10, 200, width=0.2))
patch_kind("arrow", lambda: mpatches.Arrow(0.2, 0.2, 0.5, 0.5, width=0.3))
patch_kind("fancy_arrow", lambda: mpatches.FancyArrow(0.2, 0.2, 0.5, 0.4, width=0.05))
patch_kind("polygon", lambda: mpatches.Polygon(SQUARE, closed=True))
patch_kind("regular_polygon", lambda: mpatches.RegularPolygon((0.5, 0.5), 5, radius=0.3))
patch_kind("circle_polygon", lambda: mpatches.CirclePolygon((0.5, 0.5), 0.3, resolution=8))
patch_kind("path_patch", lambda: mpatches.PathPatch(Path([*SQUARE, (0.2, 0.2)], closed=True)))
patch_kind("step_patch", lambda: mpatches.StepPatch([0.2, 0.6], [0.1, 0.5, 0.9], baseline=0))
patch_kind(
    "fancy_box", lambda: mpatches.FancyBboxPatch((0.3, 0.3), 0.4, 0.3, boxstyle="round,pad=0.1")
)
patch_kind(
    "fancy_arrow_patch",
    lambda: mpatches.FancyArrowPatch(
        (0.2, 0.2),
        (0.8, 0.7),
        connectionstyle="arc3,rad=0.3",
        arrowstyle="fancy",
        mutation_scale=15,
    ),
)
patch_kind(
    "arrow_along_a_path",
    lambda: mpatches.FancyArrowPatch(path=Path(SQUARE, [1, 3, 3]), mutation_scale=9),
)
patch_kind("shadow", lambda: mpatches.Shadow(mpatches.Circle((0.5, 0.5), 0.2), 0.1, -0.1))


@kind
def clipped_patch(axes: Any) -> Any:
    patch = axes.add_patch(mpatches.Rectangle((0.1, 0.1), 0.8, 0.8))
    patch.set_clip_path(mpatches.Circle((0.5, 0.5), 0.3, transform=axes.transData))
    return patch


@kind
def connection(axes: Any) -> Any:
    return axes.figure.add_artist(
        mpatches.ConnectionPatch((0.2, 0.3), (0.8, 0.9), "data", "figure fraction", axesA=axes)
    )


@kind
def text(axes: Any) -> Any:
    return axes.text(
        0.3, 0.4, "ab\ncd $x^2$", rotation=20, bbox={"boxstyle": "round", "facecolor": "y"}
    )


@kind
def wrapped_text(axes: Any) -> Any:
    return axes.text(0.3, 0.4, "some words and more", wrap=True, ha="right", linespacing=1.5)


@kind
def text_of_a_figure(axes: Any) -> Any:
    return axes.figure.suptitle("above", fontsize=8)


@kind
def title(axes: Any) -> Any:
    axes.set_xticks([0.5])
    return axes.set_title("title", fontsize=7)


@kind
def annotation(axes: Any) -> Any:
    return axes.annotate(
        "note", (0.2, 0.3), (0.5, 0.6), arrowprops={"arrowstyle": "->"}, bbox={"facecolor": "c"}
    )


@kind
def annotation_at_an_artist(axes: Any) -> Any:
    dot = axes.plot([0.3], [0.3], "o")[0]
    return axes.annotate("n", (1, 0.5), (9, 9), xycoords=dot, textcoords="offset points")


@kind
def annotation_with_a_shape(axes: Any) -> Any:
    look = {"facecolor": "g", "shrink": 0.1, "width": 3}
    return axes.annotate("s", (0.2, 0.2), (0.7, 0.7), arrowprops=look)


@kind
def annotation_box(axes: Any) -> Any:
    picture = offsetbox.OffsetImage(GRID, zoom=3)
    return axes.add_artist(
        offsetbox.AnnotationBbox(
            picture, (0.3, 0.3), (0.7, 0.6), arrowprops={"arrowstyle": "->"}, pad=0.2
        )
    )


@kind
def packed_boxes(axes: Any) -> Any:
    drawing = offsetbox.DrawingArea(20, 15, 2, 2)
    drawing.add_artist(mpatches.Circle((8, 8), 5))
    scaled = offsetbox.AuxTransformBox(axes.transData)
    scaled.add_artist(mpatches.Rectangle((0, 0), 0.1, 0.1))
    column = offsetbox.VPacker(children=[offsetbox.TextArea("t"), drawing], pad=1, sep=2)
    padded = offsetbox.PaddedBox(scaled, pad=2, draw_frame=True)
    row = offsetbox.HPacker(children=[column, padded], pad=1, sep=2)
    return axes.add_artist(offsetbox.AnchoredOffsetbox("upper left", child=row, frameon=True))


@kind
def anchored_text(axes: Any) -> Any:
    return axes.add_artist(offsetbox.AnchoredText("anchored", "lower right", prop={"size": 7}))


@kind
def scale_bar(axes: Any) -> Any:
    return axes.add_artist(anchored_artists.AnchoredSizeBar(axes.transData, 0.3, "3", 4))


@kind
def direction_arrows(axes: Any) -> Any:
    return axes.add_artist(anchored_artists.AnchoredDirectionArrows(axes.transAxes, "x", "y"))


@kind
def anchored_shapes(axes: Any) -> Any:
    area = anchored_artists.AnchoredDrawingArea(20, 20, 0, 0, loc="upper left")
    area.drawing_area.add_artist(mpatches.Circle((10, 10), 8))
    scaled = anchored_artists.AnchoredAuxTransformBox(axes.transData, loc="lower left")
    scaled.drawing_area.add_artist(mpatches.Ellipse((0, 0), 0.2, 0.3))
    axes.add_artist(area)
    return axes.add_artist(scaled)


@kind
def inset_marks(axes: Any) -> Any:
    inset = inset_locator.inset_axes(axes, "40%", "40%", loc=1)
    inset.set(xlim=(0.2, 0.4), ylim=(0.2, 0.4), xticks=[], yticks=[])
    patch, one, other = inset_locator.mark_inset(axes, inset, loc1=2, loc2=4)
    return [patch, one, other]


@kind
def connected_boxes(axes: Any) -> Any:
    first, second = (
        TransformedBbox(Bbox.from_extents(*each), axes.transData)
        for each in ((0.1, 0.1, 0.3, 0.4), (0.6, 0.5, 0.9, 0.9))
    )
    patch = inset_locator.BboxConnectorPatch(first, second, 1, 2, 4, 3, clip_on=False)
    return axes.add_patch(patch)


@kind
def inset_indicator(axes: Any) -> Any:
    inset = axes.inset_axes((0.6, 0.6, 0.35, 0.35), xlim=(0.1, 0.3), ylim=(0.1, 0.3))
    inset.set(xticks=[], yticks=[])
    return axes.indicate_inset_zoom(inset)


@kind
def scatter(axes: Any) -> Any:
    return axes.scatter(*POINTS.T, s=[20, 40, 60], c=[1, 2, 3], marker="^", hatch="//")


@kind
def line_collection(axes: Any) -> Any:
    return axes.add_collection(
        mcoll.LineCollection([POINTS, POINTS[::-1] * 0.5], linewidths=[1, 3], array=[1.0, 2.0])
    )


@kind
def poly_collection(axes: Any) -> Any:
    look = {"facecolors": ["r", "b"], "hatch": "x", "offsets": [(0, 0), (0.1, 0.2)]}
    return axes.add_collection(mcoll.PolyCollection([POINTS, POINTS * 0.6], sizes=[1], **look))


@kind
def filled_between(axes: Any) -> Any:
    return axes.fill_between(POINTS[:, 0], POINTS[:, 1], where=[True, True, False], step="mid")


@kind
def quad_mesh(axes: Any) -> Any:
    return axes.pcolormesh(
        GRID, shading="flat", norm=PowerNorm(0.5), transform=FIT + axes.transData
    )


@kind
def smooth_mesh(axes: Any) -> Any:
    return axes.pcolormesh(GRID, shading="gouraud", transform=FIT + axes.transData)


FIT = Affine2D().scale(0.25, 0.3)


@kind
def polygon_mesh(axes: Any) -> Any:
    return axes.pcolor(GRID, norm=BoundaryNorm([0, 3, 8, 12], 256), transform=FIT + axes.transData)


@kind
def triangles(axes: Any) -> Any:
    return axes.tripcolor(*POINTS.T, [1, 2, 3], shading="gouraud")


@kind
def flat_triangles(axes: Any) -> Any:
    return axes.tripcolor(*POINTS.T, [1, 2, 3], edgecolors="k")


@kind
def ellipses(axes: Any) -> Any:
    return axes.add_collection(
        mcoll.EllipseCollection(
            [0.3, 0.2], [0.1, 0.2], [10, 40], units="xy", offsets=POINTS[:2],
            offset_transform=axes.transData,
        )
    )  # fmt: skip


@kind
def circles(axes: Any) -> Any:
    circles = mcoll.CircleCollection([40, 90], offsets=POINTS, offset_transform=axes.transData)
    return axes.add_collection(circles)


@kind
def regular_polygons(axes: Any) -> Any:
    make = {"offsets": POINTS, "offset_transform": axes.transData, "sizes": [50]}
    kinds = (
        mcoll.RegularPolyCollection,
        mcoll.StarPolygonCollection,
        mcoll.AsteriskPolygonCollection,
    )
    return [axes.add_collection(each(5, rotation=0.3, **make)) for each in kinds]


@kind
def patches(axes: Any) -> Any:
    shapes = [mpatches.Circle((0.3, 0.3), 0.2), mpatches.Rectangle((0.5, 0.5), 0.3, 0.2)]
    return axes.add_collection(
        mcoll.PatchCollection(shapes, array=[1.0, 2.0], match_original=False)
    )


@kind
def events(axes: Any) -> Any:
    return axes.eventplot([0.2, 0.5, 0.9], lineoffsets=0.5, linelengths=0.4)[0]


@kind
def stems(axes: Any) -> Any:
    return list(axes.stem([0.2, 0.7], [0.4, 0.8]).get_children())


@kind
def error_bars(axes: Any) -> Any:
    return axes.errorbar([0.3, 0.7], [0.4, 0.6], yerr=0.1, xlolims=True, xerr=0.1).get_children()


@kind
def image(axes: Any) -> Any:
    return axes.imshow(GRID, aspect="auto", extent=(0, 1, 0, 1), cmap="magma", norm=CenteredNorm(4))


@kind
def smoothed_image(axes: Any) -> Any:
    values = np.ma.masked_less(GRID + 1, 2)
    return axes.imshow(
        values, aspect="auto", extent=(0, 1, 0, 1), interpolation="bilinear", norm=LogNorm()
    )


@kind
def coloured_image(axes: Any) -> Any:
    return axes.imshow(RGBA.copy(), aspect="auto", extent=(0, 1, 0, 1), alpha=0.7)


@kind
def uneven_image(axes: Any) -> Any:
    image = NonUniformImage(axes, extent=(0, 1, 0, 1), interpolation="bilinear")
    image.set_data([0.1, 0.4, 0.6, 0.9], [0.1, 0.5, 0.9], GRID)
    return axes.add_image(image)


@kind
def cell_image(axes: Any) -> Any:
    x, y = np.array([0, 0.2, 0.5, 0.7, 1]), np.array([0, 0.2, 0.7, 1])
    return axes.add_image(PcolorImage(axes, x, y, GRID))


@kind
def image_of_a_figure(axes: Any) -> Any:
    return axes.figure.figimage(np.repeat(np.repeat(GRID, 4, 0), 4, 1), 5, 6, alpha=0.6)


@kind
def image_in_a_box(axes: Any) -> Any:
    box = TransformedBbox(Bbox.from_extents(0.2, 0.2, 0.7, 0.8), axes.transData)
    return axes.add_artist(BboxImage(box, data=GRID))


@kind
def arrows(axes: Any) -> Any:
    return axes.quiver(*POINTS.T, [0.1, 0.2, 0.3], [0.2, 0.1, -0.2], [1, 2, 3])


@kind
def arrow_key(axes: Any) -> Any:
    quiver = axes.quiver(*POINTS.T, [0.1, 0.2, 0.3], [0.2, 0.1, -0.2])
    return axes.quiverkey(quiver, 0.5, 0.9, 0.2, "key", labelpos="E", fontproperties={"size": 6})


@kind
def wind_barbs(axes: Any) -> Any:
    return axes.barbs(*POINTS.T, [10.0, 50, 90], [20.0, -30, 5], length=5, fill_empty=True)


@kind
def stream_lines(axes: Any) -> Any:
    grid = np.linspace(0, 1, 4)
    x, y = np.meshgrid(grid, grid)
    return axes.streamplot(grid, grid, y - 0.5, 0.5 - x, density=0.2, color=x).lines


@kind
def contour_lines(axes: Any) -> Any:
    x, y = np.linspace(0, 1, 4), np.linspace(0, 1, 3)
    lines = axes.contour(x, y, GRID, levels=[2, 5, 8], linestyles=["-", "--", ":"])
    lines.clabel(fontsize=6)
    return lines


@kind
def filled_contours(axes: Any) -> Any:
    x, y = np.linspace(0, 1, 4), np.linspace(0, 1, 3)
    return axes.contourf(x, y, GRID, levels=3, hatches=["/", ""], extend="both")


@kind
def contours_of_triangles(axes: Any) -> Any:
    return axes.tricontour(*POINTS.T, [1, 2, 3], levels=4)


@kind
def legend(axes: Any) -> Any:
    axes.plot(*POINTS.T, "o-", label="one")
    axes.bar([0.4], [0.3], width=0.2, label="two")
    axes.scatter(*POINTS.T, label="three")
    return axes.legend(title="all", fontsize=5, shadow=True, loc="upper left")


@kind
def best_legend(axes: Any) -> Any:
    axes.plot(*POINTS.T, label="one")
    return axes.legend(loc="best", fontsize=5)


@kind
def table(axes: Any) -> Any:
    return axes.table([["a", "b"], ["c", "d"]], rowLabels=["r", "s"], loc="center", edges="BRL")


@kind
def placed_table(axes: Any) -> Any:
    table = Table(axes, bbox=(0.1, 0.1, 0.8, 0.5))
    table.add_cell(0, 0, 0.4, 0.3, text="cell", facecolor="y")
    table.auto_set_column_width([0])
    return axes.add_table(table)


@kind(yscale="linear")
def spine(axes: Any) -> Any:
    axes.spines.left.set_position(("data", 0.4))
    axes.spines.bottom.set_bounds(0.2, 0.7)
    return [axes.spines.left, axes.spines.bottom]


@kind(title="t")
def axis(axes: Any) -> Any:
    axes.xaxis.set_major_locator(MultipleLocator(0.5))
    axes.xaxis.set_minor_locator(FixedLocator([0.2, 0.7]))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%.1f"))
    axes.xaxis.set_label_text("label")
    axes.yaxis.set_visible(False)
    axes.grid(axis="x")
    return axes.xaxis


@kind(xscale="log", xlim=(1, 200))
def logarithmic_axis(axes: Any) -> Any:
    axes.yaxis.set_visible(False)
    return axes.xaxis


@kind
def second_axis(axes: Any) -> Any:
    return axes.secondary_xaxis("top")


@kind
def axes_themselves(axes: Any) -> Any:
    axes.plot(*POINTS.T)
    return axes


@kind(axes_class=mpl_axes.Axes)
def axes_of_a_grid(axes: Any) -> Any:
    axes.axis["bottom"].toggle(ticks=False)
    return axes


@kind
def patch_of_axes(axes: Any) -> Any:
    return [axes.patch, axes.figure.patch]


@kind
def sub_figure(axes: Any) -> Any:
    figure = axes.figure
    axes.remove()
    part = figure.subfigures(1, 2)[1]
    part.add_subplot().set(xticks=[], yticks=[])
    part.suptitle("s", fontsize=6)
    return part


@kind
def colour_bar(axes: Any) -> Any:
    image = axes.imshow(GRID, aspect="auto")
    bar = axes.figure.colorbar(image, extend="both", label="bar")
    bar.add_lines([3, 5], ["r", "k"], [1, 2])
    return [*bar.ax.get_children()[:4], bar.outline, bar.dividers, bar.solids]


@kind(projection="polar")
def polar_line(axes: Any) -> Any:
    axes.set_rticks([0.5])
    return axes.plot([0, 1, 2], [0.3, 0.9, 0.6])[0]


@kind(projection="polar")
def polar_bar(axes: Any) -> Any:
    axes.set_thetagrids([0, 90])
    return axes.bar([0, 1], [0.5, 1])[0]


@kind(projection="polar")
def polar_axis(axes: Any) -> Any:
    axes.set(rticks=[0.5, 1], rmax=1)
    axes.set_thetagrids([0, 120])
    return [axes.xaxis, axes.yaxis]


@kind(projection="polar")
def polar_patch(axes: Any) -> Any:
    axes.set(rticks=[1])
    axes.set_thetalim(0.2, 2)
    return [axes.patch, axes.spines["polar"], axes.spines["start"]]


@kind(projection="hammer")
def map_line(axes: Any) -> Any:
    return axes.plot([-1, 0, 1], [0.2, 0.4, -0.3], "o-")[0]


SPACE = np.array([[0.1, 0.2, 0.3], [0.7, 0.2, 0.8], [0.4, 0.9, 0.5]])


@kind(projection="3d")
def space_line(axes: Any) -> Any:
    return axes.plot(*SPACE.T, "o-")[0]


@kind(projection="3d")
def space_points(axes: Any) -> Any:
    return axes.scatter(*SPACE.T, c=[1, 2, 3], s=[9, 20, 30])


@kind(projection="3d")
def space_lines(axes: Any) -> Any:
    return axes.add_collection3d(
        art3d.Line3DCollection([SPACE, SPACE[::-1] * 0.5], colors=["r", "b"])
    )


@kind(projection="3d")
def surface(axes: Any) -> Any:
    return axes.plot_surface(*np.meshgrid([0, 0.5, 1], [0, 1]), GRID[:2, :3] / 9, cmap="viridis")


@kind(projection="3d")
def space_bars(axes: Any) -> Any:
    return axes.bar([0.2, 0.7], [0.5, 0.9], zs=0.4, zdir="y")[0]


@kind(projection="3d")
def space_patches(axes: Any) -> Any:
    shapes = mcoll.PatchCollection([mpatches.Circle((0.3, 0.3), 0.2)], array=[1.0])
    axes.add_collection3d(shapes, zs=0.3)
    patch = axes.add_patch(mpatches.PathPatch(Path(SQUARE)))
    art3d.pathpatch_2d_to_3d(patch, z=0.5)
    return [shapes, patch]


@kind(projection="3d")
def space_text(axes: Any) -> Any:
    return axes.text(0.2, 0.4, 0.6, "deep", "x")


@kind(projection="3d")
def space_contours(axes: Any) -> Any:
    return axes.contour(*np.meshgrid([0, 0.3, 0.6, 1], [0, 0.5, 1]), GRID / 12, levels=3)


@kind(projection="3d")
def space_axis(axes: Any) -> Any:
    axes.set(xticks=[0.5], yticks=[0.5], zticks=[0.5], zlabel="z")
    return [axes.xaxis, axes.zaxis]
