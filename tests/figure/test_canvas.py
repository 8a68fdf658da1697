"""Incremental drawing gives matplotlib's own pixels."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import IdentityTransform
from sameness import assert_same_as_full, unguarded
from samples import sampled
from videos import STEPS, VIDEOS, X, wave

from rayanim.figure import artists, changes
from rayanim.figure.canvas import IncrementalCanvas
from rayanim.figure.figure import FigurePixels


def full_pixels(figure: Figure) -> np.ndarray:
    """What matplotlib draws; leaves the figure with its canvas."""
    before = figure.canvas
    full = FigureCanvasAgg(figure)
    full.draw()
    figure.set_canvas(before)
    return np.asarray(full.buffer_rgba()).copy()


@pytest.mark.parametrize("name", sampled(VIDEOS, list(VIDEOS)[::4]))
def test_every_video_is_the_same_to_the_bit(name: str) -> None:
    """Each frame of each video has the pixels of a full draw."""
    build, step = VIDEOS[name]
    canvas = assert_same_as_full(build, [partial(step, step=n) for n in range(STEPS[name])])
    assert canvas.drawn_incrementally + sum(canvas.drawn_in_full.values()) == STEPS[name] + 2


def test_only_the_line_of_a_wave_is_drawn_anew() -> None:
    """Where a line moves, it is the only artist that runs its own drawing code."""
    figure = wave()
    canvas = unguarded(figure)
    line = figure.axes[0].lines[0]
    for number in range(5):
        line.set_ydata(np.sin(X + number))
        canvas.draw()
    assert [node.artist for node in canvas.nodes if node.dirty] == [line]
    assert canvas.drawn_incrementally == 4


@pytest.mark.parametrize("name", ["twins", "inset", "space", "heat_map_with_colour_bar"])
def test_figures_of_many_axes_are_drawn_incrementally(name: str) -> None:
    """Not all: what has some of them be drawn in full has tests of its own."""
    build, step = VIDEOS[name]
    canvas = assert_same_as_full(build, [partial(step, step=n) for n in range(3)])
    assert canvas.drawn_incrementally == 4


@pytest.mark.parametrize("name", ["shared_axes", "aligned", "twins", "wave_with_grid_above"])
def test_nothing_is_drawn_where_nothing_changed(name: str) -> None:
    """Axes that share ticks or labels do not make each other look changed."""
    figure = VIDEOS[name][0]()
    canvas = unguarded(figure)
    for _ in range(4):
        canvas.draw()
    assert [node.artist for node in canvas.nodes if node.dirty] == []


def test_artists_that_are_shown_one_after_the_other_leave_nothing_behind() -> None:
    """As in an ArtistAnimation; some come back, and lie above or below the others."""

    def build() -> Figure:
        figure = Figure(figsize=(3, 2), dpi=70)
        axes = figure.subplots()
        for number in range(6):
            axes.plot(X, np.sin(X + number), linewidth=3, zorder=5 - number, visible=False)
        return figure

    def show(figure: Figure, numbers: tuple[int, ...]) -> None:
        for number, line in enumerate(figure.axes[0].lines):
            line.set_visible(number in numbers)

    shown = [(0,), (1,), (2, 5), (2,), (3, 5), (), (0, 5), (4,), (0,), (5, 1), (), (4, 3)]
    canvas = assert_same_as_full(build, [partial(show, numbers=numbers) for numbers in shown])
    assert canvas.drawn_incrementally == len(shown) + 1


def test_what_comes_in_the_place_of_another_leaves_the_rest_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in an ArtistAnimation: the background is not painted again for each image."""
    figure = Figure(figsize=(3, 2), dpi=50)
    ax = figure.add_subplot()
    images = [ax.imshow(np.full((3, 3), number), vmin=0, vmax=9) for number in range(9)]
    canvas = unguarded(figure)
    replayed: list[object] = []
    replay = artists.ArtistNode.replay

    def noted(node: artists.ArtistNode) -> None:
        replayed.append(node.artist)
        replay(node)

    monkeypatch.setattr(artists.ArtistNode, "replay", noted)
    for shown in images:
        for image in images:
            image.set_visible(image is shown)
        replayed.clear()
        canvas.draw()
        assert np.array_equal(canvas.pixels, full_pixels(figure))
    assert images[-1] in replayed
    assert figure not in replayed


def test_what_comes_below_something_that_stays_is_drawn_below_it() -> None:
    """Where what moves lies above both."""

    def build() -> Figure:
        figure = Figure(figsize=(2, 2), dpi=50)
        ax = figure.add_axes((0, 0, 1, 1), frameon=False)
        for zorder, color in enumerate(("red", "green", "blue")):
            box = Rectangle((0.1, 0.1), 0.6, 0.6, color=color, zorder=zorder)
            ax.add_patch(box).set_visible(zorder > 0)
        return figure

    def move(figure: Figure, to: float) -> None:
        figure.axes[0].patches[2].set_width(to)

    def show(figure: Figure) -> None:
        figure.axes[0].patches[0].set_visible(True)

    moves = [partial(move, to=width) for width in (0.3, 0.7, 0.2, 0.6, 0.1)]
    assert_same_as_full(build, [*moves, show, *moves])


def test_a_wide_line_with_sharp_corners_leaves_nothing_behind() -> None:
    """matplotlib lets its corners reach many line widths, on every side in turn."""

    def build() -> Figure:
        figure = Figure(figsize=(3, 2), dpi=100)
        figure.add_artist(
            Line2D([], [], linewidth=12, solid_joinstyle="miter", transform=IdentityTransform())
        )
        return figure

    def move(figure: Figure, places: np.ndarray) -> None:
        figure.artists[0].set_data(*places)

    rng = np.random.default_rng(0)
    places = rng.uniform([100, 90], [160, 110], (25, 3, 2)).transpose(0, 2, 1)
    assert_same_as_full(build, [partial(move, places=each) for each in places])


def test_data_changed_in_place_is_seen() -> None:
    """An array of an artist that is changed without a setter is drawn as it is now."""
    figure = wave()
    patch = figure.axes[0].fill([1, 2, 3], [0, 1, 0])[0]
    canvas = unguarded(figure)
    for number in range(4):
        patch.get_path().vertices[1, 1] = number / 4
        canvas.draw()
        assert np.array_equal(canvas.pixels, full_pixels(figure))


def test_large_data_changed_in_place_is_seen() -> None:
    """Arrays of megabytes are compared whole: a change anywhere in them is drawn."""
    figure = Figure(figsize=(3, 3), dpi=50)
    image = figure.subplots().imshow(np.zeros((600, 600)), vmin=0, vmax=1)
    canvas = unguarded(figure)
    for _ in range(3):
        canvas.draw()
    image.get_array().data[300:340, 300:340] = 1
    canvas.draw()
    assert np.array_equal(canvas.pixels, full_pixels(figure))


class BlindWatch(changes.Watch):
    """Sees no change."""

    def changed(self) -> bool:
        """Never."""
        return False


def test_a_comparison_finds_what_was_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that goes unseen is found by the comparison, and that frame is right."""
    monkeypatch.setattr(artists, "Watch", BlindWatch)
    figure = wave()
    canvas = unguarded(figure)
    line = figure.axes[0].lines[0]
    for _ in range(4):
        canvas.draw_frame()
    line.set_ydata(np.sin(X) / 2)
    with pytest.warns(RuntimeWarning, match=r"other pixels than a full draw.*Line2D"):
        canvas.draw_frame(compare=True)
    assert canvas.difference is not None
    assert np.array_equal(canvas.pixels, full_pixels(figure))
    line.set_ydata(np.sin(X) / 3)
    canvas.draw_frame()
    assert canvas.drawn_in_full["a difference was found"] == 2
    assert np.array_equal(canvas.pixels, full_pixels(figure))


def test_pixels_that_were_lent_are_painted_again() -> None:
    """Whatever the caller did to the buffer or the renderer, the next frame is right."""
    figure = wave()
    canvas = unguarded(figure)
    for number in range(6):
        figure.axes[0].lines[0].set_ydata(np.sin(X + number))
        canvas.draw()
        assert np.array_equal(canvas.pixels, full_pixels(figure))
        np.asarray(canvas.buffer_rgba())[:20] = 7
        figure.axes[0].draw_artist(Line2D([0, 1], [0, 1], figure=figure, lw=30))


def test_frames_are_read_only_views() -> None:
    """What `FigurePixels.draw` gives cannot be written to by mistake."""
    pixels = FigurePixels(wave())
    frame = pixels.draw()
    with pytest.raises(ValueError, match="read-only"):
        frame[0] = 0


def test_an_error_in_an_artist_leaves_the_next_frame_right() -> None:
    """After a draw that failed, the next one has matplotlib's pixels."""
    figure = wave()
    canvas = unguarded(figure)
    for _ in range(3):
        canvas.draw()
    text = figure.axes[0].text(1, 0, "$\\nonsense$")
    with pytest.raises(ValueError, match="nonsense"):
        canvas.draw()
    text.remove()
    for _ in range(3):
        canvas.draw()
        assert np.array_equal(canvas.pixels, full_pixels(figure))


def test_draws_are_in_full_where_something_runs_after_each() -> None:
    """A callback on draws may do anything: frames are drawn in full, with the reason."""
    figure = wave()
    canvas = unguarded(figure)
    canvas.mpl_connect("draw_event", lambda event: None)
    for _ in range(3):
        canvas.draw()
    assert canvas.drawn_in_full["something runs after each draw"] == 2


def test_drawing_in_full_can_be_asked_for() -> None:
    """``drawing="full"`` leaves everything to matplotlib."""
    pixels = FigurePixels(wave(), drawing="full")
    for _ in range(3):
        frame = pixels.draw()
    assert not isinstance(pixels._canvas, IncrementalCanvas)
    assert np.array_equal(frame, full_pixels(pixels.figure))
    assert pixels.why_full == "drawing='full' was asked for"


def test_limits_that_the_first_draw_set_are_the_reason_for_the_second() -> None:
    """Not that nearly everything changes: one line does."""
    figure = Figure()
    (line,) = figure.add_subplot().plot(X, np.sin(X))
    canvas = IncrementalCanvas(figure)
    for number in range(3):
        line.set_ydata(np.sin(X + number))
        canvas.draw()
    assert canvas.drawn_in_full == {"the first frame": 1, "the limits of the axes changed": 1}


def test_limits_that_always_change_are_not_recorded() -> None:
    """Where limits change in each frame, matplotlib draws and nothing is recorded."""
    figure = wave()
    canvas = IncrementalCanvas(figure)
    for number in range(12):
        figure.axes[0].set_xlim(0, 5 + number)
        canvas.draw()
    assert canvas.drawn_incrementally == 0


def test_it_is_a_backend_of_matplotlib() -> None:
    """A script that selects the backend by name draws with it."""
    from rayanim.figure import backend

    manager = backend.FigureManager.create_with_canvas(backend.FigureCanvas, wave(), 1)
    assert isinstance(manager.canvas, IncrementalCanvas)
    manager.canvas.draw()


def test_savefig_between_frames_changes_nothing() -> None:
    """Saving the figure as a file leaves the next frames right."""
    figure = wave()
    canvas = unguarded(figure)
    for number in range(5):
        figure.axes[0].lines[0].set_ydata(np.sin(X + number))
        canvas.draw()
        assert np.array_equal(canvas.pixels, full_pixels(figure))
        figure.savefig(io.BytesIO(), format="png", dpi=40)
        figure.savefig(io.BytesIO(), format="svg")
