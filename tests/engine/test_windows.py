"""Rates of the last seconds: weighted by time, forgetful, and idle since the last entry."""

from __future__ import annotations

import pytest

from rayanim.engine.autoscaler import SlidingSums


def test_nothing_is_known_at_first() -> None:
    """Before the first entry there is no rate, and all time was idle."""
    sums = SlidingSums(5.0)
    assert sums.fps is None
    assert sums.idle_fraction(3.0) == 1.0


def test_a_rate_is_frames_over_busy_seconds() -> None:
    """A slow segment weighs as long as it took: no mean of rates."""
    sums = SlidingSums(5.0)
    sums.add(1.0, frames=10, busy_s=1.0)
    sums.add(2.0, frames=10, busy_s=3.0)
    assert sums.fps == pytest.approx(5.0)


def test_the_window_slides() -> None:
    """What is older than the window has no say."""
    sums = SlidingSums(5.0)
    sums.add(0.0, frames=1000, busy_s=1.0)
    sums.add(4.0, frames=10, busy_s=1.0)
    sums.add(5.5, frames=10, busy_s=1.0)
    assert sums.fps == pytest.approx(10.0)


def test_the_last_entry_stays() -> None:
    """An old rate beats none, where segments are longer than the window."""
    sums = SlidingSums(1.0)
    sums.add(0.0, frames=10, busy_s=1.0)
    sums.add(60.0, frames=20, busy_s=1.0)
    assert sums.fps == pytest.approx(20.0)


def test_frames_that_took_no_time_have_no_rate() -> None:
    """A coarse clock is no division by zero."""
    sums = SlidingSums(5.0)
    sums.add(1.0, frames=10, busy_s=0.0)
    assert sums.fps is None
    assert sums.idle_fraction(1.0) == 1.0


def test_time_since_the_last_entry_is_idle() -> None:
    """An encoder that hears nothing is idle before it says so."""
    sums = SlidingSums(10.0)
    sums.add(1.0, frames=5, busy_s=1.0, idle_s=1.0)
    assert sums.idle_fraction(1.0) == pytest.approx(0.5)
    assert sums.idle_fraction(3.0) == pytest.approx(0.75)


def test_a_clock_that_stands_still_adds_nothing() -> None:
    """A look at the moment of the last entry, or before it, counts no time."""
    sums = SlidingSums(10.0)
    sums.add(1.0, frames=5, busy_s=1.0)
    assert sums.idle_fraction(0.5) == 0.0
