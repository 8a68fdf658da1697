"""The meter's rate is that of the window, and honest about waiting."""

from __future__ import annotations

import pytest

from rayanim.engine.stats import SAMPLES_PER_WINDOW, RateMeter


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def steady(meter: RateMeter, clock: Clock, *, start: int, stop: int, every_s: float) -> None:
    for done in range(start + 1, stop + 1):
        clock.now_s += every_s
        meter.update(done)


def test_nothing_is_said_before_something_arrived() -> None:
    """Before the first arrival there is neither a rate nor a time left."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    clock.now_s += 3
    meter.update(0)
    assert meter.rate_per_s() is None
    assert meter.eta_s(100) is None


def test_steady_rate() -> None:
    """Ten a second are ten a second, and 50 more take five seconds."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    steady(meter, clock, start=0, stop=50, every_s=0.1)
    assert meter.rate_per_s() == pytest.approx(10)
    assert meter.eta_s(100) == pytest.approx(5)


def test_what_an_earlier_run_did_is_no_part_of_the_rate() -> None:
    """A resumed job of 1000 frames, 900 of them there, counts only its own."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    meter.start(900)
    steady(meter, clock, start=900, stop=920, every_s=0.5)
    assert meter.rate_per_s() == pytest.approx(2)
    assert meter.eta_s(1000) == pytest.approx(40)


def test_the_window_forgets() -> None:
    """After one window at a new speed the old one has no say."""
    clock = Clock()
    meter = RateMeter(2.0, clock=clock)
    steady(meter, clock, start=0, stop=100, every_s=1.0)
    steady(meter, clock, start=100, stop=200, every_s=0.1)
    assert meter.rate_per_s() == pytest.approx(10)


def test_bursts_have_a_steady_rate() -> None:
    """30 frames every 8 s are 3.75 a second at any moment, with a window shorter than that."""
    clock = Clock()
    meter = RateMeter(5.0, clock=clock)
    for burst in range(1, 4):
        clock.now_s += 8
        meter.update(30 * burst)
    for _ in range(8):
        assert meter.rate_per_s() == pytest.approx(30 / 8)
        clock.now_s += 1


def test_the_rate_falls_while_nothing_comes() -> None:
    """A job that hangs shows a rate that goes towards 0 and a time left that grows."""
    clock = Clock()
    meter = RateMeter(5.0, clock=clock)
    steady(meter, clock, start=0, stop=100, every_s=0.1)
    before, eta_before_s = meter.rate_per_s(), meter.eta_s(200)
    clock.now_s += 60
    after, eta_after_s = meter.rate_per_s(), meter.eta_s(200)
    assert before is not None and after is not None
    assert eta_before_s is not None and eta_after_s is not None
    assert after < before / 10
    assert eta_after_s > 10 * eta_before_s


def test_memory_is_bounded() -> None:
    """A million updates a second leave no more samples than the window has room for."""
    clock = Clock()
    meter = RateMeter(1.0, clock=clock)
    steady(meter, clock, start=0, stop=20_000, every_s=1e-4)
    assert len(meter._samples) <= SAMPLES_PER_WINDOW + 2
    assert meter.rate_per_s() == pytest.approx(10_000, rel=0.02)


def test_more_than_expected_leaves_no_negative_time() -> None:
    """A total that was too low gives 0 seconds, and an unknown one none at all."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    steady(meter, clock, start=0, stop=20, every_s=0.1)
    assert meter.eta_s(10) == 0
    assert meter.eta_s(None) is None


def test_a_clock_that_stands_still_is_no_division_by_zero() -> None:
    """Frames that arrive in no time have no rate yet."""
    meter = RateMeter(clock=Clock())
    meter.update(5)
    assert meter.rate_per_s() is None
