"""What frame generators and scenes have in common: playing a child in another time, and chaining.

A wrapper that changes time exists once, here; `rayanim.frame_gen` and
`rayanim.acts` add how a child of theirs is drawn or applied.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from rayanim.errors import SettingsError
from rayanim.timeline import (
    Crop,
    Dilate,
    Rescale,
    RescaleTo,
    Reverse,
    Sequence,
    TimeMap,
    to_ms,
    to_positive,
)


class Timed(Protocol):
    """Something that lasts."""

    @property
    def duration(self) -> float:
        """Length in milliseconds."""


PartT = TypeVar("PartT", bound=Timed)


def built(part: Any, kind: type[PartT]) -> PartT:
    """`part` itself, or what it builds where it is a chain that was not built yet.

    Raises
    ------
    SettingsError
        If the result is no `kind`.
    """
    if isinstance(part, Fluent):
        part = part.build()
    if not isinstance(part, kind):
        hint = " Make an instance of it." if isinstance(part, type) else ""
        raise SettingsError(f"A {kind.__name__} is needed here, got {part!r}.{hint}")
    return part


def built_all(parts: Any, kind: type[PartT]) -> tuple[PartT, ...]:
    """`built` for each of `parts`, of which there must be one at least."""
    if not isinstance(parts, Iterable):
        raise SettingsError(f"A list of {kind.__name__}s is needed here, got {parts!r}.")
    all_built = tuple(built(part, kind) for part in parts)
    if not all_built:
        raise SettingsError(f"At least one {kind.__name__} is needed here, got none.")
    return all_built


def in_sequence(parts: Iterable[Timed]) -> Sequence:
    """The times at which `parts` play one after another."""
    return Sequence(tuple(duration_of(part) for part in parts))


def duration_of(part: Timed) -> float:
    """Length of `part` in milliseconds, or `SettingsError` naming the part."""
    return to_positive(f"the duration (ms) of {type(part).__name__}", part.duration)


# What the outermost call has reached so far; objects are kept so that no new
# one gets the id of one that is gone.
_reached: ContextVar[dict[tuple[Any, ...], tuple[Any, ...]] | None] = ContextVar(
    "_reached", default=None
)


def call_once(method: str, parts: Iterable[Any], *args: Any) -> None:
    """Call `method` of each of `parts`, of each object once, however often it appears.

    Calls that these make of `call_once` in turn count as one with it: an
    object that appears in several places of a tree is started once. A wrapper
    of the user's own that calls its child's method itself is not seen.
    """
    reached = _reached.get()
    token = None
    if reached is None:
        reached = {}
        token = _reached.set(reached)
    try:
        for part in parts:
            key = (method, id(part), *map(id, args))
            if key not in reached:
                reached[key] = (part, args)
                getattr(part, method)(*args)
    finally:
        if token is not None:
            _reached.reset(token)


MapT = TypeVar("MapT", bound=TimeMap)


def _made_once(make: Callable[..., MapT]) -> Callable[..., MapT]:
    """`make`, which checks its arguments, called once for each of them and not for every frame."""
    kept = lru_cache(maxsize=1000, typed=True)(make)

    def made(*args: Any) -> MapT:
        try:
            return kept(*args)
        except TypeError:  # an argument that cannot be a key; `make` refuses it in its own words
            return make(*args)

    return made


_rescale = _made_once(Rescale)
_rescale_to = _made_once(RescaleTo)
_reverse = Reverse()


@_made_once
def _crop(start_ms: float, end_ms: float, child_duration_ms: float) -> Crop:
    return Crop(start_ms, end_ms).within(child_duration_ms)


class Retimed(ABC, Generic[PartT]):
    """A child played in another time.

    Parameters
    ----------
    child
        What is played.

    Attributes
    ----------
    child
        As given. It may be assigned, as may the other attributes: they count
        from then on, and are checked when they are used.
    """

    kind: ClassVar[type[Any]]

    def __init__(self, child: PartT) -> None:
        self.child: PartT = built(child, self.kind)
        duration_of(self)

    @property
    @abstractmethod
    def time_map(self) -> TimeMap:
        """Which of the child's instants is shown when."""

    @property
    def duration(self) -> float:
        """Length in milliseconds."""
        return self.time_map.duration_ms(duration_of(self.child))

    def child_time(self, time_ms: float) -> float:
        """The child's time in milliseconds when it is `time_ms` here."""
        return self.time_map.child_time_ms(time_ms, duration_of(self.child))


class AtRate(Retimed[PartT]):
    """A child played faster or slower.

    Parameters
    ----------
    child
        What is played.
    playback_rate
        Seconds of the child that pass in one second: 2 halves the duration.

    Attributes
    ----------
    child, playback_rate
        As given; they may be assigned.
    """

    def __init__(self, child: PartT, playback_rate: float) -> None:
        self.playback_rate = playback_rate
        super().__init__(child)

    @property
    def time_map(self) -> Rescale:
        return _rescale(self.playback_rate)


class ForDuration(Retimed[PartT]):
    """A child played so fast that it lasts exactly so long.

    Parameters
    ----------
    child
        What is played.
    new_duration
        How long it shall last, in milliseconds.

    Attributes
    ----------
    child, new_duration
        As given; they may be assigned.
    """

    def __init__(self, child: PartT, new_duration: float) -> None:
        self.new_duration = new_duration
        super().__init__(child)

    @property
    def time_map(self) -> RescaleTo:
        return _rescale_to(self.new_duration)


class Dilated(Retimed[PartT]):
    """A child played for as long as it lasts, at a speed that an easing changes.

    Parameters
    ----------
    child
        What is played.
    dilator
        The easing; see `rayanim.easing`.
    dilator_kwargs
        Keyword arguments for the easing.

    Attributes
    ----------
    child, dilator, dilator_kwargs
        As given, `dilator_kwargs` as a dict; they may be assigned.
    """

    def __init__(
        self,
        child: PartT,
        dilator: Callable[..., float],
        dilator_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.dilator = dilator
        self.dilator_kwargs: Mapping[str, Any] = {} if dilator_kwargs is None else dilator_kwargs
        super().__init__(child)

    @property
    def time_map(self) -> Dilate:
        return Dilate(self.dilator, {} if self.dilator_kwargs is None else self.dilator_kwargs)


class Reversed(Retimed[PartT]):
    """A child played backwards.

    Parameters
    ----------
    child
        What is played.
    """

    @property
    def time_map(self) -> Reverse:
        return _reverse


class Cropped(Retimed[PartT]):
    """A part of a child.

    Parameters
    ----------
    child
        What is played.
    crop_start, crop_end
        Where the part starts and ends, in milliseconds of the child's time.
        The end of the child is allowed.

    Attributes
    ----------
    child, crop_start, crop_end
        As given; they may be assigned.
    """

    def __init__(self, child: PartT, crop_start: float, crop_end: float) -> None:
        self.crop_start = crop_start
        self.crop_end = crop_end
        super().__init__(child)

    @property
    def time_map(self) -> Crop:
        return _crop(self.crop_start, self.crop_end, duration_of(self.child))


class Fluent(Generic[PartT]):
    """A chain of calls that wraps and lines up parts; every call returns the chain.

    Parameters
    ----------
    base
        What the chain starts from.

    Attributes
    ----------
    base
        What has been built, without what follows it.
    followed_by
        What plays after it. It is kept apart until something has to wrap the
        whole, so that a long sequence is one sequence.
    """

    kind: ClassVar[type[Any]]
    at_rate: ClassVar[type[Any]]
    for_duration: ClassVar[type[Any]]
    dilated: ClassVar[type[Any]]
    backwards: ClassVar[type[Any]]
    cropped: ClassVar[type[Any]]
    sequence: ClassVar[type[Any]]

    def __init__(self, base: PartT | Fluent[PartT]) -> None:
        self.base: PartT = built(base, self.kind)
        self.followed_by: list[PartT] = []

    def build(self) -> PartT:
        """What the chain describes."""
        return self._current()

    def duration(self) -> float:
        """Length in milliseconds of what the chain describes now."""
        return self._current().duration

    def then(self, other: PartT | Fluent[PartT]) -> Self:
        """Play `other` after what there is."""
        self.followed_by.append(built(other, self.kind))
        return self

    def apply(self, transform: Callable[..., Any], *args: Any, **kwargs: Any) -> Self:
        """Replace what there is by ``transform(what there is, *args, **kwargs)``.

        Raises
        ------
        SettingsError
            If `transform` cannot be called, or gives something of another kind.
        """
        if not callable(transform):
            raise SettingsError(f"apply needs a function or a class, got {transform!r}.")
        self._restart(built(transform(self._current(), *args, **kwargs), self.kind))
        return self

    def reverse(self) -> Self:
        """Play what there is backwards."""
        return self.apply(self.backwards)

    def crop(self, start: float, end: float, unit: str) -> Self:
        """Keep what lies from `start` to `end`, both in `unit`.

        Parameters
        ----------
        start, end
            Times within what there is. Its very end is allowed.
        unit
            ``ms``, ``s``, ``min``, ``h`` or ``d``, or another name from
            `rayanim.timeline.UNITS_LOOKUP`.
        """
        return self.apply(self.cropped, to_ms(start, unit), to_ms(end, unit))

    def dilate(
        self, dilator: Callable[..., float], dilator_kwargs: Mapping[str, Any] | None = None
    ) -> Self:
        """Let the easing `dilator` change the speed of what there is."""
        return self.apply(self.dilated, dilator, dilator_kwargs)

    def time_rescale(self, playback_rate: float) -> Self:
        """Play what there is at `playback_rate` times the speed: 2 halves its duration."""
        return self.apply(self.at_rate, playback_rate)

    def time_rescale_exact(self, new_duration: float, unit: str) -> Self:
        """Play what there is in exactly `new_duration`, given in `unit`."""
        return self.apply(self.for_duration, to_ms(new_duration, unit))

    def _current(self) -> PartT:
        if not self.followed_by:
            return self.base
        lined_up: PartT = self.sequence((self.base, *self.followed_by))
        return lined_up

    def _restart(self, base: PartT) -> None:
        self.base = base
        self.followed_by = []
