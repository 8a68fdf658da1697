"""Axes that are cleared in each frame keep their ticks where all is set up as before."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sameness import assert_same_as_full, unguarded
from videos import X

from rayanim.figure.canvas import IncrementalCanvas
from rayanim.figure.cleared import Before


def empty(rows: int = 1) -> Figure:
    figure = Figure(figsize=(3, 2 * rows), dpi=70)
    figure.subplots(rows)
    return figure


def drawn_anew(figure: Figure, number: int, **options: Any) -> None:
    """What many scripts do in each frame."""
    for ax in figure.axes:
        ax.clear()
        ax.plot(X, np.sin(X + number))
        given = {"xlim": (0, 12), "ylim": (-1, 1), "title": f"frame {number}", "xlabel": "x"}
        ax.set(**{**given, **options})


def axis_nodes(canvas: IncrementalCanvas) -> list[Any]:
    return [node for node in canvas.nodes if isinstance(node.artist, Axis)]


def test_axis_objects_of_cleared_axes_are_not_drawn_again() -> None:
    """Only what differs is drawn, and the ticks are there for a script that asks for them."""
    figure, twin = empty(), empty()
    canvas, other = unguarded(figure), FigureCanvasAgg(twin)
    for number in range(4):
        drawn_anew(figure, number)
        drawn_anew(twin, number)
        canvas.draw()
        other.draw()
    assert [node.drawn_for for node in axis_nodes(canvas)] == ["", ""]
    assert ticks_of(figure.axes[0]) == ticks_of(twin.axes[0])


def ticks_of(ax: Any) -> list[Any]:
    found: list[Any] = []
    for axis in (ax.xaxis, ax.yaxis):
        found += [(tick.get_loc(), tick.label1.get_text()) for tick in axis.majorTicks]
        found += [axis.label.get_position(), axis.offsetText.get_position()]
    return found


def coloured(figure: Figure, number: int) -> None:
    """Ticks of the frame before, which the script has not thrown away."""
    for tick in figure.axes[0].xaxis.majorTicks:
        tick.label1.set_color("red" if tick.get_loc() > 3 else "blue")


def with_setting(figure: Figure, number: int) -> None:
    """Settings that are read when ticks are drawn."""
    mpl.rcParams["axes.unicode_minus"] = number % 2 == 0
    drawn_anew(figure, 0)


CHANGES: dict[str, Callable[[Figure, int], None]] = {
    "same": drawn_anew,
    "limits": lambda figure, number: drawn_anew(figure, number, ylim=(-1, 1 + number % 2)),
    "no title": lambda figure, number: drawn_anew(figure, number, title=""),
    "label": lambda figure, number: drawn_anew(figure, number, xlabel=f"x {number % 2}"),
    "scale": lambda figure, number: drawn_anew(figure, number, xlim=(1, 12), xscale="log"),
    "ticks": lambda figure, number: drawn_anew(figure, number, xticks=[1, 2, 5]),
    "data limits": lambda figure, number: drawn_anew(figure, number, ylim=(None, None)),
    "coloured": coloured,
    "setting": with_setting,
    "nothing": lambda figure, number: None,
    "grid": lambda figure, number: figure.axes[0].grid(),
    "dpi": lambda figure, number: figure.set_dpi(60 + number % 2),
    "tick parameters": lambda figure, number: figure.axes[0].tick_params(labelsize=6 + number % 3),
    "top": lambda figure, number: figure.axes[0].xaxis.tick_top(),
    "spine": lambda figure, number: figure.axes[0].spines["left"].set_position(("data", 2)),
    "patch": lambda figure, number: figure.axes[0].patch.set_bounds(0, 0, 1, 0.5),
    "twin": lambda figure, number: (
        None if len(figure.axes) > 3 else drawn_anew_with(figure.axes[0].twinx(), figure, number)
    ),
}


def drawn_anew_with(_: Any, figure: Figure, number: int) -> None:
    drawn_anew(figure, number)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_frames_are_those_of_a_full_draw_whatever_the_script_does(seed: int) -> None:
    """Changes in any order, with axes that are set up as before in between."""
    chosen = random.Random(seed)
    names = [name for name in CHANGES if name != "twin" or seed % 2]
    steps = []
    for number, name in enumerate(chosen.sample(names, 7)):
        steps += [partial(drawn_anew, number=0), partial(drawn_anew, number=number)]
        steps.append(partial(CHANGES[name], number=number))
        steps += [partial(CHANGES[name], number=number)] * chosen.randrange(2)
    with mpl.rc_context():
        assert_same_as_full(partial(empty, 1 + seed % 2), steps)


def test_a_recording_that_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that is compared draws the axis objects anew, and says that they differ."""
    monkeypatch.setattr(Before, "same_as", lambda self, other: True)
    figure = empty()
    canvas = IncrementalCanvas(figure)
    with pytest.warns(RuntimeWarning, match="XAxis"):
        for number in range(5):
            drawn_anew(figure, number, xlim=(0, 12 + number))
            canvas.compares_first = canvas.always_try = True
            canvas.draw()


HANDLES: dict[str, Callable[[Any], list[Any]]] = {
    "labels": lambda ax: ax.get_xticklabels(),
    "lines": lambda ax: [*ax.get_xgridlines(), *ax.get_xticklines()],
    "ticks": lambda ax: [tick.label1 for tick in ax.xaxis.get_major_ticks()],
    "list": lambda ax: [ax.xaxis.majorTicks],
}


@pytest.mark.parametrize("when", ["before it clears", "after it cleared", "once"])
@pytest.mark.parametrize("name", HANDLES)
def test_ticks_that_a_script_holds_are_not_put_back(name: str, when: str) -> None:
    """Those of earlier frames are in no picture any more: a change of them does not show."""
    held: dict[Figure, list[Any]] = {}

    def draw(figure: Figure, number: int) -> None:
        if when == "before it clears" and number:
            held[figure] = HANDLES[name](figure.axes[0])
        drawn_anew(figure, 0)
        if when == "after it cleared" or (when == "once" and number == 1):
            held[figure] = HANDLES[name](figure.axes[0])

    def change(figure: Figure) -> None:
        for each in held[figure]:
            for part in [tick.label1 for tick in each] if isinstance(each, list) else [each]:
                part.set(color="red", visible=True)

    steps = [partial(draw, number=number) for number in range(5)]
    assert_same_as_full(empty, [*steps, change, change])
