"""Axes stand where a serial loop leaves them, whoever draws: nothing is put back between frames."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image
from sameness import describe
from samples import sampled

from rayanim import Animator
from rayanim.engine.draw import draw_frame, measure_source, open_source
from rayanim.figure.figure import FigurePixels
from rayanim.figure.layout import restored_layout, runs_layout, settle_layout
from rayanim.randomness import seed_for
from rayanim.settings import RenderSettings
from rayanim.sources import Geometry, SequentialSource, Source, as_source

N_FRAMES = 6
X = np.linspace(0, 6, 40)
FIELD = np.add.outer(np.sin(X), np.cos(X))


class Script(Animator):
    """A figure with one axes and a line; scripts below add what they are about."""

    layout: Any = None

    def setup(self) -> Figure:
        self.fig = Figure(figsize=(2.4, 1.8), dpi=50, layout=self.layout)
        self.build()
        return self.fig

    def build(self) -> None:
        self.ax = self.fig.subplots()
        (self.line,) = self.ax.plot(X, np.sin(X))

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata(np.sin(X + frame_idx))


class TightInUpdate(Script):
    """Tick labels that grow, and room made for them."""

    def update(self, frame_idx: int, params: Any) -> None:
        self.ax.clear()
        self.ax.plot(X, np.sin(X) * 10**frame_idx)
        self.fig.tight_layout()


class TightThenMargins(Script):
    """The axes slide after ``tight_layout()`` in `setup`."""

    def build(self) -> None:
        super().build()
        self.fig.tight_layout()

    def update(self, frame_idx: int, params: Any) -> None:
        self.fig.subplots_adjust(left=0.2 + 0.05 * frame_idx)


class TightThenInset(TightThenMargins):
    """An axes is replaced by another one elsewhere."""

    inset: Any = None

    def update(self, frame_idx: int, params: Any) -> None:
        if self.inset is not None:
            self.inset.remove()
        self.inset = self.fig.add_axes((0.1 + 0.05 * frame_idx, 0.5, 0.3, 0.3))


class TightThenMoved(TightThenMargins):
    """An axes that is moved a little further with each frame."""

    def update(self, frame_idx: int, params: Any) -> None:
        self.ax.set_position(self.ax.get_position().translated(0.01, 0))


class Rebuilt(Script):
    """The figure is cleared and made anew with another number of axes."""

    def update(self, frame_idx: int, params: Any) -> None:
        self.fig.clf()
        for ax in self.fig.subplots(1, 1 + frame_idx % 3, squeeze=False)[0]:
            ax.plot(X, np.sin(X + frame_idx))
        self.fig.tight_layout()


class ColourBars(Script):
    """Of two colour bars the first is made anew."""

    def build(self) -> None:
        self.left, self.right = self.fig.subplots(1, 2)
        self.bar = self.fig.colorbar(self.left.imshow(FIELD), ax=self.left)
        self.fig.colorbar(self.right.imshow(50 * FIELD), ax=self.right)

    def update(self, frame_idx: int, params: Any) -> None:
        if frame_idx % 3 == 2:
            self.bar.remove()
            self.bar = self.fig.colorbar(self.left.contourf(FIELD, frame_idx), ax=self.left)


class ConstrainedColourBars(ColourBars):
    layout = "constrained"


class ScaledColourBar(Script):
    """Tick labels of a colour bar that change their width under a constrained layout."""

    layout = "constrained"

    def build(self) -> None:
        self.ax = self.fig.subplots()
        self.image = self.ax.imshow(FIELD)
        self.fig.colorbar(self.image, ax=self.ax)

    def update(self, frame_idx: int, params: Any) -> None:
        self.image.set_data(FIELD * 3.7**frame_idx)
        self.image.autoscale()


class CompressedColourBar(ScaledColourBar):
    layout = "compressed"


class TightColourBar(ScaledColourBar):
    layout = "tight"


class Space(Script):
    """Axes in 3D are measured as they were projected in the frame before."""

    layout = "constrained"

    def build(self) -> None:
        self.ax = self.fig.add_subplot(projection="3d")
        self.ax.plot(X, np.sin(X), X)

    def update(self, frame_idx: int, params: Any) -> None:
        self.ax.view_init(30, 7 * frame_idx)
        self.ax.set_title("title\n" * (frame_idx % 2))


class SpaceByHand(Space):
    """The same with ``tight_layout()`` in `update`."""

    layout = None

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.fig.tight_layout()


class PlacedAmongOthers(Script):
    """Of two axes under a constrained layout the script places one itself."""

    layout = "constrained"

    def build(self) -> None:
        self.ax, self.other = self.fig.subplots(1, 2)
        self.ax.plot(X, X)

    def update(self, frame_idx: int, params: Any) -> None:
        self.ax.set_ylabel("label\n" * (1 + frame_idx % 3))
        if frame_idx > 2:
            self.other.set_position((0.5, 0.1, 0.05 * frame_idx, 0.4))


class EngineLater(Script):
    """A layout engine that comes in frame 2 and goes in frame 4."""

    def update(self, frame_idx: int, params: Any) -> None:
        self.ax.set_title("title\n" * (1 + frame_idx % 3))
        if frame_idx == 2:
            self.fig.set_layout_engine("constrained")
        if frame_idx == 4:
            self.fig.set_layout_engine("none")


SCRIPTS: list[type[Script]] = [
    TightInUpdate,
    TightThenMargins,
    TightThenInset,
    TightThenMoved,
    Rebuilt,
    ColourBars,
    ConstrainedColourBars,
    ScaledColourBar,
    CompressedColourBar,
    TightColourBar,
    Space,
    SpaceByHand,
    PlacedAmongOthers,
    EngineLater,
]


@functools.cache
def serial_loop(make: Callable[[], Script], n_frames: int = N_FRAMES) -> list[Any]:
    """What `setup`, and then `update` and a full draw for each frame give."""
    script, frames = make(), []
    canvas = FigureCanvasAgg(script.setup())
    for number in range(n_frames):
        seed_for(0, number)
        script.update(number, None)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba()).copy())
    return frames


def source_of(thing: Any, drawing: Any = "auto", n_frames: int | None = None) -> Source:
    return as_source(
        thing, RenderSettings(fps=Fraction(10), dpi=None, n_frames=n_frames, drawing=drawing)
    )


def geometry_of(make: Callable[[], Source]) -> Geometry:
    source = make()
    open_source(source, 0, None)
    geometry = measure_source(source, 0, 0, None)
    source.close()
    return geometry


def assert_drawn(source: Source, number: int, expected: list[Any]) -> None:
    """Fail unless frame `number` has the pixels that it should have."""
    seed_for(0, number)
    frame = draw_frame(source, number, None, expected[0].shape[1::-1])
    if not np.array_equal(frame, expected[number]):
        raise AssertionError(describe(number, expected[number], frame))


COSTLY = [Rebuilt, ConstrainedColourBars, CompressedColourBar, TightColourBar, SpaceByHand]
"""Scripts that are drawn where all is asked for: each has others like it."""

QUICK = [script for script in SCRIPTS if script not in COSTLY]


@pytest.mark.parametrize("make", sampled(SCRIPTS, QUICK))
def test_frames_in_order_are_those_of_a_serial_loop(make: type[Script]) -> None:
    """From the first one on."""
    expected, source = serial_loop(make), source_of(make())
    open_source(source, 0, None)
    measure_source(source, 0, 0, None)
    for number in range(N_FRAMES):
        assert_drawn(source, number, expected)
    source.close()


@pytest.mark.parametrize("make", sampled(SCRIPTS, QUICK[::2]))
def test_frames_after_replayed_ones_are_those_of_a_serial_loop(make: type[Script]) -> None:
    """An actor that runs the updates it skips has the same axes, to the bit."""
    expected = serial_loop(make)
    geometry = geometry_of(lambda: source_of(make(), "full"))
    source = SequentialSource(source_of(make(), "full"), 0, None)
    open_source(source, 0, geometry)
    for number in (3, 5, 1, 2, 0):
        assert_drawn(source, number, expected)
    source.close()


@pytest.mark.parametrize("make", [TightThenMargins, TightThenInset, Rebuilt])
def test_who_jumps_leaves_the_script_s_own_positions_alone(make: type[Script]) -> None:
    """Where frames do not depend on each other, an actor that begins anywhere draws the same."""
    expected = serial_loop(make)
    geometry = geometry_of(lambda: source_of(make(), "full"))
    source = source_of(make(), "full")
    open_source(source, 0, geometry)
    for number in (5, 3, 4):
        assert_drawn(source, number, expected)
    source.close()


class SteadyColourBar(ScaledColourBar):
    """Labels that stay: in a serial loop the axes come to rest."""

    def update(self, frame_idx: int, params: Any) -> None:
        self.image.set_data(FIELD * np.cos(frame_idx))


def function_of(script: Script) -> Callable[[int], Figure]:
    """The same as a plain function that keeps its figure."""

    def draw(number: int) -> Figure:
        if not hasattr(script, "fig"):
            script.setup()
        script.update(number, None)
        return script.fig

    return draw


@pytest.mark.slow
@pytest.mark.parametrize("as_function", [False, True])
@pytest.mark.parametrize("layout", ["constrained", "tight"])
def test_who_jumps_begins_with_a_layout_at_rest(layout: str, as_function: bool) -> None:
    """As late frames of a serial loop do; the first frame is drawn as there, whenever it comes."""
    if layout == "tight" and mpl.__version_info__ < (3, 11):
        pytest.skip("before matplotlib 3.11 a tight layout does not come to rest to the bit")

    def make() -> Source:
        script = SteadyColourBar()
        script.layout = layout
        if as_function:
            return source_of(function_of(script), n_frames=12)
        return source_of(script)

    class Laid(SteadyColourBar):
        pass

    Laid.layout = layout
    expected = serial_loop(Laid, 12)
    source = make()
    open_source(source, 0, geometry_of(make))
    for number in (0, 11, 0, 9):
        assert_drawn(source, number, expected)
    source.close()


def test_a_tight_box_is_measured_without_a_trace() -> None:
    """The first frame begins where it does in a serial loop, cut by the box."""
    options = {"bbox_inches": "tight", "facecolor": "white"}
    script, source = ScaledColourBar(), source_of(ScaledColourBar())
    source._options = {"dpi": "figure", **options}  # type: ignore[attr-defined]
    open_source(source, 0, None)
    geometry = measure_source(source, 0, 0, None)
    frame = draw_frame(source, 0, None, geometry.size).copy()
    source.close()
    assert geometry.box is not None
    figure = script.setup()
    script.update(0, None)
    box = Bbox.from_extents(*geometry.box)
    expected = _saved(figure, box)
    assert np.array_equal(frame, expected)


def _saved(figure: Figure, box: Bbox) -> Any:
    memory = io.BytesIO()
    figure.savefig(memory, format="png", facecolor="white", bbox_inches=box)
    return np.asarray(Image.open(memory).convert("RGBA"))


def test_the_figure_keeps_what_the_script_did_to_it() -> None:
    """At the end it gets its canvas and dpi back, nothing else."""
    script = TightThenMargins()
    figure = script.setup()
    canvas = figure.canvas
    pixels = FigurePixels(figure, 80)
    pixels.draw()
    script.update(5, None)
    pixels.draw()
    before = figure.axes[0].get_position().bounds
    pixels.close()
    assert figure.axes[0].get_position().bounds == before
    assert (figure.canvas, figure.dpi) == (canvas, 50)


def test_only_engines_that_move_something_run() -> None:
    """What ``tight_layout()`` leaves on a figure is none."""
    figure = Figure()
    assert not runs_layout(figure)
    figure.subplots()
    figure.tight_layout()
    assert figure.get_layout_engine() is not None
    assert not runs_layout(figure)
    figure.set_layout_engine("tight")
    assert runs_layout(figure)
    figure.clf()
    assert not runs_layout(figure)


def test_a_layout_is_put_back_to_the_bit() -> None:
    """Axes, colour bars, subfigures, margins and the figure's title."""
    figure = Figure(figsize=(4, 3), dpi=50, layout="constrained")
    left, right = figure.subfigures(1, 2)
    left.colorbar(left.subplots().imshow(FIELD))
    right.subplots(2, 1)
    right.suptitle("right")
    figure.suptitle("title")
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    before = [ax.get_position().bounds for ax in figure.axes]
    frame = np.array([each.bbox_relative.bounds for each in (left, right)])
    with restored_layout(figure):
        figure.suptitle("two\nlines")
        left.axes[0].set_title("three\nmore\nlines")
        settle_layout(figure)
        assert [ax.get_position().bounds for ax in figure.axes] != before
    assert [ax.get_position().bounds for ax in figure.axes] == before
    assert np.array_equal([each.bbox_relative.bounds for each in (left, right)], frame)
