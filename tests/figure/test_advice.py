"""Advice is given where frames are slow for a reason that the user can mend, and only there."""

from __future__ import annotations

import pytest

from rayanim.figure.draw_stats import ENOUGH_FRAMES, TIGHT_LAYOUT, Account, Spent, Ways, advice_of


def account(frame_ms: float, drawing_ms: float, frames: int = 100, **layouts_ms: float) -> Account:
    """A video whose frames took so long each, with layouts in all of them."""
    return Account(
        Ways(frames),
        Spent(frames, frames * frame_ms / 1000),
        frames * drawing_ms / 1000,
        {name: Spent(frames, frames * each / 1000) for name, each in layouts_ms.items()},
    )


def keys(given: Account) -> list[str]:
    return [note.key for note in advice_of(given)]


def test_code_that_is_slower_than_the_drawing_is_told_of() -> None:
    """With both times, so that it can be seen to be true."""
    (note,) = advice_of(account(42, 7))
    assert "takes 35 of the 42 ms of a frame: the drawing is not what is slow" in note.text


@pytest.mark.parametrize(
    "given",
    [
        account(42, 20),  # half of the frame
        account(6, 1.5),  # a few milliseconds
        account(42, 7, frames=ENOUGH_FRAMES - 1),
        account(42, 42),
        Account(),
    ],
)
def test_nothing_is_said_where_drawing_counts(given: Account) -> None:
    """Nor where little was drawn yet."""
    assert keys(given) == []


def test_a_layout_in_every_frame_is_told_of_with_the_remedy() -> None:
    """An engine can be turned off, and a call can be made once."""
    (engine,) = advice_of(account(30, 30, constrained=12))
    assert engine.key == "layout constrained"
    assert "The constrained layout engine runs in every frame and takes 12 of its 30 ms" in (
        engine.text
    )
    assert "fig.set_layout_engine('none')" in engine.text
    (call,) = advice_of(account(30, 20, **{TIGHT_LAYOUT: 9.0}))
    assert call.text.startswith("tight_layout() runs in every frame and takes 9.0 of its 30 ms")
    assert "end of setup()" in call.text


def test_layouts_that_cost_little_or_run_rarely_are_left_alone() -> None:
    """A tenth of the frame, a millisecond, nine frames of ten: less is not worth a word."""
    assert keys(account(100, 100, tight=9)) == []
    assert keys(account(5, 5, tight=0.9)) == []
    rare = account(30, 30, tight=12)
    seldom = Account(rare.ways, rare.timed, rare.drawing_s, {"tight": Spent(80, 1.2)})
    assert keys(seldom) == []


def test_advice_on_the_same_thing_has_the_same_key() -> None:
    """Whatever the figures: it is told once in a job."""
    assert keys(account(42, 7)) == keys(account(80, 10)) == ["code"]
