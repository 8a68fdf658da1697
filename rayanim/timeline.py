"""Arithmetic of time: units, frame times, changed speeds, sequences, and the fluent chain.

All times are milliseconds from the start of whatever they belong to. Frame
generators and scenes share the base classes here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

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

# Durations are computed by dividing, multiplying and adding floats. Each step is
# off by at most 1.1e-16 of its value, so the error of a million steps is below a
# billionth; and a billionth of an hour is 4 microseconds, far less than a frame.
# Times that differ by less than this share count as the same time.
TOLERANCE = 1e-9

# At most this share of a frame counts as rounding, however long the video.
_MAX_ROUNDING_FRAMES = Fraction(1, 1000)


def to_number(name: str, value: Any) -> float:
    """`value`, an int, a float, a fraction or a NumPy number, as a finite float."""
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
    """How many frames a video has: one at each ``i / rate`` before its end.

    A fraction of a frame at the end counts as a frame, because its first instant
    is shown. A duration that exceeds a whole number of frames only by rounding
    does not add a frame.

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
    # Python divides two integers to the nearest float.
    return 1000 * int(index) * exact.denominator / exact.numerator


def _checked(rate: Fraction) -> Fraction:
    if not rate > 0:
        raise SettingsError(f"The frame rate must be above 0 frames per second, got {rate!r}.")
    return rate if type(rate) is Fraction else Fraction(rate)


@dataclass(frozen=True, slots=True)
class Sequence:
    """The times of children that play one after another."""

    durations_ms: tuple[float, ...]
    ends_ms: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.durations_ms:
            raise SettingsError("A sequence needs at least one child, got none.")
        for index, duration_ms in enumerate(self.durations_ms):
            to_positive(f"the duration in ms of child {index}", duration_ms)
        # Fractions add without rounding: a long sequence ends where it should.
        ends = accumulate(map(Fraction, map(float, self.durations_ms)))
        object.__setattr__(self, "ends_ms", tuple(map(float, ends)))

    @property
    def duration_ms(self) -> float:
        """The duration of all of them together."""
        return self.ends_ms[-1]

    def locate(self, time_ms: float) -> tuple[int, float]:
        """Index of the child that plays at `time_ms`, and that child's own time.

        Where two children meet, the later one plays. At the very end, the last
        child is at its end.

        Examples
        --------
        >>> two = Sequence((1000.0, 500.0))
        >>> two.locate(999), two.locate(1000), two.locate(1500)
        ((0, 999.0), (1, 0.0), (1, 500.0))
        """
        now_ms = snap(to_number("the time in ms", time_ms), self.duration_ms)
        if not 0 <= now_ms <= self.duration_ms:
            raise SettingsError(
                f"The time must be from 0 to {self.duration_ms!r} ms, got {time_ms!r} ms."
            )
        if now_ms == self.duration_ms:
            return len(self.ends_ms) - 1, self.durations_ms[-1]
        # A time that lies before a child's start only by rounding belongs to that child.
        index = bisect_right(self.ends_ms, now_ms + TOLERANCE * self.duration_ms)
        index = min(index, len(self.ends_ms) - 1)
        start_ms = self.ends_ms[index - 1] if index else 0.0
        return index, clamp(now_ms - start_ms, self.durations_ms[index])


class Timed(Protocol):
    """Anything with a duration."""

    @property
    def duration(self) -> float:
        """Length in milliseconds."""


ChildT = TypeVar("ChildT", bound=Timed)


class Retimed(ABC, Generic[ChildT]):
    """A child played with its time changed.

    All attributes can be assigned: the new value is used from then on, and is checked when it
    is used.
    """

    kind: ClassVar[type[Any]]

    def __init__(self, child: ChildT) -> None:
        self.child: ChildT = built(child, self.kind)
        duration_of(self)

    @property
    def duration(self) -> float:
        """Length in milliseconds."""
        return self._duration_ms(duration_of(self.child))

    def child_time(self, time_ms: float) -> float:
        """The child's time at `time_ms` of this, both in milliseconds.

        Times inside this give times inside the child. Times outside give times
        outside, except through a crop: so an easing that overshoots reaches a scene.
        """
        return self._child_time_ms(time_ms, duration_of(self.child))

    def _duration_ms(self, child_duration_ms: float) -> float:
        return child_duration_ms

    @abstractmethod
    def _child_time_ms(self, time_ms: float, child_duration_ms: float) -> float: ...


class AtRate(Retimed[ChildT]):
    """A child played faster or slower: a rate of 2 halves its duration."""

    def __init__(self, child: ChildT, playback_rate: float) -> None:
        self.playback_rate = playback_rate
        super().__init__(child)

    def _duration_ms(self, child_duration_ms: float) -> float:
        to_positive("playback_rate", self.playback_rate)
        return child_duration_ms / self.playback_rate

    def _child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        to_positive("playback_rate", self.playback_rate)
        return snap(time_ms * self.playback_rate, child_duration_ms)


class ForDuration(Retimed[ChildT]):
    """A child played at the speed that gives it an exact duration, in milliseconds."""

    def __init__(self, child: ChildT, new_duration: float) -> None:
        self.new_duration = new_duration
        super().__init__(child)

    def _duration_ms(self, child_duration_ms: float) -> float:
        to_positive("new_duration", self.new_duration)
        return self.new_duration

    def _child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        to_positive("new_duration", self.new_duration)
        return snap(time_ms * (child_duration_ms / self.new_duration), child_duration_ms)


class Dilated(Retimed[ChildT]):
    """A child played in its own duration, at a speed that an easing changes."""

    def __init__(
        self,
        child: ChildT,
        dilator: Callable[..., float],
        dilator_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.dilator = dilator
        self.dilator_kwargs: Mapping[str, Any] = {} if dilator_kwargs is None else dilator_kwargs
        super().__init__(child)

    def _duration_ms(self, child_duration_ms: float) -> float:
        self._checked_kwargs()
        return child_duration_ms

    def _child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        share = clamp(time_ms / child_duration_ms, 1.0)
        eased = self.dilator(share, **self._checked_kwargs())
        try:
            eased = to_number("what an easing returns", eased)
        except SettingsError:
            raise FrameError(
                f"The easing {self.dilator!r} must return a finite number, "
                f"got {eased!r} at {share!r}."
            ) from None
        return snap(eased * child_duration_ms, child_duration_ms)

    def _checked_kwargs(self) -> Mapping[str, Any]:
        """The easing's arguments, once both are known to be what they must be."""
        if not callable(self.dilator):
            raise SettingsError(
                f"dilator must be a function of a number from 0 to 1 such as "
                f"rayanim.easing.smoothstep, got {self.dilator!r}."
            )
        kwargs = {} if self.dilator_kwargs is None else self.dilator_kwargs
        if not isinstance(kwargs, Mapping):
            raise SettingsError(
                f"dilator_kwargs must be a dict of keyword arguments, got {kwargs!r}."
            )
        return kwargs


class Reversed(Retimed[ChildT]):
    """A child played backwards."""

    def _child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        return snap(child_duration_ms - time_ms, child_duration_ms)


class Cropped(Retimed[ChildT]):
    """A stretch of a child, from and to milliseconds of the child's time."""

    def __init__(self, child: ChildT, crop_start: float, crop_end: float) -> None:
        self.crop_start = crop_start
        self.crop_end = crop_end
        super().__init__(child)

    def _duration_ms(self, child_duration_ms: float) -> float:
        return self._checked_end_ms(child_duration_ms) - self.crop_start

    def _child_time_ms(self, time_ms: float, child_duration_ms: float) -> float:
        end_ms = self._checked_end_ms(child_duration_ms)
        length_ms = end_ms - self.crop_start
        inside_ms = snap(clamp(time_ms, length_ms), length_ms)
        return end_ms if inside_ms == length_ms else self.crop_start + inside_ms

    def _checked_end_ms(self, child_duration_ms: float) -> float:
        """The end; it is the child's where the two differ only by rounding."""
        start_ms = to_number("crop_start", self.crop_start)
        end_ms = to_number("crop_end", self.crop_end)
        if start_ms < 0:
            raise SettingsError(f"crop_start must be 0 ms or more, got {self.crop_start!r} ms.")
        if end_ms <= start_ms:
            raise SettingsError(
                f"A crop must end after its start, got {self.crop_start!r} to {self.crop_end!r} ms."
            )
        end_ms = snap(self.crop_end, child_duration_ms)
        if end_ms > child_duration_ms:
            raise SettingsError(
                f"A crop cannot end at {self.crop_end!r} ms: what is cropped lasts "
                f"{child_duration_ms!r} ms."
            )
        return end_ms


class Fluent(Generic[ChildT]):
    """A chain of calls that combines and wraps children; every call returns the chain.

    Parameters
    ----------
    base
        What the chain starts from.

    Attributes
    ----------
    base
        What has been built, without what follows it.
    followed_by
        What plays after it. It is kept separately until something wraps the
        whole, so that many calls of `then` make one sequence.
    """

    kind: ClassVar[type[Any]]
    at_rate: ClassVar[type[Any]]
    for_duration: ClassVar[type[Any]]
    dilated: ClassVar[type[Any]]
    backwards: ClassVar[type[Any]]
    cropped: ClassVar[type[Any]]
    sequence: ClassVar[type[Any]]

    def __init__(self, base: ChildT | Fluent[ChildT]) -> None:
        self.base: ChildT = built(base, self.kind)
        self.followed_by: list[ChildT] = []

    def build(self) -> ChildT:
        """What the chain describes."""
        return self._current()

    def duration(self) -> float:
        """Length in milliseconds of the current result."""
        return self._current().duration

    def then(self, other: ChildT | Fluent[ChildT]) -> Self:
        """Play `other` after the current result."""
        self.followed_by.append(built(other, self.kind))
        return self

    def apply(self, transform: Callable[..., Any], *args: Any, **kwargs: Any) -> Self:
        """Replace the current result by ``transform(result, *args, **kwargs)``.

        Raises
        ------
        SettingsError
            If `transform` is not callable, or returns something of another kind.
        """
        if not callable(transform):
            raise SettingsError(f"apply needs a function or a class, got {transform!r}.")
        self._restart(built(transform(self._current(), *args, **kwargs), self.kind))
        return self

    def reverse(self) -> Self:
        """Play the current result backwards."""
        return self.apply(self.backwards)

    def crop(self, start: float, end: float, unit: str) -> Self:
        """Keep only the time from `start` to `end`, both in `unit`.

        Parameters
        ----------
        start, end
            Times within the current result. Its very end is allowed.
        unit
            ``ms``, ``s``, ``min``, ``h`` or ``d``, or another name from
            `rayanim.timeline.UNITS_LOOKUP`.
        """
        return self.apply(self.cropped, to_ms(start, unit), to_ms(end, unit))

    def dilate(
        self, dilator: Callable[..., float], dilator_kwargs: Mapping[str, Any] | None = None
    ) -> Self:
        """Let the easing `dilator` change the speed of the current result."""
        return self.apply(self.dilated, dilator, dilator_kwargs)

    def time_rescale(self, playback_rate: float) -> Self:
        """Play the current result at `playback_rate` times the speed: 2 halves its duration."""
        return self.apply(self.at_rate, playback_rate)

    def time_rescale_exact(self, new_duration: float, unit: str) -> Self:
        """Play the current result in exactly `new_duration`, given in `unit`."""
        return self.apply(self.for_duration, to_ms(new_duration, unit))

    def _current(self) -> ChildT:
        if not self.followed_by:
            return self.base
        sequence: ChildT = self.sequence((self.base, *self.followed_by))
        return sequence

    def _restart(self, base: ChildT) -> None:
        self.base = base
        self.followed_by = []


def built(child: Any, kind: type[ChildT]) -> ChildT:
    """`child` itself, or what it builds if it is a chain."""
    if isinstance(child, Fluent):
        child = child.build()
    if not isinstance(child, kind):
        hint = " Make an instance of it." if isinstance(child, type) else ""
        raise SettingsError(f"Expected a {kind.__name__}, got {child!r}.{hint}")
    return child


def built_all(children: Any, kind: type[ChildT]) -> tuple[ChildT, ...]:
    """`built` for each of `children`, of which there must be at least one."""
    if not isinstance(children, Iterable):
        raise SettingsError(f"Expected a list of {kind.__name__}s, got {children!r}.")
    all_built = tuple(built(child, kind) for child in children)
    if not all_built:
        raise SettingsError(f"Expected at least one {kind.__name__}, got none.")
    return all_built


def in_sequence(children: Iterable[Timed]) -> Sequence:
    """The times at which `children` play one after another."""
    return Sequence(tuple(duration_of(child) for child in children))


def duration_of(child: Timed) -> float:
    """Length of `child` in milliseconds, checked."""
    return to_positive(f"the duration (ms) of {type(child).__name__}", child.duration)


# What the outermost call has called so far. The objects are kept, so that no new
# object gets the id of a freed one.
_reached: ContextVar[dict[tuple[Any, ...], tuple[Any, ...]] | None] = ContextVar(
    "_reached", default=None
)


def call_once(method: str, children: Iterable[Any], *args: Any) -> None:
    """Call `method` of each of `children`, once per object, however often it appears.

    Nested calls of `call_once` belong to the outermost one, so an object that
    appears in several places of a tree is started once. Not covered: a wrapper
    of the user's that calls its child's method directly.
    """
    reached = _reached.get()
    token = None
    if reached is None:
        reached = {}
        token = _reached.set(reached)
    try:
        for child in children:
            key = (method, id(child), *map(id, args))
            if key not in reached:
                reached[key] = (child, args)
                getattr(child, method)(*args)
    finally:
        if token is not None:
            _reached.reset(token)
