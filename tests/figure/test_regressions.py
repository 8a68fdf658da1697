"""Wrong pixels and crashes that were found by drawing at random, each as a small case."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from datetime import timedelta, timezone
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from cycler import cycler
from matplotlib.colors import get_named_colors_mapping
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform
from sameness import assert_same_as_full, unguarded
from samples import sampled
from videos import X

Step = Callable[[Figure, int], None]


def line_in(figure: Figure) -> Any:
    return figure.axes[0].lines[0]


def plain() -> Figure:
    figure = Figure(figsize=(3, 2), dpi=70)
    figure.subplots().plot(X, np.sin(X))
    return figure


def new_cycle(figure: Figure, step: int) -> None:
    """Arrays in ``rcParams`` cannot be compared by ``==`` alone."""
    colors = mpl.colormaps["viridis"](np.linspace(0, 1, 5))
    mpl.rcParams["axes.prop_cycle"] = cycler(color=colors)
    line_in(figure).set_ydata(np.sin(X + step))


def array_as_color(figure: Figure, step: int) -> None:
    """The colour is an array that is changed in place."""
    get_named_colors_mapping()["a colour of mine"] = np.array([0.1 * step, 0.2, 0.3])
    line_in(figure).set_color("a colour of mine")


def two_aligned() -> Figure:
    figure = Figure(figsize=(3, 3), dpi=70)
    figure.kept = figure.subplots(2, 1)
    figure.kept[0].plot(X, np.sin(X))
    for axes, label in zip(figure.kept, ("a", "b\nb"), strict=True):
        axes.set_ylabel(label)
    return figure


def remove_aligned(figure: Figure, step: int) -> None:
    """Axes that are gone are still in the group of their labels."""
    if step == 2:
        figure.align_ylabels()
    if step == 5:
        figure.kept[1].remove()
    line_in(figure).set_ydata(np.sin(X + step))


def align_late(figure: Figure, step: int) -> None:
    """Nothing but the group changes."""
    if step == 4:
        figure.kept[1].set_ylim(0, 1e6)
    if step == 6:
        figure.align_ylabels()


def twins() -> Figure:
    figure = plain()
    figure.axes[0].set_title("above both")
    twin = figure.axes[0].twinx()
    twin.plot([0, 1], [0, 1])
    twin.text(0.5, 0.5, "hi")
    figure.axes[0].annotate("at the twin", (0.5, 0.5), xycoords=twin.transData)
    return figure


def scale_twin(figure: Figure, step: int) -> None:
    """The titles of one axes look at another that has not found its limits yet."""
    if step == 1:
        figure.axes[1].set_ylim(-3, 4, auto=None)
    if step == 5:
        figure.axes[1].set_ymargin(0.05)


def shifted() -> Figure:
    figure = plain()
    axes: Any = figure.axes[0]
    axes.shift = Affine2D()
    figure.shift = axes.shift
    axes.plot(X, np.cos(X), transform=axes.shift + axes.transData)
    axes.set_xlim(0, 12)
    return figure


def equal_in_its_place(figure: Figure, step: int) -> None:
    """Something equal takes the place of what an artist is drawn from, which changes later."""
    if step == 3:
        figure.axes[0].shift = Affine2D()
    if step > 4:
        figure.shift.clear().translate(0.1 * step, 0)


def zones() -> Figure:
    figure = plain()
    figure.axes[0].xaxis.set_major_formatter(DateFormatter("%H %Z", tz=timezone(timedelta(0), "A")))
    return figure


def rename_zone(figure: Figure, step: int) -> None:
    """Two time zones are equal and have other names."""
    if step == 4:
        figure.axes[0].xaxis.get_major_formatter().tz = timezone(timedelta(0), "B")


class Setter(Line2D):
    """Sets something for all while it is drawn."""

    def draw(self, renderer: Any) -> None:
        mpl.rcParams["path.snap"] = self.get_label() != "off"
        super().draw(renderer)


def set_while_drawn() -> Figure:
    figure = plain()
    figure.axes[0].add_line(Setter([0, 1], [0, 0.5], zorder=-5, label="on"))
    return figure


def set_for_all(figure: Figure, step: int) -> None:
    """The artist of a script changes ``rcParams`` in the midst of a draw."""
    if step == 4:
        figure.axes[0].lines[1].set_label("off")


def clipped() -> Figure:
    figure = Figure(figsize=(2, 2), dpi=70)
    for snap in (True, False):
        line = Line2D([10, 120], [10, 100], lw=30, transform=IdentityTransform(), snap=snap)
        line.set_clip_path(
            Path([(20.3, 20.3), (90.6, 25.2), (60.1, 99.4), (20.3, 20.3)]), line._transform
        )
        figure.add_artist(line)
    return figure


def share_clip(figure: Figure, step: int) -> None:
    """One clip path takes the place of two equal ones, and is snapped as the first artist asks."""
    if step == 4:
        first, second = figure.artists
        path, transform = first.get_clip_path().get_transformed_path_and_affine()
        for line in (first, second):
            line.set_clip_path(path, transform)


def laid_out_twins() -> Figure:
    figure = Figure(figsize=(4, 2.4), dpi=70, layout="constrained")
    for axes in figure.subplots(1, 2):
        axes.imshow(np.outer(X, X), interpolation="nearest")
        axes.set_title("t")
    return figure


def move_laid_out(figure: Figure, step: int) -> None:
    """A layout engine measures axes that it moves; what is remembered of before is no measure."""
    if step == 1:
        figure.axes[0].twiny().plot([0, 1, 2], [1, 2, 0], "c")
    if step == 4:
        figure.axes[1].set_position((0.5, 0.2, 0.3, 0.5))
        figure.draw_without_rendering()
    if step == 6:
        figure.suptitle("hello")


def laid_out() -> Figure:
    figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
    for axes in figure.subplots(1, 2):
        axes.plot(range(10))
    return figure


def another_engine(figure: Figure, step: int) -> None:
    """The engine before is as it was, and no longer the figure's."""
    if step == 6:
        figure.set_layout_engine("tight", pad=3)


CASES: dict[str, tuple[Callable[[], Figure], Step]] = {
    "arrays in rcParams": (plain, new_cycle),
    "an array as a named colour": (plain, array_as_color),
    "removed axes of an aligned group": (two_aligned, remove_aligned),
    "labels aligned later": (two_aligned, align_late),
    "a twin that waits for its limits": (twins, scale_twin),
    "an equal transform": (shifted, equal_in_its_place),
    "names of time zones": (zones, rename_zone),
    "rcParams set in a draw": (set_while_drawn, set_for_all),
    "a clip path shared later": (clipped, share_clip),
    "twins that are laid out": (laid_out_twins, move_laid_out),
    "another layout engine": (laid_out, another_engine),
}


@pytest.mark.parametrize("name", sampled(CASES, list(CASES)[:-2]))
def test_every_frame_has_the_pixels_of_a_full_draw(name: str) -> None:
    build, step = CASES[name]
    with mpl.rc_context():
        assert_same_as_full(build, [partial(step, step=number) for number in range(10)])
    get_named_colors_mapping().pop("a colour of mine", None)


def test_axes_that_are_gone_are_not_kept() -> None:
    """A twin made anew in each frame: nothing holds the ones before it."""
    figure = plain()
    figure.axes[0].set_title("t")
    canvas = unguarded(figure)
    gone: list[weakref.ref[Any]] = []
    for _ in range(4):
        twin = figure.axes[0].twinx()
        canvas.draw()
        twin.remove()
        gone.append(weakref.ref(twin))
        del twin
    canvas.draw()
    canvas.draw()
    gc.collect()
    assert sum(ref() is not None for ref in gone) <= 1
