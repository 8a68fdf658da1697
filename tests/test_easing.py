"""Easings, ours and others'."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import pytweening
from hypothesis import given
from hypothesis import strategies as st

from rayanim.acts import Scene, TimeDilateScene
from rayanim.easing import Easing, doublespeed, freeze, smootheststep, smoothstep, squeeze
from rayanim.errors import SettingsError

PROPER = [squeeze, doublespeed, smoothstep, smootheststep]
shares = st.floats(min_value=0, max_value=1)


@pytest.mark.parametrize("easing", PROPER)
def test_proper_easings_go_from_0_to_1(easing: Callable[[float], float]) -> None:
    """They start at 0 and end at 1, for ints as for floats."""
    assert [easing(0), easing(1), easing(0.0), easing(1.0)] == [0, 1, 0, 1]


@pytest.mark.parametrize("easing", PROPER)
@given(low=shares, high=shares)
def test_proper_easings_never_go_back(
    easing: Callable[[float], float], low: float, high: float
) -> None:
    """More time passed never means less of the way done, and never more than all."""
    low, high = sorted((low, high))
    assert -1e-9 <= easing(low) <= easing(high) + 1e-9 <= 1 + 2e-9


@pytest.mark.parametrize("easing", [smoothstep, smootheststep, squeeze])
@given(share=shares)
def test_symmetric_easings_end_as_they_start(
    easing: Callable[[float], float], share: float
) -> None:
    """Seen from the end they are the same as from the start."""
    assert easing(1 - share) == pytest.approx(1 - easing(share), abs=1e-9)


@pytest.mark.parametrize(("easing", "flat_derivatives"), [(smoothstep, 1), (smootheststep, 3)])
def test_smooth_easings_are_flat_at_the_start(
    easing: Callable[[float], float], flat_derivatives: int
) -> None:
    """Near 0 they grow like the first power whose derivative is not 0."""
    order = flat_derivatives + 1
    assert easing(2e-3) / easing(1e-3) == pytest.approx(2**order, rel=0.01)


def test_squeeze_waits_at_both_ends() -> None:
    """It moves between amt and 1 - amt only."""
    assert [squeeze(n, amt=0.25) for n in (0.2, 0.25, 0.5, 0.75, 0.9)] == [0, 0, 0.5, 1, 1]
    assert [squeeze(n, amt=0.5) for n in (0.49, 0.5)] == [0, 1]
    assert [squeeze(n, amt=0.6) for n in (0.3, 0.59, 0.6, 1)] == [0, 0, 1, 1]


@pytest.mark.parametrize("amt", [-0.1, 1.1, float("nan")])
def test_squeeze_cannot_wait_longer_than_there_is(amt: float) -> None:
    """More than all of it, or less than nothing, is an error."""
    with pytest.raises(SettingsError, match="amt"):
        squeeze(0.5, amt=amt)


def test_freeze_stands_still() -> None:
    """It is constant: 0, or `at`."""
    assert {freeze(0), freeze(0.3), freeze(1)} == {0}
    assert freeze(0.3, at=0.7) == 0.7


def test_doublespeed_is_done_at_half_time() -> None:
    """The second half stands still."""
    assert [doublespeed(n) for n in (0.25, 0.5, 0.75)] == [0.5, 1, 1]


class Quadratic(Easing):
    """An easing as a class."""

    def __call__(self, num: float, *args: object, **kwargs: object) -> float:
        return num**2


def test_easing_is_a_base_class() -> None:
    """A subclass defines __call__ and dilates time."""
    assert TimeDilateScene(Scene(), Quadratic()).child_time(0.5) == 0.25


def test_an_easing_class_without_call_says_so() -> None:
    """Calling the base's method names what has to be defined."""

    class Nothing(Easing):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define __call__"):
        Nothing()(0.5)
    with pytest.raises(NotImplementedError):
        Easing()(0.5)


PYTWEENING = [
    function
    for name, function in inspect.getmembers(pytweening, inspect.isfunction)
    if name.startswith("ease") or name == "linear"
]


@pytest.mark.parametrize("easing", PYTWEENING)
def test_pytweening_easings_dilate_time(easing: Callable[[float], float]) -> None:
    """All of them can be used as they are, and start and end with the child."""
    scene = TimeDilateScene(Scene(), easing)
    # Its bounces really are off by 0.6 % at their ends.
    assert scene.child_time(0) == pytest.approx(0, abs=0.006)
    assert scene.child_time(1) == pytest.approx(1, abs=0.006)


def test_pytweening_was_really_tried() -> None:
    """The list above is not empty."""
    assert len(PYTWEENING) > 20
