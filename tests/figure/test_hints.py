"""Hints are given where a script is slow for a reason that it can change, and only there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from samples import sampled
from videos import X, wave

from rayanim.figure.draw_stats import TIGHT_LAYOUT, DrawMonitor, DrawStats, Note
from rayanim.figure.figure import FigurePixels
from rayanim.figure.hints import ENOUGH_FRAMES, ArtistGrowth, advice_of, place_of

Update = Callable[[Figure, int], None]


class Undrawn(FigurePixels):
    """Draws nothing: what is looked at is the number of artists."""

    why_full = None

    def draw_now(self, *, compare: bool = False) -> Any:
        pass


def notes_of(update: Update, n_frames: int = 120, figure: Figure | None = None) -> list[Note]:
    """What is reported of a video that is updated so."""
    monitor, pixels = DrawMonitor(), Undrawn(figure or wave())
    with monitor.open():
        for number in range(n_frames):
            with monitor.frame(number):
                update(pixels.figure, number)
                pixels.draw()
    return list(monitor.take().notes)


def add_lines(figure: Figure, number: int) -> None:
    figure.axes[0].plot(X, X + number)


def add_texts(figure: Figure, number: int) -> None:
    figure.text(0.5, 0.5, f"frame {number}")


def add_colour_bars(figure: Figure, number: int) -> None:
    figure.add_axes((0.8, 0.1, 0.1, 0.8))


def line_of(function: Update) -> str:
    """Where the one statement of `function` is."""
    return f"test_hints.py:{inspect.getsourcelines(function)[1] + 1}"


@pytest.mark.parametrize(
    ("update", "what"),
    [
        (add_lines, "Line2D in axes 'A wave'"),
        (add_texts, "Text in the figure"),
        (add_colour_bars, "Axes in the figure"),
    ],
)
def test_artists_that_pile_up_are_reported_once(update: Update, what: str) -> None:
    """With their kind, where they are, how many, after how many frames, and who makes them."""
    (note,) = notes_of(update)
    assert note.key == "pile-up"
    assert f"{what} (made at " in note.text
    assert f"{line_of(update)})" in note.text
    assert "after 44 frames" in note.text


def test_a_new_figure_for_every_frame_is_reported() -> None:
    """And nothing of its layout, which follows from that."""
    stats = DrawStats(
        in_full={"the first frame": 40},
        timed_frames=40,
        timed_s=4.0,
        drawing_s=4.0,
        layout_frames={"constrained": 40},
        layout_s={"constrained": 2.0},
    )
    (note,) = advice_of(stats)
    assert "new figure is made for every frame" in note.text
    assert not list(advice_of(replace(stats, in_full={"the first frame": 1}, incremental=39)))[1:]


def test_the_count_is_that_of_the_figure() -> None:
    """44 frames made 44 lines beside the one of the setup."""
    (note,) = notes_of(add_lines)
    assert "frame to frame: 45 Line2D" in note.text


def add_and_replace(figure: Figure, number: int) -> None:
    figure.axes[0].texts[-1].remove() if figure.axes[0].texts else None
    figure.axes[0].text(1, 0, "replaced")
    add_lines(figure, number)


def test_what_is_replaced_is_not_named() -> None:
    """Of two kinds that are made in each frame, the one is named that stays."""
    (note,) = notes_of(add_and_replace)
    assert "Line2D" in note.text
    assert "Text" not in note.text


def replace_line(figure: Figure, number: int) -> None:
    figure.axes[0].lines[0].remove()
    add_lines(figure, number)


def add_a_few(figure: Figure, number: int) -> None:
    if 10 <= number < 30:
        add_lines(figure, number)


def up_and_down(figure: Figure, number: int) -> None:
    if number % 50 == 49:
        for line in list(figure.axes[0].lines[1:]):
            line.remove()
    add_lines(figure, number)


def up_and_down_slowly(figure: Figure, number: int) -> None:
    wanted = 20 + 15 * ((number // 15) % 2) + (number % 15) * (1 - 2 * ((number // 15) % 2))
    lines = figure.axes[0].lines
    while len(lines) < wanted:
        add_lines(figure, number)
    while len(lines) > wanted:
        lines[-1].remove()


def now_and_then(figure: Figure, number: int) -> None:
    if number % 10 == 0:
        add_lines(figure, number)


def cleared(figure: Figure, number: int) -> None:
    figure.axes[0].clear()
    add_lines(figure, number)


@pytest.mark.parametrize(
    "update",
    sampled(
        [replace_line, add_a_few, up_and_down_slowly, now_and_then, cleared],
        [replace_line, up_and_down_slowly],
    ),
)
def test_no_false_alarm(update: Update) -> None:
    """Artists that are replaced, added once, added rarely, or go up and down."""
    # A figure that is cleared is slow to make: enough frames for the hint to come.
    assert notes_of(update, 150 if update is cleared else 400) == []


def test_after_a_fall_a_longer_way_up_is_needed() -> None:
    """A trail that is wiped is reported at most once, before its first fall."""
    assert len(notes_of(up_and_down, 1000)) == 1
    assert notes_of(lambda figure, number: up_and_down(figure, number + 20), 1000) == []


def test_artists_made_elsewhere_are_reported_without_a_place() -> None:
    """Artists that were made beforehand and are only added pile up all the same."""
    figure = wave()
    spare = wave().axes[0]
    ready = [spare.plot(X, X)[0] for _ in range(120)]
    for line in ready:
        line.remove()
    (note,) = notes_of(lambda figure, number: figure.axes[0].add_line(ready[number]), figure=figure)
    assert "in all after 44 frames" in note.text


def run_as(name: str, path: str, code: str, **names: object) -> dict[str, object]:
    """The names that `code` leaves, run as a module of this name in this file."""
    module: dict[str, object] = {"__name__": name, **names}
    exec(compile(code, path, "exec"), module)
    return module


def test_the_place_is_the_user_s_own_line() -> None:
    """Neither matplotlib's, nor that of a package through which the user calls it."""
    own = {"place_of": place_of, "currentframe": inspect.currentframe}
    code = "def draw():\n    return place_of(currentframe())\n"
    matplotlib_s = run_as("matplotlib.axes", "/mpl/axes.py", code, **own)
    assert (
        run_as("__main__", "/me/script.py", "\n\nplace = draw()", draw=matplotlib_s["draw"])[
            "place"
        ]
        == "/me/script.py:3"
    )
    package = run_as("plots", "/x/site-packages/plots.py", code, **own)
    assert run_as("__main__", "/me/script.py", "place = draw()", draw=package["draw"])["place"] == (
        "/me/script.py:1"
    )


def test_a_package_that_is_the_video_is_the_place() -> None:
    """Where rayanim calls installed code, there is no other line to name."""
    own = {"place_of": place_of, "currentframe": inspect.currentframe}
    package = run_as(
        "plots",
        "/x/site-packages/plots.py",
        "def draw():\n    return place_of(currentframe())",
        **own,
    )
    ours = run_as("rayanim.sources", "/r/source.py", "place = draw()", draw=package["draw"])
    assert ours["place"] == "/x/site-packages/plots.py:2"


def test_only_artists_that_are_still_there_are_named() -> None:
    """One that took a removed one's place in memory is not taken for it."""
    growth, figure = ArtistGrowth(), wave()
    for _ in range(50):
        growth.note_new(figure.axes[0].text(0, 0, "gone"), inspect.currentframe())
        figure.axes[0].texts[0].remove()
        figure.axes[0].plot(X, X)
    assert "Text" not in growth._text(figure)


def test_artists_are_not_noted_after_the_report() -> None:
    """The classes of matplotlib are their own again."""
    before = Artist.__init__
    notes_of(add_lines, 41)
    assert Artist.__init__ is before


def stats(frame_ms: float, drawing_ms: float, frames: int = 100, **layouts_ms: float) -> DrawStats:
    """A video whose frames took so long each, with layouts in all of them."""
    return DrawStats(
        incremental=frames,
        timed_frames=frames,
        timed_s=frames * frame_ms / 1000,
        drawing_s=frames * drawing_ms / 1000,
        layout_frames=dict.fromkeys(layouts_ms, frames),
        layout_s={name: frames * each / 1000 for name, each in layouts_ms.items()},
    )


def keys(given: DrawStats) -> list[str]:
    return [note.key for note in advice_of(given)]


def test_code_that_is_slower_than_the_drawing_is_named() -> None:
    """With both times, so that it can be seen to be true."""
    (note,) = advice_of(stats(42, 7))
    assert "takes 35 of the 42 ms of a frame: the drawing is not what is slow" in note.text


def test_a_layout_that_the_code_runs_is_not_the_code() -> None:
    """It has a hint of its own, whatever runs it: the call, or a draw of the script's."""
    call = replace(stats(265, 95, **{TIGHT_LAYOUT: 149}), own_layout_s=14.9)
    assert keys(call) == [f"layout {TIGHT_LAYOUT}"]
    drawn = replace(stats(265, 95, constrained=149), own_layout_s=14.9)
    (note,) = advice_of(drawn)
    assert "The constrained layout engine runs in every frame and takes 149 of" in note.text


@pytest.mark.parametrize(
    "given",
    [
        stats(42, 20),  # half of the frame
        stats(6, 1.5),  # a few milliseconds
        stats(42, 7, frames=ENOUGH_FRAMES - 1),
        stats(42, 42),
        DrawStats(),
    ],
)
def test_nothing_is_said_where_drawing_counts(given: DrawStats) -> None:
    """Nor where little was drawn yet."""
    assert keys(given) == []


def test_a_layout_in_every_frame_is_named_with_the_remedy() -> None:
    """An engine can be turned off, and a call can be made once."""
    (engine,) = advice_of(stats(30, 30, constrained=12))
    assert engine.key == "layout constrained"
    assert "The constrained layout engine runs in every frame and takes 12 of its 30 ms" in (
        engine.text
    )
    assert "fig.set_layout_engine('none')" in engine.text
    (call,) = advice_of(stats(30, 20, **{TIGHT_LAYOUT: 9.0}))
    assert call.text.startswith("tight_layout() runs in every frame and takes 9.0 of its 30 ms")
    assert "once, before the first frame" in call.text


def test_layouts_that_cost_little_or_run_rarely_are_left_alone() -> None:
    """A tenth of the frame, a millisecond, nine frames of ten: less is not worth a word."""
    assert keys(stats(100, 100, tight=9)) == []
    assert keys(stats(5, 5, tight=0.9)) == []
    rare = stats(30, 30, tight=12)
    seldom = replace(rare, layout_frames={"tight": 80})
    assert keys(seldom) == []


def test_hints_on_the_same_thing_has_the_same_key() -> None:
    """Whatever the figures: it is reported once in a job."""
    assert keys(stats(42, 7)) == keys(stats(80, 10)) == ["code"]
