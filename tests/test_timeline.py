"""The arithmetic of time: units, maps, sequences, and when frames are shown."""

from __future__ import annotations

import ast
import doctest
import itertools
import math
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rayanim.easing
import rayanim.timeline
from rayanim.acts import (
    CroppedScene,
    Scene,
    TimeDilateScene,
    TimeRescaleExactDurationScene,
    TimeRescaleScene,
    TimeReverseScene,
)
from rayanim.errors import FrameError, SettingsError
from rayanim.timeline import (
    TOLERANCE,
    UNITS_LOOKUP,
    Retimed,
    Sequence,
    frame_count,
    frame_time_ms,
    to_ms,
)

durations = st.floats(min_value=1e-3, max_value=1e9)
shares = st.floats(min_value=0, max_value=1)
rates = st.fractions(min_value=Fraction(1, 10), max_value=1000, max_denominator=1001)

UNIT_NAMES = ["ms", "s", "seconds", "m", "min", "hr", "h", "hours", "d", "day"]
UNIT_LENGTHS_MS = [1, 1e3, 1e3, 6e4, 6e4, 3.6e6, 3.6e6, 3.6e6, 8.64e7, 8.64e7]
NO_DURATIONS = [0, -1, math.nan, math.inf, -math.inf, 10**400, None, "5", True, 1j]


class Lasting(Scene):
    """A scene of a given duration."""

    def __init__(self, duration_ms: float) -> None:
        self._duration_ms = duration_ms

    @property
    def duration(self) -> float:
        return self._duration_ms


def retimed(duration_ms: float) -> st.SearchStrategy[Retimed[Scene]]:
    """A scene of `duration_ms` with its time changed in every way that there is."""
    child, halves = Lasting(duration_ms), st.floats(min_value=0, max_value=0.4)
    squeeze = rayanim.easing.squeeze
    return st.one_of(
        st.builds(TimeRescaleScene, st.just(child), st.floats(min_value=1e-3, max_value=1e3)),
        st.builds(TimeRescaleExactDurationScene, st.just(child), durations),
        st.just(TimeReverseScene(child)),
        st.just(TimeDilateScene(child, rayanim.easing.smoothstep)),
        st.just(TimeDilateScene(child, squeeze, {"amt": 0.3})),
        st.builds(
            lambda a, b: CroppedScene(child, a * duration_ms, (1 - b) * duration_ms), halves, halves
        ),
    )


@pytest.mark.parametrize("module", [rayanim.timeline, rayanim.easing])
def test_time_and_easings_are_pure(module: ModuleType) -> None:
    """Neither module imports Ray, PyAV, matplotlib, clocks, threads or processes."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in imported}
    assert not roots & {"ray", "av", "matplotlib", "time", "threading", "subprocess", "asyncio"}
    assert {name for name in imported if name.startswith("rayanim")} <= {"rayanim.errors"}


@pytest.mark.parametrize(
    ("unit", "length_ms"),
    list(zip(UNIT_NAMES, UNIT_LENGTHS_MS, strict=True)),
)
def test_units_have_short_and_long_names(unit: str, length_ms: float) -> None:
    """A unit has the same length under each of its names."""
    assert to_ms(2, unit) == 2 * length_ms


@pytest.mark.parametrize("unit", ["fortnight", "", None, 5, ["s"]])
def test_unknown_unit_lists_the_known_ones(unit: object) -> None:
    """The error shows what was got and every name there is."""
    with pytest.raises(SettingsError) as caught:
        to_ms(1, unit)
    assert repr(unit) in str(caught.value)
    assert all(name in str(caught.value) for name in UNITS_LOOKUP)


def test_five_seconds_at_sixty_are_three_hundred_frames() -> None:
    """Whole seconds at whole rates give whole numbers of frames, not one more."""
    assert frame_count(5000, Fraction(60)) == 300
    assert frame_count(1, Fraction(1000)) == 1


@pytest.mark.parametrize("frames", [1, 30, 1001, 30000, 107_892])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60)])
def test_count_of_a_video_that_lasts_whole_frames(frames: int, rate: Fraction) -> None:
    """The float nearest to n frames' length has n frames, at broadcast rates too."""
    assert frame_count(float(1000 * frames / rate), rate) == frames


@pytest.mark.parametrize(
    "duration_ms",
    [
        1 / (1 / 3000),
        3000.0000000000005,
        2999.9999999999995,
        sum([0.1] * 30_000),
        3000 * (1 + 1e-13),
    ],
)
def test_rounding_errors_make_no_frame_more_or_less(duration_ms: float) -> None:
    """Durations that are 3 s but for float errors have 180 frames at 60 per second."""
    assert frame_count(duration_ms, Fraction(60)) == 180


def test_a_fraction_of_a_frame_at_the_end_is_shown() -> None:
    """Frames lie at i / rate while that is before the end."""
    assert frame_count(1001, Fraction(60)) == 61
    assert frame_count(999, Fraction(60)) == 60
    assert frame_count(1e-9, Fraction(60)) == 1


@given(durations, rates)
def test_all_frames_lie_before_the_end_and_none_is_missing(
    duration_ms: float, rate: Fraction
) -> None:
    """The last frame is before the end and the next would not be, but for rounding."""
    count = frame_count(duration_ms, rate)
    assert frame_time_ms(count - 1, rate) < duration_ms
    assert frame_time_ms(count, rate) >= duration_ms * (1 - 2 * TOLERANCE)


@given(st.integers(min_value=0, max_value=10**9), rates)
def test_frame_times_are_the_nearest_floats(index: int, rate: Fraction) -> None:
    """No error adds up along the video."""
    assert frame_time_ms(index, rate) == float(Fraction(index * 1000) / rate)


@pytest.mark.parametrize("duration_ms", NO_DURATIONS)
def test_what_is_no_duration_is_refused(duration_ms: object) -> None:
    """Zero, negative, infinite, NaN and what is no number give an error that shows it."""
    with pytest.raises(SettingsError, match="got "):
        frame_count(duration_ms, Fraction(60))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="child 1"):
        Sequence((1.0, duration_ms))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="playback_rate"):
        TimeRescaleScene(Scene(), duration_ms)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="new_duration"):
        TimeRescaleExactDurationScene(Scene(), duration_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1)])
def test_a_rate_must_be_positive(rate: Fraction) -> None:
    """A rate of 0 is an error, not a division by zero."""
    with pytest.raises(SettingsError, match="rate"):
        frame_count(1000, rate)


def test_a_method_in_place_of_a_property_is_named() -> None:
    """A forgotten @property is what the error suspects."""
    with pytest.raises(SettingsError, match="@property"):
        frame_count(lambda: 5000, Fraction(60))  # type: ignore[arg-type]


@given(durations.flatmap(retimed), shares)
def test_changed_times_stay_inside_the_child(scene: Retimed[Scene], share: float) -> None:
    """An instant of the wrapper is an instant of the child."""
    assert 0 <= scene.child_time(share * scene.duration) <= scene.child.duration


@given(durations, shares)
def test_reversing_twice_changes_nothing(duration_ms: float, share: float) -> None:
    """A reversed scene is its own inverse."""
    time_ms, back = share * duration_ms, TimeReverseScene(Lasting(duration_ms))
    twice = back.child_time(back.child_time(time_ms))
    assert twice == pytest.approx(time_ms, abs=2 * TOLERANCE * duration_ms)


@given(durations, st.floats(min_value=1e-3, max_value=1e3))
def test_the_ends_are_met_exactly(duration_ms: float, factor: float) -> None:
    """The first and last instant of a wrapper are those of the child, without rounding."""
    child = Lasting(duration_ms)
    for scene in (
        TimeRescaleScene(child, factor),
        TimeRescaleExactDurationScene(child, factor),
        CroppedScene(child, 0, duration_ms),
    ):
        assert scene.child_time(0) == 0
        assert scene.child_time(scene.duration) == duration_ms


def test_a_crop_may_end_with_the_child_but_for_rounding() -> None:
    """A billionth too late is the very end; more is an error."""
    assert CroppedScene(Lasting(10), 0, 10 + 1e-12).duration == 10
    with pytest.raises(SettingsError, match=r"10\.1 ms.*lasts 10\.0 ms"):
        CroppedScene(Lasting(10), 0, 10.1)


@pytest.mark.parametrize("ends", [(-1, 5), (5, 5), (5, 4), (math.nan, 5), (0, math.inf), (0, "5")])
def test_senseless_crops_are_refused(ends: tuple[float, float]) -> None:
    """A crop has a start of 0 or more and an end after it."""
    with pytest.raises(SettingsError):
        CroppedScene(Lasting(10), *ends)


@pytest.mark.parametrize("eased", [None, "1", math.nan, 1j, math.inf])
def test_an_easing_that_gives_no_number_is_named(eased: object) -> None:
    """The error names the easing, what it gave and where."""
    scene = TimeDilateScene(Lasting(10), lambda share: eased)  # type: ignore[arg-type,return-value]
    with pytest.raises(FrameError, match="easing"):
        scene.child_time(5)


@pytest.mark.parametrize(("dilator", "kwargs"), [(0.5, {}), (abs, 5), (None, {})])
def test_dilations_are_checked_when_made(dilator: object, kwargs: object) -> None:
    """What is no function, or no keyword arguments, is refused at once."""
    with pytest.raises(SettingsError, match="dilator"):
        TimeDilateScene(Scene(), dilator, kwargs)  # type: ignore[arg-type]


def test_an_easing_that_overshoots_is_passed_on() -> None:
    """A scene gets times outside of it; only a crop holds them."""
    assert TimeDilateScene(Lasting(10), lambda share: 1.5).child_time(5) == 15
    assert CroppedScene(Lasting(10), 2, 8).child_time(50) == 8


def test_the_last_instant_is_the_end_of_the_last_child() -> None:
    """The end of a sequence is not the beginning of its last child."""
    assert Sequence((1000.0, 500.0)).locate(1500) == (1, 500.0)


def test_where_children_meet_the_later_one_plays() -> None:
    """The first instant of a child comes before the last of the one before."""
    assert Sequence((1000.0, 500.0)).locate(1000) == (1, 0.0)


def test_rounding_does_not_move_a_start() -> None:
    """A time a rounding error before a child's start is that child's first instant."""
    assert Sequence((1000.0000000000002, 500.0)).locate(1000.0) == (1, 0.0)


@pytest.mark.parametrize("time_ms", [-1, 1500.1, math.nan, math.inf, "5"])
def test_times_outside_a_sequence_are_refused(time_ms: float) -> None:
    """There is no child at a time that the sequence does not have."""
    with pytest.raises(SettingsError):
        Sequence((1000.0, 500.0)).locate(time_ms)


def test_an_empty_sequence_is_refused() -> None:
    """A sequence of nothing has no first frame."""
    with pytest.raises(SettingsError, match="at least one"):
        Sequence(())


@given(st.lists(durations, min_size=1, max_size=20), shares)
def test_no_instant_of_a_sequence_is_unclaimed(lengths: list[float], share: float) -> None:
    """Every instant belongs to one child, at the time that the children before leave."""
    order = Sequence(tuple(lengths))
    time_ms = share * order.duration_ms
    index, child_ms = order.locate(time_ms)
    assert 0 <= child_ms <= lengths[index]
    before_ms = math.fsum(lengths[:index])
    assert before_ms + child_ms == pytest.approx(time_ms, abs=3 * TOLERANCE * order.duration_ms)


@given(st.lists(durations, min_size=1, max_size=20))
def test_a_sequence_lasts_as_long_as_its_children(lengths: list[float]) -> None:
    """Durations add up without rounding on the way."""
    order = Sequence(tuple(lengths))
    assert order.duration_ms == math.fsum(lengths)
    assert all(a <= b for a, b in itertools.pairwise(order.ends_ms))


@pytest.mark.parametrize("module", [rayanim.timeline, rayanim.easing])
def test_examples_in_the_documentation_run(module: ModuleType) -> None:
    """Every example gives what it says."""
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
