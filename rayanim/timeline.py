"""Time as arithmetic: units, maps from a film's time to its child's, sequences and frame times.

All times are milliseconds from the start of whatever they belong to. Frame
generators and scenes share the maps here; a map is a frozen value that knows
nothing of what it is applied to, only how long that lasts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import Any

from rayanim.errors import FrameError, SettingsError

UNITS = (
    (("ms", "millisecond", "milliseconds"), 1),
    (("s", "sec", "secs", "second", "seconds"), 1_000),
    (("m", "min", "mins", "minute", "minutes"), 60_000),
    (("h", "hr", "hrs", "hour", "hours"), 3_600_000),
    (("d", "dy", "day", "days"), 86_400_000),
)
"""Names of each unit of time, and its length in milliseconds."""

UNITS_LOOKUP = {name: length_ms for names, length_ms in UNITS for name in names}
"""Milliseconds of each unit, under each of its names."""

# Durations are made by dividing, multiplying and adding floats. Each step is
# off by at most 1.1e-16 of its value, so even a million steps stay below a
# billionth; and a billionth of an hour is 4 microseconds, far below what one
# frame lasts. Times that differ by less than this share are the same time.
TOLERANCE = 1e-9

# Never take more than this share of a frame for rounding, however long the film.
_MAX_ROUNDING_FRAMES = Fraction(1, 1000)


def to_number(name: str, value: Any) -> float:
    """`value` as a finite float.

    Parameters
    ----------
    name
        What the value is, for the error.
    value
        An int, a float, a fraction, or a number of NumPy's.

    Raises
    ------
    SettingsError
        If it is no number, infinite or NaN.
    """
    try:
        number = math.nan if isinstance(value, (bool, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        hint = " Is @property missing above it?" if callable(value) else ""
        raise SettingsError(f"{name} must be a finite number, got {value!r}.{hint}")
    return number


def to_positive(name: str, value: Any) -> float:
    """`value` as a finite float above zero, or `SettingsError`."""
    number = to_number(name, value)
    if number <= 0:
        raise SettingsError(f"{name} must be above 0, got {value!r}.")
    return number


def to_ms(amount: Any, unit: Any) -> float:
    """`amount` of `unit` in milliseconds.

    Raises
    ------
    SettingsError
        If the amount is no number, or no unit has that name.

    Examples
    --------
    >>> to_ms(5, "s"), to_ms(1.5, "minutes")
    (5000.0, 90000.0)
    """
    if not isinstance(unit, str) or unit not in UNITS_LOOKUP:
        raise SettingsError(f"No unit is called {unit!r}. There are: {', '.join(UNITS_LOOKUP)}.")
    return to_number(f"the time in {unit!r}", amount) * UNITS_LOOKUP[unit]


def same_duration(first_ms: float, second_ms: float) -> bool:
    """Whether two durations differ by no more than rounding."""
    return math.isclose(first_ms, second_ms, rel_tol=TOLERANCE)


def clamp(time_ms: float, duration_ms: float) -> float:
    """`time_ms`, or the nearer end of ``[0, duration_ms]`` where it lies outside."""
    return min(max(time_ms, 0.0), duration_ms)


def snap(time_ms: float, duration_ms: float) -> float:
    """`time_ms`, or an end of ``[0, duration_ms]`` where only rounding keeps it from there."""
    nearest = 0.0 if time_ms < duration_ms / 2 else duration_ms
    return nearest if abs(time_ms - nearest) <= TOLERANCE * duration_ms else time_ms


def frame_count(duration_ms: float, rate: Fraction) -> int:
    """How many frames a film has: one at each ``i / rate`` before its end.

    A fraction of a frame at the end counts, since its first instant is shown.
    A duration above a whole number of frames by no more than rounding does not
    make a frame more.

    Parameters
    ----------
    duration_ms
        Length of the film in milliseconds.
    rate
        Frames per second.

    Raises
    ------
    SettingsError
        If the duration or the rate is not positive and finite.

    Examples
    --------
    >>> frame_count(5000, Fraction(60)), frame_count(1 / (1 / 3000), Fraction(60))
    (300, 180)
    """
    exact = Fraction(to_positive("the duration in ms", duration_ms)) / 1000 * _checked(rate)
    rounding = min(exact * Fraction(TOLERANCE), _MAX_ROUNDING_FRAMES)
    return max(1, math.ceil(exact - rounding))


def frame_time_ms(index: int, rate: Fraction) -> float:
    """When frame `index` is shown: the float nearest to ``1000 * index / rate``.

    Examples
    --------
    >>> frame_time_ms(30000, Fraction(30000, 1001))
    1001000.0
    """
    exact = _checked(rate)
    # Two whole numbers are divided to the nearest float.
    return 1000 * int(index) * exact.denominator / exact.numerator


def _checked(rate: Fraction) -> Fraction:
    if not rate > 0:
        raise SettingsError(f"The frame rate must be above 0 frames per second, got {rate!r}.")
    return rate if type(rate) is Fraction else Fraction(rate)


class TimeMap(ABC):
    """How the time of a wrapper becomes the time of the child it wraps."""

    __slots__ = ()

    @abstractmethod
    def duration_ms(self, child_duration_ms: float) -> float:
        """How long the wrapper lasts when its child lasts `child_duration_ms`."""

    @abstractmethod
    def child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        """The child's time at the wrapper's `time_ms`.

        Times inside the wrapper give times inside the child. A time outside
        gives one outside, except through a `Crop`: that is how an easing that
        overshoots reaches a scene.
        """


@dataclass(frozen=True, slots=True)
class Rescale(TimeMap):
    """Play at `playback_rate` times the speed."""

    playback_rate: float

    def __post_init__(self) -> None:
        to_positive("playback_rate", self.playback_rate)

    def duration_ms(self, child_duration_ms: float) -> float:
        return child_duration_ms / self.playback_rate

    def child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        return snap(time_ms * self.playback_rate, child_duration_ms)


@dataclass(frozen=True, slots=True)
class RescaleTo(TimeMap):
    """Play at the speed that makes it last exactly `new_duration_ms`."""

    new_duration_ms: float

    def __post_init__(self) -> None:
        to_positive("new_duration", self.new_duration_ms)

    def duration_ms(self, child_duration_ms: float) -> float:
        return self.new_duration_ms

    def child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        return snap(time_ms * (child_duration_ms / self.new_duration_ms), child_duration_ms)


@dataclass(frozen=True, slots=True)
class Reverse(TimeMap):
    """Play backwards."""

    def duration_ms(self, child_duration_ms: float) -> float:
        return child_duration_ms

    def child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        return snap(child_duration_ms - time_ms, child_duration_ms)


@dataclass(frozen=True, slots=True)
class Dilate(TimeMap):
    """Let an easing say how far along the child is.

    Parameters
    ----------
    dilator
        Takes the share of time that has passed, 0 to 1, and returns the share
        of the child that has.
    dilator_kwargs
        Keyword arguments for it.
    """

    dilator: Callable[..., float]
    dilator_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.dilator):
            raise SettingsError(
                f"dilator must be a function of a number from 0 to 1 such as "
                f"rayanim.easing.smoothstep, got {self.dilator!r}."
            )
        if not isinstance(self.dilator_kwargs, Mapping):
            raise SettingsError(
                f"dilator_kwargs must be a dict of keyword arguments, got {self.dilator_kwargs!r}."
            )

    def duration_ms(self, child_duration_ms: float) -> float:
        return child_duration_ms

    def child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        share = clamp(time_ms / child_duration_ms, 1.0)
        return snap(self._eased(share) * child_duration_ms, child_duration_ms)

    def _eased(self, share: float) -> float:
        eased = self.dilator(share, **self.dilator_kwargs)
        try:
            return to_number("what an easing returns", eased)
        except SettingsError:
            raise FrameError(
                f"The easing {self.dilator!r} must return a finite number, "
                f"got {eased!r} at {share!r}."
            ) from None


@dataclass(frozen=True, slots=True)
class Crop(TimeMap):
    """Play only what lies from `start_ms` to `end_ms` of the child."""

    start_ms: float
    end_ms: float

    def __post_init__(self) -> None:
        start_ms = to_number("crop_start", self.start_ms)
        end_ms = to_number("crop_end", self.end_ms)
        if start_ms < 0:
            raise SettingsError(f"crop_start must be 0 ms or more, got {self.start_ms!r} ms.")
        if end_ms <= start_ms:
            raise SettingsError(
                f"A crop must end after its start, got {self.start_ms!r} to {self.end_ms!r} ms."
            )

    def within(self, child_duration_ms: float) -> Crop:
        """This crop, ending with the child where only rounding keeps it from that.

        Raises
        ------
        SettingsError
            If it ends after the child does.
        """
        end_ms = snap(self.end_ms, child_duration_ms)
        if end_ms > child_duration_ms:
            raise SettingsError(
                f"A crop cannot end at {self.end_ms!r} ms: what is cropped lasts "
                f"{child_duration_ms!r} ms."
            )
        return Crop(self.start_ms, end_ms)

    def duration_ms(self, child_duration_ms: float) -> float:
        return self.end_ms - self.start_ms

    def child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        length_ms = self.duration_ms(child_duration_ms)
        inside_ms = snap(clamp(time_ms, length_ms), length_ms)
        return self.end_ms if inside_ms == length_ms else self.start_ms + inside_ms


@dataclass(frozen=True, slots=True)
class Sequence:
    """Children that play one after another.

    Parameters
    ----------
    durations_ms
        How long each lasts, in order.

    Raises
    ------
    SettingsError
        If there are none, or one of them is not positive and finite.
    """

    durations_ms: tuple[float, ...]
    ends_ms: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.durations_ms:
            raise SettingsError("A sequence needs at least one child, got none.")
        for index, duration_ms in enumerate(self.durations_ms):
            to_positive(f"the duration in ms of child {index}", duration_ms)
        object.__setattr__(self, "ends_ms", _ends(self.durations_ms))

    @property
    def duration_ms(self) -> float:
        """How long all of them last together."""
        return self.ends_ms[-1]

    def locate(self, time_ms: float) -> tuple[int, float]:
        """Which child plays at `time_ms`, and that child's own time.

        Where two meet it is the first instant of the later one. The last
        instant of all is the last of the last child.

        Raises
        ------
        SettingsError
            If the time lies outside the sequence.

        Examples
        --------
        >>> two = Sequence((1000.0, 500.0))
        >>> two.locate(999), two.locate(1000), two.locate(1500)
        ((0, 999.0), (1, 0.0), (1, 500.0))
        """
        now_ms = snap(to_number("the time in ms", time_ms), self.duration_ms)
        if not 0 <= now_ms <= self.duration_ms:
            raise SettingsError(
                f"There is nothing at {time_ms!r} ms: times go from 0 to {self.duration_ms!r} ms."
            )
        if now_ms == self.duration_ms:
            return len(self.ends_ms) - 1, self.durations_ms[-1]
        # A time that only rounding keeps before a child's start belongs to it.
        index = bisect_right(self.ends_ms, now_ms + TOLERANCE * self.duration_ms)
        index = min(index, len(self.ends_ms) - 1)
        start_ms = self.ends_ms[index - 1] if index else 0.0
        return index, clamp(now_ms - start_ms, self.durations_ms[index])


def _ends(durations_ms: Iterable[float]) -> tuple[float, ...]:
    # Fractions add without rounding: a long sequence ends where it should.
    return tuple(float(end) for end in accumulate(map(Fraction, map(float, durations_ms))))
