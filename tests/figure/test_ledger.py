"""The ledger writes down how figures are drawn, whoever draws them, and what is to be reported."""

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
from test_canvas import full_pixels
from videos import STEPS, VIDEOS, X, wave

from rayanim.figure import artists, changes
from rayanim.figure import draw_stats as ledger_module
from rayanim.figure.draw_stats import (
    TIGHT_LAYOUT,
    WARM_UP,
    Account,
    Ledger,
    Note,
    Spent,
    Ways,
    aside,
    current,
)
from rayanim.figure.figure import FigurePixels, SavedFigurePixels

Update = Callable[[Figure, int], None]


def move(figure: Figure, number: int) -> None:
    figure.axes[0].lines[0].set_ydata(np.sin(X + number))


def account_of(
    pixels: Any, n_frames: int = 5, update: Update = move, ledger: Ledger | None = None
) -> Account:
    """The account of a video in which each frame draws `pixels`."""
    ledger = ledger or Ledger()
    with ledger.open():
        for number in range(n_frames):
            with ledger.frame(number):
                update(pixels.figure, number)
                pixels.draw()
    return ledger.take()


class BlindWatch(changes.Watch):
    """Sees no change: only comparing finds what it misses."""

    def changed(self) -> bool:
        """Never."""
        return False


def test_frames_are_counted_by_the_way_they_were_drawn() -> None:
    """The first frame is drawn in full, the others in parts; the reason is told."""
    account = account_of(FigurePixels(wave()))
    assert account.ways == Ways(4, {"the first frame": 1})
    assert account.ways.frames == 5
    assert account.notes == ()


def test_a_video_drawn_in_full_says_why() -> None:
    """Asked for, or because only savefig knows the options."""
    full = account_of(FigurePixels(wave(), drawing="full"))
    assert full.ways == Ways(0, {"drawing='full' was asked for": 5})
    saved = account_of(SavedFigurePixels(wave(), {"facecolor": "red"}, None))
    assert saved.ways == Ways(0, {"savefig options that only savefig knows": 5})


def test_a_frame_of_two_figures_is_one_frame() -> None:
    """It was drawn in parts if both were."""
    one, other, ledger = FigurePixels(wave()), FigurePixels(wave(), drawing="full"), Ledger()
    with ledger.open():
        for number, drawn in enumerate([(one,), (one, one), (one, other), ()]):
            with ledger.frame(number):
                for pixels in drawn:
                    pixels.draw()
    reasons = {"the first frame": 1, "drawing='full' was asked for": 1}
    assert ledger.take().ways == Ways(1, reasons)


def test_each_opening_begins_a_new_account() -> None:
    """What was entered in one segment is not told again with the next one."""
    pixels, ledger = FigurePixels(wave()), Ledger()
    first, second = (account_of(pixels, ledger=ledger) for _ in range(2))
    assert second.ways == Ways(5)
    assert (first + second).ways == Ways(9, {"the first frame": 1})
    assert (first + second).timed.frames == 10 - WARM_UP


def test_nothing_is_entered_without_a_ledger() -> None:
    """Nor in another thread than the one that opened it."""
    pixels, ledger = FigurePixels(wave()), Ledger()
    pixels.draw()
    with ledger.open(), ledger.frame(0):
        other = threading.Thread(target=pixels.draw)
        other.start()
        other.join()
    assert ledger.take().ways == Ways()
    assert current() is None


def test_what_is_done_aside_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the frames drawn there nor the time that it takes."""
    clock = FakeClock(monkeypatch)
    pixels, ledger = FigurePixels(wave()), Ledger()

    def update(figure: Figure, number: int) -> None:
        with aside():
            pixels.draw()
            clock.pass_s(5)
        clock.pass_s(1)

    account = account_of(pixels, WARM_UP + 3, update, ledger)
    assert account.ways == Ways(WARM_UP + 3)
    assert account.timed == Spent(3, 3.0)


class FakeClock:
    """The ledger's clock, which stands still but for `pass_s`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(ledger_module, "time", self)

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
    account = account_of(pixels, WARM_UP + 4, lambda figure, number: clock.pass_s(change_s))
    assert account.timed == Spent(4, 4 * (1 + change_s))
    assert account.drawing_s == 4


def constrained() -> Figure:
    figure = Figure(layout="constrained")
    figure.subplots().plot(X, X)
    return figure


def test_layouts_are_counted_by_who_runs_them() -> None:
    """An engine runs while the figure is drawn; ``tight_layout()`` runs in the user's code."""
    by_engine = account_of(
        FigurePixels(constrained(), drawing="full"), WARM_UP + 3, lambda figure, number: None
    )
    assert {name: spent.frames for name, spent in by_engine.layouts.items()} == {"constrained": 3}
    by_code = account_of(
        FigurePixels(wave()), WARM_UP + 3, lambda figure, number: figure.tight_layout()
    )
    assert by_code.layouts[TIGHT_LAYOUT].frames == 3


def test_a_layout_that_need_not_run_again_is_not_counted() -> None:
    """Where only a clipped line moves, an incremental draw leaves the engine out."""
    account = account_of(FigurePixels(constrained()), 40, move)
    assert account.ways.in_parts > 30
    assert account.layouts.get("constrained", Spent()).frames < 10


def test_matplotlib_s_classes_are_as_before() -> None:
    """What is put into them while a ledger is open is gone afterwards, after an error too."""
    methods = (ConstrainedLayoutEngine.execute, TightLayoutEngine.execute, Artist.__init__)
    ledger = Ledger()
    with pytest.raises(ZeroDivisionError), ledger.open():
        assert TightLayoutEngine.execute is not methods[1]
        with Ledger().open():
            pass
        assert TightLayoutEngine.execute is not methods[1]
        raise ZeroDivisionError
    assert methods == (ConstrainedLayoutEngine.execute, TightLayoutEngine.execute, Artist.__init__)


def test_a_difference_is_found_in_a_frame_that_is_compared_and_reported_once(
    recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note names frame, box, artists and what to do; all figures are drawn in full then."""
    monkeypatch.setattr(artists, "Watch", BlindWatch)
    pixels, other, ledger = FigurePixels(wave()), FigurePixels(wave()), Ledger()
    pixels._canvas.compares_first = False
    for update in (lambda figure, number: None, move):
        account = account_of(pixels, 4, update, ledger)
        assert account.notes == ()
    monkeypatch.setattr(pixels._canvas, "_has_time", lambda: True)
    with ledger.open(), ledger.frame(7, compared=True):
        move(pixels.figure, 5)
        compared = pixels.draw()
        assert np.array_equal(compared, full_pixels(pixels.figure))
    account = ledger.take()
    assert [note.key for note in account.notes] == ["difference"]
    text = account.notes[0].text
    assert ledger.difference == text
    assert text.startswith("Frame 7: drawing only what changed gave other pixels")
    assert "Line2D" in text
    assert "Please report" in text
    again = account_of(pixels, 3, move, ledger)
    assert again == Account(Ways(0, {"a difference was found": 3}), again.timed, again.drawing_s)
    assert np.array_equal(pixels.draw(), full_pixels(pixels.figure))
    assert account_of(other, 2, ledger=ledger).ways.in_parts == 0
    assert [each.category for each in recwarn.list] == []


def test_frames_are_compared_only_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that is not compared costs no full draw; two figures in one frame are both asked."""
    one, other, ledger = FigurePixels(wave()), FigurePixels(wave()), Ledger()
    drawn = (one, other)
    for pixels in drawn:
        pixels._canvas.compares_first = False
        account_of(pixels, ledger=ledger)
        monkeypatch.setattr(pixels._canvas, "_has_time", lambda: True)
    assert [pixels._canvas.comparisons for pixels in drawn] == [0, 0]
    with ledger.open(), ledger.frame(5, compared=True):
        for pixels in drawn:
            pixels.draw()
    assert [pixels._canvas.comparisons for pixels in drawn] == [1, 1]
    with ledger.open(), ledger.frame(6):
        one.draw()
    assert one._canvas.comparisons == 1


SAMPLE = (
    "wave",
    "heat_map_with_colour_bar",
    "laid_out",
    "space",
    "twins",
    "scatter_under_best_legend",
)
"""Figures that are always compared in each frame; the others where all is asked for."""


@pytest.mark.parametrize(
    "name",
    [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.slow) for name in VIDEOS],
)
def test_comparing_each_frame_finds_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full draw agrees with the incremental one in every frame, and comparing changes none."""
    build, step = VIDEOS[name]
    pixels, uncompared = FigurePixels(build()), FigurePixels(build(), drawing="full")
    pixels._canvas.always_try = True
    monkeypatch.setattr(pixels._canvas, "_has_time", lambda: True)
    ledger = Ledger()
    with ledger.open():
        for number in range(min(STEPS[name], 4)):
            with ledger.frame(number, compared=True):
                step(pixels.figure, number)
                frame = pixels.draw()
            step(uncompared.figure, number)
            assert np.array_equal(frame, uncompared.draw_now())
    assert ledger.difference is None


def test_an_account_travels() -> None:
    """Actors send it with each segment."""
    account = Account(Ways(3, {"why": 1}), Spent(4, 0.5), 0.25, {"tight": Spent(1, 0.1)})
    assert pickle.loads(pickle.dumps(account)) == account
    noted = Account(notes=(Note("key", "text"),))
    assert (account + noted) == account
    assert (account + account).layouts == {"tight": Spent(2, 0.2)}
