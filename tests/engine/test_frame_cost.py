"""What a frame costs: the first ones and single pauses do not count."""

from __future__ import annotations

import pytest

from rayanim.engine.local import SAMPLE_FRAMES, SAMPLE_LIMIT_S, SAMPLE_S, FrameCost


def cost_of(*costs_s: float) -> FrameCost:
    cost = FrameCost()
    for cost_s in costs_s:
        cost.add(1, cost_s)
    return cost


def test_nothing_is_known_of_nothing() -> None:
    """Before the first frame there is no cost."""
    cost = cost_of()
    assert (cost.is_known, cost.usual_s, cost.warm_up_s) == (False, 0.0, 0.0)


def test_the_first_frames_are_not_taken_for_usual() -> None:
    """Five panels, measured: whole draws until the fifth frame, then a tenth."""
    cost = cost_of(0.152, 0.128, 0.154, 0.138, 0.141, 0.019, 0.014, 0.010, 0.010)
    assert cost.is_known
    assert cost.usual_s == 0.014
    assert cost.warm_up_s == pytest.approx(0.713 - 5 * 0.014 + 0.005)


def test_one_slow_frame_says_nothing() -> None:
    """A guard's full draw, or a pause of the machine, is not the usual."""
    cost = cost_of(*[0.1] * SAMPLE_FRAMES, 5.0)
    assert cost.usual_s == 0.1


def test_frames_that_become_slow_are_noticed() -> None:
    """After a few steps the cost is the new one."""
    cost = cost_of(*[0.1] * 50)
    for _ in range(3):
        cost.add(4, 4 * 0.8)
    assert cost.usual_s == pytest.approx(0.8)


def test_light_frames_are_drawn_for_a_while() -> None:
    """Many of them are needed before it is known what one costs."""
    light = SAMPLE_S / 20
    assert not cost_of(*[light] * 15).is_known
    assert cost_of(*[light] * 21).is_known


def test_slow_frames_are_not_waited_for() -> None:
    """Two frames of seconds are enough."""
    assert not cost_of(SAMPLE_LIMIT_S).is_known
    assert cost_of(SAMPLE_LIMIT_S, SAMPLE_LIMIT_S).is_known
