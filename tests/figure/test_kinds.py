"""Each kind of script that once got wrong frames, in a few forms, has the frames of full draws."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import NonUniformImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    MultipleLocator,
    StrMethodFormatter,
)
from matplotlib.transforms import Bbox
from mpl_toolkits import axisartist
from mpl_toolkits.axes_grid1 import host_subplot, make_axes_locatable
from mpl_toolkits.axes_grid1.parasite_axes import HostAxes
from sameness import assert_same_as_full, describe, unguarded
from samples import sampled

from rayanim.figure.canvas import IncrementalCanvas, VideoCanvas

Step = Callable[[Any], object]

KINDS: dict[str, Callable[[], tuple[Figure, list[Step]]]] = {}
"""By name what makes a figure, and what is done with it step by step."""

X = np.linspace(0, 1, 20)


def kind(make: Callable[[], tuple[Figure, list[Step]]]) -> Callable[[], tuple[Figure, list[Step]]]:
    """Enter a kind of script."""
    KINDS[make.__name__] = make
    return make


def small(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A small figure, and its axes."""
    figure: Any = Figure(figsize=(2.4, 1.8), dpi=50, **options)
    axes = figure.subplots(rows, columns)
    for each in np.ravel(axes):
        each.plot(X, X**2)
    return figure, axes


def frames_of(canvas: VideoCanvas, steps: list[Step], *, compare: bool = False) -> list[np.ndarray]:
    """The frames of a script: some where nothing happens, then one after each step."""
    frames = []
    pairs = [each for step in steps for each in (step, _nothing)]
    for change in [*[_nothing] * 4, *pairs]:
        change(canvas.figure)
        frames.append(canvas.draw_frame(compare=compare).copy())
    return frames


def _nothing(figure: Any) -> None:
    pass


def assert_same_frames(make: Callable[[], tuple[Figure, list[Step]]]) -> IncrementalCanvas:
    """Fail unless incremental draws give the frames of a canvas that draws everything."""
    with mpl.rc_context():
        figure, steps = make()
        expected = frames_of(VideoCanvas(figure), steps)
    with mpl.rc_context():
        figure, steps = make()
        canvas = unguarded(figure)
        got = frames_of(canvas, steps)
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        assert np.array_equal(one, other), describe(number, one, other)
    return canvas


# Arrays that are masked in place.


@kind
def cells_of_a_mesh_are_masked() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    mesh = axes.pcolormesh(np.arange(12.0).reshape(3, 4))
    return figure, [
        lambda f: mesh.get_array().__setitem__((1, 2), np.ma.masked),
        lambda f: mesh.get_array().__setitem__((0, 0), np.ma.masked),
        lambda f: setattr(mesh.get_array(), "mask", False),
    ]


@kind
def points_are_masked() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    dots = axes.scatter(X, X, c=np.ma.array(X))
    return figure, [
        lambda f: dots.get_array().__setitem__(slice(5, 9), np.ma.masked),
        lambda f: dots.get_offsets().__setitem__(3, np.ma.masked),
        lambda f: dots.get_array().mask.__setitem__(1, True),
    ]


@kind
def colours_of_an_image_are_masked() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    image = axes.imshow(np.ma.array(np.arange(9.0).reshape(3, 3)), extent=(0, 1, 0, 1))
    return figure, [
        lambda f: image.get_array().harden_mask(),
        lambda f: image.get_array().__setitem__(0, np.ma.masked),
        lambda f: image.get_array().data.__setitem__((2, 2), 40),
    ]


# Grid specs and layouts.


@kind
def heights_of_a_grid_change() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 2), dpi=50, layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1, 1])
    for part in grid:
        figure.add_subplot(part).plot(X)
    return figure, [
        lambda f: grid.set_height_ratios([1, 3]),
        lambda f: grid.set_height_ratios([3, 1]),
    ]


@kind
def a_grid_is_updated() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 2), dpi=50)
    grid = figure.add_gridspec(1, 2)
    for part in grid:
        figure.add_subplot(part).plot(X)
    return figure, [
        lambda f: grid.update(wspace=0.9),
        lambda f: f.subplots_adjust(left=0.3),
        lambda f: setattr(f.subplotpars, "right", 0.8),
    ]


@kind
def pads_of_a_layout_change() -> tuple[Figure, list[Step]]:
    figure, _ = small(1, 2, layout="constrained")
    return figure, [
        lambda f: f.get_layout_engine().set(w_pad=0.3),
        lambda f: f.get_layout_engine().set(rect=(0.1, 0, 0.8, 1)),
        lambda f: f.get_layout_engine()._params.update(h_pad=0.2),
    ]


# Settings changed while a video is made.


@kind
def a_font_is_put_first_in_the_list() -> tuple[Figure, list[Step]]:
    mpl.rcParams["font.serif"] = list(mpl.rcParams["font.serif"])
    mpl.rcParams["font.sans-serif"] = fonts = list(mpl.rcParams["font.sans-serif"])
    figure, axes = small()
    axes.set_title("quick jog")
    fonts = mpl.rcParams["font.sans-serif"]
    return figure, [
        lambda f: fonts.insert(0, "DejaVu Sans Mono"),
        lambda f: fonts.reverse(),
        lambda f: fonts.sort(),
    ]


@kind
def settings_are_changed() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.ticklabel_format(style="plain")
    return figure, [
        lambda f: mpl.rcParams.update({"axes.unicode_minus": False, "path.snap": False}),
        lambda f: mpl.rcParams.__setitem__("text.hinting", "no_hinting"),
        lambda f: dict.__setitem__(mpl.rcParams, "lines.scale_dashes", False),
        lambda f: mpl.rcParams.__setitem__("image.composite_image", False),
    ]


# Artists that place others while they are drawn.


class Mover(Text):
    """Puts other artists somewhere whenever it is drawn."""

    def __init__(self, place: Callable[[], object]) -> None:
        super().__init__(0.5, 0.5, "x")
        self.place = place

    def draw(self, renderer: Any) -> None:
        self.place()
        super().draw(renderer)


def with_mover(
    zorder: float, target: Callable[[Any, Any], Any], set_place: Callable[[Any, float], object]
) -> Callable[[], tuple[Figure, list[Step]]]:
    """A script with an artist that moves another when it is drawn."""

    def make() -> tuple[Figure, list[Step]]:
        figure, (left, right) = small(1, 2)
        figure.place = 0.1
        moved = target(left, right)
        mover = Mover(lambda: set_place(moved, figure.place))
        mover.set(transform=left.transAxes, zorder=zorder)
        left.add_artist(mover)
        return figure, [lambda f: setattr(f, "place", 0.7), lambda f: setattr(f, "place", 0.4)]

    return make


KINDS.update(
    {
        "an_artist_moves_one_above_it": with_mover(
            0, lambda left, right: left.axvline(0.1), lambda line, x: line.set_xdata([x, x])
        ),
        "an_artist_moves_one_below_it": with_mover(
            9, lambda left, right: left.axvline(0.1), lambda line, x: line.set_xdata([x, x])
        ),
        "an_artist_moves_one_in_other_axes": with_mover(
            5, lambda left, right: right.text(0, 0.5, "a"), lambda text, x: text.set_x(x)
        ),
        "an_artist_moves_its_own_title": with_mover(
            5, lambda left, right: left.set_title("title"), lambda text, x: text.set_x(x)
        ),
        "an_artist_moves_limits_of_other_axes": with_mover(
            5, lambda left, right: right, lambda axes, x: axes.set_xlim(-x, 1)
        ),
        "an_artist_moves_limits_of_its_own_axes": with_mover(
            1, lambda left, right: left, lambda axes, x: axes.set_xlim(-x, 1)
        ),
        "an_artist_moves_other_axes": with_mover(
            5, lambda left, right: right, lambda axes, x: axes.set_position((0.6, x / 2, 0.3, 0.4))
        ),
        "an_artist_moves_points_in_place": with_mover(
            0,
            lambda left, right: left.fill([0, 1, 1], [0, 0, 1])[0],
            lambda patch, x: patch.get_path().vertices.__setitem__((1, 1), x),
        ),
    }
)


@kind
def an_artist_without_a_parent_moves_others() -> tuple[Figure, list[Step]]:
    """One that is among the figure's own artists, drawn before the axes."""
    figure, axes = small()
    figure.place = 0.2
    line = axes.axhline(0.2)
    mover = Mover(lambda: line.set_ydata([figure.place] * 2))
    mover.set_zorder(-1)
    figure.add_artist(mover)
    return figure, [lambda f: setattr(f, "place", 0.8), lambda f: setattr(f, "place", 0.3)]


# Locators and formatters.


@kind
def a_formatter_is_given_to_two_axes() -> tuple[Figure, list[Step]]:
    figure, (left, right) = small(1, 2)
    formatter = left.xaxis.get_major_formatter()
    right.xaxis.set_major_formatter(formatter)
    return figure, [
        lambda f: right.set_xlim(0, 1e6),
        lambda f: right.set_xlim(1e-7, 2e-7),
        lambda f: left.set_xlim(0, 1e-5),
    ]


@kind
def a_locator_is_given_to_x_and_y() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    locator = MaxNLocator(4)
    axes.yaxis.set_major_locator(locator)
    axes.xaxis.set_minor_locator(locator)
    return figure, [
        lambda f: axes.set_xlim(0, 30),
        lambda f: axes.set_ylim(0, 70),
        lambda f: locator.set_params(nbins=9),
        lambda f: setattr(locator, "_nbins", 3),
    ]


@kind
def numbers_of_a_locator_change() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    places = FixedLocator([0.1, 0.5])
    axes.xaxis.set_major_locator(places)
    axes.yaxis.set_major_locator(multiple := MultipleLocator(0.5))
    return figure, [
        lambda f: places.locs.__setitem__(1, 0.9),
        lambda f: multiple.set_params(base=0.25),
    ]


@kind
def words_of_a_formatter_change() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    words = ["a", "b", "c"]
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.xaxis.set_major_formatter(formatter := FixedFormatter(words))
    axes.yaxis.set_major_formatter(plain := StrMethodFormatter("{x:.1f}"))
    return figure, [
        lambda f: words.__setitem__(1, "changed"),
        lambda f: setattr(plain, "fmt", "{x:.3f}"),
        lambda f: formatter.set_offset_string("off"),
    ]


class Called:
    """Names that are asked for by a call."""

    def __init__(self) -> None:
        self.word = "a"

    def __call__(self, x: float, pos: int = 0) -> str:
        return f"{self.word}{x:.1f}"


@kind
def words_come_from_an_object_that_is_called() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.xaxis.set_major_formatter(called := Called())
    return figure, [lambda f: setattr(called, "word", "b"), lambda f: setattr(called, "word", "cc")]


@kind
def words_come_from_a_dictionary() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    words: dict[float, str] = {0: "a", 1: "b"}
    axes.set_xticks([0, 1])
    axes.xaxis.set_major_formatter(FuncFormatter(words.get))
    other = {0: "a", 1: "b"}
    axes.yaxis.set_major_locator(FixedLocator([0, 1]))
    axes.yaxis.set_major_formatter(other.setdefault)
    return figure, [
        lambda f: words.update({1: "changed"}),
        lambda f: other.update({1: "other"}),
        lambda f: words.clear(),
    ]


@kind
def a_minor_formatter_reads_a_list() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    words = ["a"]
    axes.xaxis.set_minor_locator(FixedLocator([0.3, 0.6]))
    axes.xaxis.set_minor_formatter(lambda x, pos: words[-1])
    return figure, [lambda f: words.append("b"), lambda f: words.append("cc")]


# Callbacks that draw while a draw runs.


@kind
def a_callback_on_limits_draws() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    other = axes.twiny()

    def follow(changed: Any) -> None:
        low, high = changed.get_xlim()
        other.set_xlim(low * 1.8, high * 1.8)
        figure.canvas.draw()

    axes.callbacks.connect("xlim_changed", follow)
    line = axes.lines[0]

    def widen(factor: float) -> Step:
        def step(figure: Any) -> None:
            line.set_xdata(X * factor)
            axes.relim()
            axes.autoscale(axis="x")

        return step

    return figure, [widen(2), widen(3), widen(0.5)]


@kind
def an_artist_draws_the_canvas() -> tuple[Figure, list[Step]]:
    """One whose draw changes another and asks for a new frame, once."""
    figure, axes = small()
    figure.place, figure.seen = 0.1, 0.1
    line = axes.axvline(0.1)

    def place() -> None:
        if figure.seen != figure.place:
            figure.seen = figure.place
            line.set_xdata([figure.place] * 2)
            figure.canvas.draw()

    mover = Mover(place)
    mover.set_zorder(9)
    axes.add_artist(mover)
    return figure, [lambda f: setattr(f, "place", 0.6), lambda f: setattr(f, "place", 0.3)]


# Axes of toolkits.


@kind
def axes_of_axisartist() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 1.8), dpi=50)
    axes = figure.add_subplot(axes_class=axisartist.Axes)
    (line,) = axes.plot(X, X, "o", markersize=3)
    axes.axis["new"] = axes.new_floating_axis(0, 0.5)
    return figure, [
        lambda f: line.set_ydata(X**3),
        lambda f: axes.axis["new"].label.set_text("label"),
        lambda f: axes.axis["bottom"].major_ticks.set_ticksize(9),
        lambda f: axes.axis["right"].set_visible(False),
        lambda f: axes.grid(),
    ]


@kind
def axes_through_nothing() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 1.8), dpi=50)
    axes = figure.add_subplot(axes_class=axisartist.AxesZero)
    (line,) = axes.plot(X - 0.5, X - 0.5)
    axes.axis["xzero"].set_visible(True)
    return figure, [
        lambda f: line.set_ydata(X),
        lambda f: axes.axis["xzero"].set_axisline_style("->"),
        lambda f: axes.set_xlim(-1, 1),
    ]


@kind
def parasites() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 1.8), dpi=50)
    host = figure.add_subplot(axes_class=HostAxes)
    other = host.twinx()
    host.plot(X, X)
    (line,) = other.plot(X, 5 * X)
    return figure, [
        lambda f: line.set_ydata(X),
        lambda f: other.set_ylim(0, 9),
        lambda f: host.legend([line], ["one"]),
        lambda f: host.set_xlim(0, 2),
    ]


@kind
def axes_placed_by_what_they_measure() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(3, 2), dpi=50)
    axes = figure.add_axes((0, 0, 1, 1))
    divider = make_axes_locatable(axes)
    divider.add_auto_adjustable_area(use_axes=axes, pad=0.1)
    (line,) = axes.plot(X, X)
    return figure, [
        lambda f: line.set_ydata(X**2),
        lambda f: axes.set_ylabel("a label"),
        lambda f: axes.tick_params(labelsize=14),
    ]


# Legends, titles, ticks and notes.


@kind
def a_legend_grows() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set(xlim=(0, 1), ylim=(0, 3))

    def add(number: int) -> Step:
        def step(figure: Any) -> None:
            if number % 3 == 2:
                axes.lines[-1].remove()
            (figure.line,) = axes.plot([], [], label=f"line {number}")
            figure.legend = axes.legend(loc="upper left", fontsize=6)
            figure.line.set_data(X, X + number / 5)

        return step

    return figure, [add(number) for number in range(6)]


@kind
def artists_are_made_anew_in_each_frame() -> tuple[Figure, list[Step]]:
    figure, axes = small()

    def anew(number: int) -> Step:
        def step(figure: Any) -> None:
            for text in [*axes.texts]:
                text.remove()
            axes.text(0.1, 0.1 + number / 10, str(number))
            axes.annotate("note", (0.5, 0.5), (0.2, number / 8), arrowprops={"arrowstyle": "->"})

        return step

    return figure, [anew(number) for number in range(6)]


@kind
def titles_above_hidden_axes() -> tuple[Figure, list[Step]]:
    figure, (left, right) = small(1, 2)
    left.set_title("hidden")
    left.set_axis_off()
    right.set_title("part", loc="left")
    right.xaxis.set_visible(False)
    return figure, [
        lambda f: left.xaxis.tick_top(),
        lambda f: left.tick_params(labelsize=15),
        lambda f: right.xaxis.set_label_position("top"),
        lambda f: right.xaxis.tick_top(),
        lambda f: left.set_axis_on(),
        lambda f: setattr(left.titleOffsetTrans, "_t", (0, 0.2)),
        lambda f: f.align_titles(),
        lambda f: right.set_title("two\nlines", loc="left"),
    ]


@kind
def titles_above_twins_and_insets() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set_title("title")
    twin = axes.twiny()
    return figure, [
        lambda f: twin.tick_params(labelsize=15),
        lambda f: twin.set_xlabel("label"),
        lambda f: twin.xaxis.tick_bottom(),
        lambda f: axes.inset_axes((0.2, 0.8, 0.3, 0.3)).xaxis.tick_top(),
        lambda f: axes.set_title("title", y=0.5),
    ]


@kind
def single_tick_labels_look_different() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set_xticks([0, 0.5, 1], ["$a$", "b", "c"])
    labels = axes.get_xticklabels()
    ticks = axes.xaxis.get_major_ticks()
    return figure, [
        lambda f: labels[0].set_bbox({"facecolor": "yellow", "boxstyle": "round"}),
        lambda f: labels[0].set_parse_math(False),
        lambda f: labels[1].set_rotation(40),
        lambda f: ticks[2].tick1line.set_markersize(12),
        lambda f: ticks[1].gridline.set_visible(True),
        lambda f: ticks[1].gridline.set_color("red"),
        lambda f: ticks[0].set_pad(9),
        lambda f: labels[2].get_bbox_patch() or labels[2].set_visible(False),
    ]


@kind
def a_note_s_point_leaves_the_axes() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    note = axes.annotate("note", (0.9, 0.5), (0.2, 0.2), arrowprops={"arrowstyle": "-"})
    return figure, [
        lambda f: axes.patch.set_width(0.6),
        lambda f: axes.patch.set_width(1),
        lambda f: setattr(axes.patch, "_width", 0.4),
        lambda f: note.set_annotation_clip(False),
        lambda f: note.xy.__class__ and setattr(note, "xy", (3, 3)),
    ]


@kind
def a_note_at_an_artist() -> tuple[Figure, list[Step]]:
    figure, (left, right) = small(1, 2)
    circle = right.add_patch(Circle((0.5, 0.5), 0.2))
    left.annotate("n", (0.5, 1), (5, 5), xycoords=circle, textcoords="offset points")
    return figure, [
        lambda f: circle.set_radius(0.4),
        lambda f: right.set_xlim(0, 2),
        lambda f: setattr(circle, "_center", (0.2, 0.2)),
        lambda f: right.set_position((0.5, 0.3, 0.3, 0.3)),
    ]


# 3D axes.


@kind
def space_in_a_layout() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 2.4), dpi=50, layout="constrained", facecolor="lightgray")
    axes = figure.add_subplot(projection="3d")
    (line,) = axes.plot(X, X, X)
    return figure, [
        lambda f: line.set_data_3d(X, X, X**2),
        lambda f: axes.set_zlabel("z"),
        lambda f: axes.view_init(30, 20),
        lambda f: axes.set_box_aspect((1, 2, 1)),
        lambda f: axes.set_title("title"),
        lambda f: axes.xaxis.pane.set_facecolor("y"),
    ]


# Scripts that were written for blitting.


@kind
def animated_artists() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    (line,) = axes.plot(X, X, animated=True)
    text = figure.text(0.5, 0.5, "t", animated=True)
    return figure, [
        lambda f: line.set_ydata(X**2),
        lambda f: line.set_animated(False),
        lambda f: text.set_animated(False),
        lambda f: line.set_animated(True),
    ]


@kind
def pixels_are_copied_and_put_back() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    (line,) = axes.plot(X, X, animated=True, linewidth=4)

    def blit(number: int) -> Step:
        def step(figure: Any) -> None:
            if not hasattr(figure, "kept"):
                figure.kept = figure.canvas.copy_from_bbox(figure.bbox)
            figure.canvas.restore_region(figure.kept)
            line.set_ydata(X * number / 4)
            axes.draw_artist(line)
            figure.canvas.blit(axes.bbox)

        return step

    return figure, [blit(number) for number in range(4)]


# The renderer and the canvas in the user's hands.


@kind
def a_renderer_is_kept_and_drawn_into() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    text = figure.text(0.3, 0.3, "again")

    def keep(figure: Any) -> None:
        figure.kept = figure.canvas.get_renderer()

    return figure, [
        keep,
        lambda f: text.draw(f.kept),
        lambda f: axes.draw(f.kept),
        lambda f: f.draw(f.kept),
        lambda f: f.kept.clear(),
    ]


@kind
def a_buffer_is_kept_and_written_to() -> tuple[Figure, list[Step]]:
    figure, _ = small()

    def keep(figure: Any) -> None:
        figure.kept = np.asarray(figure.canvas.buffer_rgba())

    return figure, [
        keep,
        lambda f: f.kept.__setitem__(slice(0, 30), 9),
        lambda f: f.axes[0].set_title("t"),
        lambda f: np.asarray(f.canvas.renderer._renderer).__setitem__(slice(40, 60), 9),
        lambda f: f.kept.__setitem__(slice(0, 90), 200),
    ]


class Reading(Rectangle):
    """Reads the pixels below it when it is drawn, and may do more to them."""

    reads: Callable[[Any, Any], object] = staticmethod(lambda figure, renderer: None)

    def draw(self, renderer: Any) -> None:
        super().draw(renderer)
        type(self).reads(self.get_figure(root=True), renderer)


def with_reading(reads: Callable[[Any, Any], object]) -> Callable[[], tuple[Figure, list[Step]]]:
    """A script with an artist that reads pixels while it is drawn."""

    def make() -> tuple[Figure, list[Step]]:
        figure, axes = small()
        own = type("Own", (Reading,), {"reads": staticmethod(reads)})
        figure.shade = 3
        axes.add_patch(own((0.2, 0.2), 0.4, 0.4, zorder=3))
        line = axes.axvline(0.4, zorder=4)
        return figure, [
            lambda f: line.set_xdata([0.5, 0.5]),
            lambda f: setattr(f, "shade", 90),
            lambda f: axes.set_xlim(0, 2),
        ]

    return make


def _darken(figure: Any, renderer: Any) -> None:
    np.asarray(renderer.buffer_rgba())[10:40, :60, :3] //= 2


def _copy(figure: Any, renderer: Any) -> None:
    renderer.restore_region(renderer.copy_from_bbox(Bbox([[0, 0], [40, 40]])), None, (60, 20))


def _save(figure: Any, renderer: Any) -> None:
    if not getattr(figure, "saving", False):
        figure.saving = True
        figure.savefig(io.BytesIO(), format="png")
        figure.saving = False


def _draw_other(figure: Any, renderer: Any) -> None:
    if not hasattr(figure, "other"):
        figure.other, _ = small()
        figure.other_canvas = FigureCanvasAgg(figure.other)
    figure.other_canvas.draw()


def _draw_figure(figure: Any, renderer: Any) -> None:
    if not getattr(figure, "nested", False):
        figure.nested = True
        figure.draw(renderer)
        figure.nested = False


KINDS.update(
    {
        "an_artist_writes_into_the_buffer": with_reading(_darken),
        "an_artist_reads_the_buffer": with_reading(lambda f, r: bytes(r.buffer_rgba())),
        "an_artist_reads_bytes": with_reading(lambda f, r: r.tostring_argb()),
        "an_artist_copies_pixels": with_reading(_copy),
        "an_artist_clears": with_reading(lambda f, r: r.clear()),
        "an_artist_saves_the_figure": with_reading(_save),
        "an_artist_draws_another_figure": with_reading(_draw_other),
        "an_artist_draws_the_figure": with_reading(_draw_figure),
        "an_artist_draws_text_itself": with_reading(
            lambda f, r: r.draw_text(r.new_gc(), 20, 40, "abc", Text().get_fontproperties(), 0)
        ),
        "an_artist_changes_itself": with_reading(
            lambda f, r: f.axes[0].patches[0].set_alpha(min(f.shade, 10) / 10)
        ),
    }
)


@kind
def a_figure_is_saved_between_frames() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    line = axes.lines[0]

    def save(name: str, **options: Any) -> Step:
        def step(figure: Any) -> None:
            line.set_ydata(X * len(name) / 4)
            figure.savefig(io.BytesIO(), format=name, **options)

        return step

    return figure, [save("png", dpi=30), save("svg"), save("png", bbox_inches="tight"), save("pdf")]


# Filters, rasterization and composed images.


def _blurred(pixels: np.ndarray, dpi: float) -> tuple[np.ndarray, float, float]:
    return (pixels + np.roll(pixels, 3, axis=0)) / 2, 2, 1


@kind
def a_filter_on_an_artist() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    line = axes.lines[0]
    line.set_agg_filter(_blurred)
    other = axes.axvline(0.5)
    return figure, [
        lambda f: line.set_ydata(X),
        lambda f: other.set_xdata([0.2, 0.2]),
        lambda f: line.set_agg_filter(None),
    ]


@kind
def a_filter_on_axes() -> tuple[Figure, list[Step]]:
    figure, (left, right) = small(1, 2)
    left.set_agg_filter(_blurred)
    return figure, [
        lambda f: left.lines[0].set_ydata(X),
        lambda f: right.lines[0].set_ydata(X),
        lambda f: left.set_agg_filter(None),
        lambda f: right.set_agg_filter(_blurred),
    ]


@kind
def a_filter_on_the_figure() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    figure.set_agg_filter(_blurred)
    return figure, [lambda f: axes.lines[0].set_ydata(X), lambda f: f.set_agg_filter(None)]


@kind
def rasterized_artists() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    axes.set_rasterization_zorder(1.5)
    low = axes.axvspan(0.2, 0.6, zorder=1)
    axes.lines[0].set_rasterized(True)
    return figure, [
        lambda f: low.set_color("red"),
        lambda f: axes.set_rasterization_zorder(None),
        lambda f: axes.set_rasterization_zorder(9),
        lambda f: low.set_zorder(5),
    ]


@kind
def images_that_are_not_composed() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    figure.suppressComposite = False
    images = [
        axes.imshow(np.arange(4.0).reshape(2, 2), extent=place)
        for place in ((0, 0.6, 0, 1), (0.4, 1, 0, 1))
    ]
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="auto")
    return figure, [
        lambda f: images[1].set_data([[3.0, 1], [0, 2]]),
        lambda f: images[0].set_alpha(0.5),
        lambda f: setattr(f, "suppressComposite", True),
        lambda f: setattr(f, "suppressComposite", None),
        lambda f: images[1].set_visible(False),
    ]


@kind
def images_of_a_figure_that_are_composed() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    figure.suppressComposite = False
    images = [figure.figimage(np.full((20, 20), n), n * 15, 10, vmin=0, vmax=3) for n in range(3)]
    return figure, [
        lambda f: images[1].set_data(np.full((20, 20), 3)),
        lambda f: axes.lines[0].set_ydata(X),
    ]


# Figures and axes of the user's own.


class OwnFigure(Figure):
    """A figure that does something before and after it is drawn."""

    level = 0.2

    def draw(self, renderer: Any) -> None:
        self.axes[0].lines[0].set_ydata(X * self.level)
        super().draw(renderer)
        Line2D([0, 1], [self.level] * 2, figure=self, transform=self.transFigure).draw(renderer)


class OwnAxes(Axes):
    """Axes that draw something below and above all else, and leave something out."""

    level = 0.2

    def draw(self, renderer: Any) -> None:
        below = Rectangle((0, 0), self.level, 1, transform=self.transAxes, facecolor="y")
        below.set_figure(self.get_figure(root=False))
        below.draw(renderer)
        if self.level < 0.9:
            super().draw(renderer)
        above = Circle((0.5, 0.5), self.level, transform=self.transAxes, alpha=0.5)
        above.set_figure(self.get_figure(root=False))
        above.draw(renderer)


class OwnPart(SubFigure):
    """A part of a figure that is drawn twice."""

    times = 1

    def draw(self, renderer: Any) -> None:
        for _ in range(self.times):
            super().draw(renderer)


@kind
def a_figure_of_the_users() -> tuple[Figure, list[Step]]:
    figure = OwnFigure(figsize=(2.4, 1.8), dpi=50)
    figure.subplots().plot(X, X)
    return figure, [
        lambda f: setattr(f, "level", 0.7),
        lambda f: f.axes[0].set_ylim(0, 2),
        lambda f: setattr(f, "level", 0.3),
    ]


@kind
def axes_of_the_users() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 1.8), dpi=50)
    axes = figure.add_subplot(axes_class=OwnAxes)
    axes.plot(X, X)
    return figure, [
        lambda f: setattr(axes, "level", 0.4),
        lambda f: axes.lines[0].set_ydata(X**2),
        lambda f: setattr(axes, "level", 0.95),
        lambda f: setattr(axes, "level", 0.1),
    ]


@kind
def axes_with_a_draw_of_their_own() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    draw = axes.draw

    def drawn_twice(renderer: Any) -> None:
        for _ in range(getattr(figure, "times", 1)):
            draw(renderer)

    axes.draw = drawn_twice
    return figure, [
        lambda f: setattr(f, "times", 3),
        lambda f: axes.lines[0].set_ydata(X),
        lambda f: setattr(f, "times", 0),
    ]


@kind
def a_part_of_the_users() -> tuple[Figure, list[Step]]:
    figure: Any = Figure(figsize=(2.4, 1.8), dpi=50)
    part = figure.add_subfigure(figure.add_gridspec(1, 2)[0])
    part.__class__ = OwnPart
    axes = part.subplots()
    axes.plot(X, X)
    return figure, [
        lambda f: setattr(part, "times", 2),
        lambda f: axes.lines[0].set_ydata(X**2),
        lambda f: part.set_facecolor((1, 1, 0, 0.3)),
        lambda f: setattr(part, "times", 0),
    ]


@kind
def axes_that_others_list() -> tuple[Figure, list[Step]]:
    """Axes in the figure's list twice, and among the children of other axes."""
    figure, (left, right) = small(1, 2)
    left.add_child_axes(right)
    return figure, [
        lambda f: right.lines[0].set_ydata(X),
        lambda f: left.lines[0].set_ydata(X),
        lambda f: left.child_axes.clear(),
    ]


@kind
def axes_in_two_figures() -> tuple[Figure, list[Step]]:
    """Axes that another figure shows as well, and draws between frames."""
    figure, axes = small()
    other = Figure(figsize=(2, 2), dpi=40)
    other.add_subplot().plot(X)
    other._localaxes.append(axes)
    canvas = FigureCanvasAgg(other)

    def change(number: int) -> Step:
        def step(figure: Any) -> None:
            axes.lines[0].set_ydata(X * number)
            canvas.draw()
            axes.lines[0].set_linewidth(number)

        return step

    return figure, [change(number) for number in (1, 2, 3)]


@kind
def an_artist_that_is_listed_twice() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    line = axes.axvline(0.3, alpha=0.5, lw=5)
    axes._children.append(line)
    figure.lines.append(line)
    return figure, [
        lambda f: line.set_xdata([0.6, 0.6]),
        lambda f: axes._children.pop(),
        lambda f: line.set_alpha(0.2),
    ]


# What one artist's draw changes in others.


@kind
def a_norm_that_several_share() -> tuple[Figure, list[Step]]:
    figure, (left, right) = small(1, 2)
    data = np.arange(6.0).reshape(2, 3)
    first, second = left.imshow(data), right.imshow(data * 2)
    second.set_norm(first.norm)
    bar = figure.colorbar(first, ax=left)
    left.set_title("one")
    bar.ax.set_title("bar")
    figure.align_titles()

    def unscale(factor: float) -> Step:
        def step(figure: Any) -> None:
            first.set_data(data * factor)
            first.norm.vmin = first.norm.vmax = None

        return step

    return figure, [unscale(3), unscale(0.5), lambda f: setattr(first.norm, "vmax", 9)]


@kind
def arrows_with_a_key() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    quiver = axes.quiver(X[::5], X[::5], X[::5], X[::5])
    axes.quiverkey(quiver, 0.5, 0.9, 1, "key")
    return figure, [
        lambda f: setattr(quiver, "scale", 9),
        lambda f: axes.set_xlim(0, 3),
        lambda f: quiver.set_UVC(X[::5] * 2, X[::5]),
    ]


@kind
def images_of_all_kinds() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    image = NonUniformImage(axes, extent=(0, 1, 0, 1))
    image.set_data([0.1, 0.6, 0.9], [0.2, 0.9], np.arange(6.0).reshape(2, 3))
    axes.add_image(image)
    return figure, [
        lambda f: image._A.__setitem__((0, 0), 5),
        lambda f: image.set_alpha(0.5),
        lambda f: axes.set_xlim(0.1, 0.5),
    ]


@kind
def points_in_place() -> tuple[Figure, list[Step]]:
    figure, axes = small()
    dots: PathCollection = axes.scatter(X, X, s=X * 40)
    return figure, [
        lambda f: dots._offsets.__setitem__((3, 1), 0.9),
        lambda f: dots.get_sizes().__setitem__(slice(4, 9), 150),
        lambda f: dots.get_facecolor().__setitem__(0, (1, 0, 0, 1)),
    ]


@pytest.mark.parametrize("name", sampled(KINDS, list(KINDS)[::4]))
def test_frames_are_those_of_full_draws(name: str) -> None:
    """Whatever a script does, an incremental draw shows what a full draw shows."""
    assert_same_frames(KINDS[name])


ONCE_MORE = ("a_callback_on_limits_draws", "an_artist_draws_the_canvas")
"""Scripts that draw during a draw: matplotlib draws into the half-done frame."""

CHEATING = ("animated_artists", "a_font_is_put_first_in_the_list")
"""Scripts whose frames are not those of a canvas's plain draw, or only in the same renderer."""


COMPARED = (
    "an_artist_moves_its_own_title", "a_formatter_is_given_to_two_axes", "a_legend_grows",
    "single_tick_labels_look_different", "an_artist_copies_pixels", "axes_of_the_users",
)  # fmt: skip
"""Scripts that are always compared; a third of the others where more is asked for."""


@pytest.mark.parametrize(
    "name",
    sampled(
        [
            name
            for number, name in enumerate(KINDS)
            if (name in COMPARED or number % 3 == 0) and name not in (*ONCE_MORE, *CHEATING)
        ],
        COMPARED,
    ),
)
def test_comparing_each_frame_finds_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that is compared draws everything, and neither changes a frame nor finds anything."""
    with mpl.rc_context():
        figure, steps = KINDS[name]()
        expected = frames_of(VideoCanvas(figure), steps)
    with mpl.rc_context():
        figure, steps = KINDS[name]()
        canvas = unguarded(figure)
        monkeypatch.setattr(canvas, "_has_time", lambda: True)
        got = frames_of(canvas, steps, compare=True)
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        assert np.array_equal(one, other), describe(number, one, other)
    assert canvas.difference is None


@pytest.mark.parametrize("kind_of_canvas", [VideoCanvas, IncrementalCanvas])
def test_a_figure_saved_in_another_size_while_it_is_drawn(kind_of_canvas: type) -> None:
    """An artist's draw saves the figure with another dpi: the frame is neither small nor blank."""

    def save(figure: Any, renderer: Any) -> None:
        if not getattr(figure, "saving", False):
            figure.saving = True
            figure.savefig(io.BytesIO(), format="png", dpi=30)
            figure.saving = False

    figure, axes = small()
    own = type("Own", (Reading,), {"reads": staticmethod(save)})
    axes.add_patch(own((0.2, 0.2), 0.4, 0.4))
    canvas = kind_of_canvas(figure)
    for _ in range(3):
        frame = canvas.draw_frame()
        assert frame.shape == (90, 120, 4)
        assert (frame[..., :3] < 128).any()


def test_two_canvases_draw_in_two_threads_at_once() -> None:
    """What stands in matplotlib's module while one draws looks who is drawing."""
    names = ["an_artist_moves_one_above_it", "titles_above_twins_and_insets"]
    expected = [frames_of(VideoCanvas((made := KINDS[name]())[0]), made[1]) for name in names]
    got: dict[int, list[np.ndarray]] = {}

    def draw(place: int, name: str) -> None:
        figure, steps = KINDS[name]()
        got[place] = frames_of(unguarded(figure), steps)

    threads = [threading.Thread(target=draw, args=each) for each in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, frames in enumerate(expected):
        for one, other in zip(frames, got[place], strict=True):
            assert np.array_equal(one, other)


def test_a_plain_canvas_beside_an_incremental_one_is_left_alone() -> None:
    """A figure that somebody else draws in another thread goes matplotlib's own way."""
    figure, _ = small()
    plain = FigureCanvasAgg(small()[0])
    plain.draw()
    expected = np.asarray(plain.buffer_rgba()).copy()
    own = type("Own", (Reading,), {"reads": staticmethod(lambda f, r: plain.draw())})
    figure.axes[0].add_patch(own((0, 0), 1, 1))
    canvas = unguarded(figure)
    for _ in range(4):
        canvas.draw_frame()
        assert np.array_equal(np.asarray(plain.buffer_rgba()), expected)


def test_pyplot_s_host_axes_draw_incrementally_or_in_full_alike() -> None:
    """Axes with parasites made the way scripts make them."""

    def build() -> Figure:
        figure = Figure(figsize=(2.4, 1.8), dpi=50)
        host = host_subplot(111, figure=figure)
        host.twinx().plot(X, X * 3)
        return figure

    assert_same_as_full(build, [lambda f, n=n: f.axes[0].set_xlim(0, n) for n in (1, 2, 3)])
