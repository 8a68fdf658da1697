"""How figures are drawn is counted, whoever draws them, with what is to be reported."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine, TightLayoutEngine
from samples import sampled
from test_canvas import full_pixels
from videos import STEPS, VIDEOS, X, wave

from rayanim.figure import artists, changes, draw_stats
from rayanim.figure.draw_stats import (
    TIGHT_LAYOUT,
    WARM_UP,
    DrawMonitor,
    DrawStats,
    Note,
    open_monitor,
    uncounted,
)
from rayanim.figure.figure import FigurePixels, SavedFigurePixels

Update = Callable[[Figure, int], None]


def move(figure: Figure, number: int) -> None:
    figure.axes[0].lines[0].set_ydata(np.sin(X + number))


def stats_of(
    pixels: Any, n_frames: int = 5, update: Update = move, monitor: DrawMonitor | None = None
) -> DrawStats:
    """The stats of a video in which each frame draws `pixels`."""
    monitor = monitor or DrawMonitor()
    with monitor.open():
        for number in range(n_frames):
            with monitor.frame(number):
                update(pixels.figure, number)
                pixels.draw()
    return monitor.take()


def counts(stats: DrawStats) -> tuple[int, dict[str, int]]:
    """Frames drawn incrementally, and in full by reason."""
    return stats.incremental, stats.in_full


class BlindWatch(changes.Watch):
    """Sees no change: only comparing finds what it misses."""

    def changed(self) -> bool:
        """Never."""
        return False


def test_frames_are_counted_by_how_they_were_drawn() -> None:
    """The first frame is drawn in full, the others incrementally; the reason is kept."""
    stats = stats_of(FigurePixels(wave()))
    assert counts(stats) == (4, {"the first frame": 1})
    assert stats.frames == 5
    assert stats.notes == ()


def test_a_video_drawn_in_full_says_why() -> None:
    """Asked for, or because only savefig knows the options."""
    full = stats_of(FigurePixels(wave(), drawing="full"))
    assert counts(full) == (0, {"drawing='full' was asked for": 5})
    saved = stats_of(SavedFigurePixels(wave(), {"facecolor": "red"}, None))
    assert counts(saved) == (0, {"savefig options that only savefig knows": 5})


def test_a_frame_of_two_figures_is_one_frame() -> None:
    """It was drawn incrementally if both were."""
    one, other, monitor = FigurePixels(wave()), FigurePixels(wave(), drawing="full"), DrawMonitor()
    with monitor.open():
        for number, drawn in enumerate([(one,), (one, one), (one, other), ()]):
            with monitor.frame(number):
                for pixels in drawn:
                    pixels.draw()
    reasons = {"the first frame": 1, "drawing='full' was asked for": 1}
    assert counts(monitor.take()) == (1, reasons)


def test_each_opening_counts_anew() -> None:
    """What was counted in one segment is not counted again with the next one."""
    pixels, monitor = FigurePixels(wave()), DrawMonitor()
    first, second = (stats_of(pixels, monitor=monitor) for _ in range(2))
    assert counts(second) == (5, {})
    assert counts(first + second) == (9, {"the first frame": 1})
    assert (first + second).timed_frames == 10 - WARM_UP


def test_nothing_is_counted_without_a_monitor() -> None:
    """Nor in another thread than the one that opened it."""
    pixels, monitor = FigurePixels(wave()), DrawMonitor()
    pixels.draw()
    with monitor.open(), monitor.frame(0):
        other = threading.Thread(target=pixels.draw)
        other.start()
        other.join()
    assert monitor.take() == DrawStats()
    assert open_monitor() is None


def test_what_is_uncounted_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the frames drawn there nor the time that it takes."""
    clock = FakeClock(monkeypatch)
    pixels, monitor = FigurePixels(wave()), DrawMonitor()

    def update(figure: Figure, number: int) -> None:
        with uncounted():
            pixels.draw()
            clock.pass_s(5)
        clock.pass_s(1)

    stats = stats_of(pixels, WARM_UP + 3, update, monitor)
    assert counts(stats) == (WARM_UP + 3, {})
    assert (stats.timed_frames, stats.timed_s) == (3, 3.0)


class FakeClock:
    """The monitor's clock, which stands still but for `pass_s`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(draw_stats, "time", self)

    def perf_counter(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize("change_s", [0.0, 2.0])
def test_drawing_and_the_script_s_own_code_are_timed_apart(
    monkeypatch: pytest.MonkeyPatch, change_s: float
) -> None:
    """What passes outside of the figure's drawing is the script's; warming up counts for none."""
    clock = FakeClock(monkeypatch)
    pixels = FigurePixels(wave())
    draw_now = pixels.draw_now

    def slowly(*, compare: bool = False) -> Any:
        clock.pass_s(1)
        return draw_now(compare=compare)

    monkeypatch.setattr(pixels, "draw_now", slowly)
    stats = stats_of(pixels, WARM_UP + 4, lambda figure, number: clock.pass_s(change_s))
    assert (stats.timed_frames, stats.timed_s) == (4, 4 * (1 + change_s))
    assert stats.drawing_s == 4


def constrained() -> Figure:
    figure = Figure(layout="constrained")
    figure.subplots().plot(X, X)
    return figure


def test_layouts_are_counted_by_who_runs_them() -> None:
    """An engine runs while the figure is drawn; ``tight_layout()`` runs in the user's code."""
    by_engine = stats_of(
        FigurePixels(constrained(), drawing="full"), WARM_UP + 3, lambda figure, number: None
    )
    assert by_engine.layout_frames == {"constrained": 3}
    by_code = stats_of(
        FigurePixels(wave()), WARM_UP + 3, lambda figure, number: figure.tight_layout()
    )
    assert by_code.layout_frames == {TIGHT_LAYOUT: 3}
    by_both = stats_of(
        FigurePixels(constrained(), drawing="full"),
        WARM_UP + 3,
        lambda figure, number: figure.draw_without_rendering(),
    )
    assert by_both.layout_frames == {"constrained": 3}
    assert by_engine.own_layout_s == 0
    assert by_code.own_layout_s == pytest.approx(sum(by_code.layout_s.values()))
    assert 0 < by_both.own_layout_s < sum(by_both.layout_s.values())


def test_a_layout_that_need_not_run_again_is_not_counted() -> None:
    """Where only a clipped line moves, an incremental draw leaves the engine out."""
    stats = stats_of(FigurePixels(constrained()), 40, move)
    assert stats.incremental > 30
    assert stats.layout_frames.get("constrained", 0) < 10


def test_matplotlib_s_classes_are_as_before() -> None:
    """What is put into them while a monitor is open is gone afterwards, after an error too."""
    methods = (ConstrainedLayoutEngine.execute, TightLayoutEngine.execute, Artist.__init__)
    monitor = DrawMonitor()
    with pytest.raises(ZeroDivisionError), monitor.open():
        assert TightLayoutEngine.execute is not methods[1]
        with DrawMonitor().open():
            pass
        assert TightLayoutEngine.execute is not methods[1]
        raise ZeroDivisionError
    assert methods == (ConstrainedLayoutEngine.execute, TightLayoutEngine.execute, Artist.__init__)


def test_a_difference_is_found_in_a_frame_that_is_compared_and_reported_once(
    recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note names frame, box, artists and what to do; all figures are drawn in full then."""
    monkeypatch.setattr(artists, "Watch", BlindWatch)
    pixels, other, monitor = FigurePixels(wave()), FigurePixels(wave()), DrawMonitor()
    pixels._canvas.compares_first = False
    for update in (lambda figure, number: None, move):
        stats = stats_of(pixels, 4, update, monitor)
        assert stats.notes == ()
    monkeypatch.setattr(pixels._canvas, "_has_time", lambda: True)
    with monitor.open(), monitor.frame(7, compared=True):
        move(pixels.figure, 5)
        compared = pixels.draw()
        assert np.array_equal(compared, full_pixels(pixels.figure))
    stats = monitor.take()
    assert [note.key for note in stats.notes] == ["difference"]
    text = stats.notes[0].text
    assert monitor.difference == text
    assert text.startswith("Frame 7: drawing only what changed gave other pixels")
    assert "Line2D" in text
    assert "Please report" in text
    again = stats_of(pixels, 3, move, monitor)
    assert counts(again) == (0, {"a difference was found": 3})
    assert again.notes == ()
    assert np.array_equal(pixels.draw(), full_pixels(pixels.figure))
    assert stats_of(other, 2, monitor=monitor).incremental == 0
    assert [each.category for each in recwarn.list] == []


def test_frames_are_compared_only_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that is not compared costs no full draw; two figures in one frame are both asked."""
    one, other, monitor = FigurePixels(wave()), FigurePixels(wave()), DrawMonitor()
    drawn = (one, other)
    for pixels in drawn:
        pixels._canvas.compares_first = False
        stats_of(pixels, monitor=monitor)
        monkeypatch.setattr(pixels._canvas, "_has_time", lambda: True)
    assert [pixels._canvas.comparisons for pixels in drawn] == [0, 0]
    with monitor.open(), monitor.frame(5, compared=True):
        for pixels in drawn:
            pixels.draw()
    assert [pixels._canvas.comparisons for pixels in drawn] == [1, 1]
    with monitor.open(), monitor.frame(6):
        one.draw()
    assert one._canvas.comparisons == 1


SAMPLE = (
    "wave",
    "heat_map_with_colour_bar",
    "space",
    "scatter_under_best_legend",
)
"""Figures that are always compared in each frame; a third of all where more is asked for."""


@pytest.mark.parametrize(
    "name",
    sampled([*SAMPLE, *(name for name in list(VIDEOS)[::3] if name not in SAMPLE)], SAMPLE),
)
def test_comparing_each_frame_finds_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full draw agrees with the incremental one in every frame, and comparing changes none."""
    build, step = VIDEOS[name]
    pixels, uncompared = FigurePixels(build()), FigurePixels(build(), drawing="full")
    pixels._canvas.always_try = True
    monkeypatch.setattr(pixels._canvas, "_has_time", lambda: True)
    monitor = DrawMonitor()
    with monitor.open():
        for number in range(min(STEPS[name], 4)):
            with monitor.frame(number, compared=True):
                step(pixels.figure, number)
                frame = pixels.draw()
            step(uncompared.figure, number)
            assert np.array_equal(frame, uncompared.draw_now())
    assert monitor.difference is None


def test_stats_are_pickled_and_added() -> None:
    """Actors send them with each segment."""
    stats = DrawStats(3, {"why": 1}, 4, 0.5, 0.25, {"tight": 1}, {"tight": 0.1}, 0.1)
    assert pickle.loads(pickle.dumps(stats)) == stats
    noted = DrawStats(notes=(Note("key", "text"),))
    assert (stats + noted) == stats
    assert (stats + stats).layout_s == {"tight": (stats + stats).own_layout_s} == {"tight": 0.2}
