"""Hands out the frames to draw, in order, each with its number and its parameters.

Parameters are pulled from the user's iterable as segments are cut, so a
generator is streamed and never listed whole. What arrives out of order waits
here; pixels never do.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Protocol

from rayanim.errors import ParametersError, SettingsError
from rayanim.selection import Selection


@dataclass(frozen=True)
class IndexedFrameParams:
    """The parameters of one frame, with the number of the frame they belong to.

    Lets `param_by_frame` give its entries in any order. Numbers must be
    0 to n-1, each once. Entries that come early are held until their turn:
    with frame 0 at the end, all of them. Parameters are, pixels never.

    Parameters
    ----------
    frame_id
        The frame's number, 0 or more.
    params
        What ``update`` gets for it.

    Raises
    ------
    SettingsError
        If `frame_id` is no whole number of at least 0.
    """

    frame_id: int
    params: Any

    def __post_init__(self) -> None:
        wrong = isinstance(self.frame_id, bool) or not hasattr(self.frame_id, "__index__")
        if wrong or self.frame_id < 0:
            raise SettingsError(
                f"frame_id must be a whole number of at least 0, got {self.frame_id!r}."
            )


@dataclass(frozen=True, slots=True)
class Batch:
    """Some frames that follow each other in the film.

    Attributes
    ----------
    numbers
        The frames' numbers, as the user counts them.
    params
        One entry per frame, or None where the source needs none.
    """

    numbers: Sequence[int]
    params: Sequence[Any] | None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, at: slice) -> Batch:
        params = None if self.params is None else self.params[at]
        return Batch(self.numbers[at], params)

    def __add__(self, other: Batch) -> Batch:
        if not len(other):
            return self
        params = None if self.params is None else [*self.params, *(other.params or ())]
        return Batch((*self.numbers, *other.numbers), params)


class Feed(Protocol):
    """The frames of a film, taken from the front."""

    @property
    def n_frames(self) -> int | None:
        """Frames in all, None while that is unknown."""

    def take(self, count: int) -> Batch:
        """The next `count` frames; fewer, or none, at the end."""

    def again(self) -> Feed | None:
        """The same feed from its start, or None where that cannot be had."""


class PushedBack:
    """A feed to which frames were given back: they come first again.

    Parameters
    ----------
    batch
        The frames given back.
    feed
        What they were taken from.
    """

    def __init__(self, batch: Batch, feed: Feed) -> None:
        self._batch = batch
        self._feed = feed

    @property
    def n_frames(self) -> int | None:
        return self._feed.n_frames

    def take(self, count: int) -> Batch:
        given, self._batch = self._batch[:count], self._batch[count:]
        if len(given) == count:
            return given
        rest = self._feed.take(count - len(given))
        return given + rest if len(given) else rest

    def again(self) -> Feed | None:
        return self._feed.again()


class NumberFeed:
    """Frames that need nothing but their number.

    Parameters
    ----------
    n_frames
        Frames that the source has.
    selection
        Which of them are wanted; None for all.
    """

    def __init__(self, n_frames: int, selection: Selection | None = None) -> None:
        self._available = n_frames
        self._selection = selection
        self._numbers: Sequence[int] = (
            range(n_frames) if selection is None else selection.within(n_frames)
        )
        self._next = 0

    @property
    def n_frames(self) -> int:
        return len(self._numbers)

    def take(self, count: int) -> Batch:
        taken = self._numbers[self._next : self._next + count]
        self._next += len(taken)
        return Batch(taken, None)

    def again(self) -> NumberFeed:
        return NumberFeed(self._available, self._selection)


class ParameterFeed:
    """Frames with parameters from a user's iterable.

    Parameters
    ----------
    parameters
        One entry per frame; entries that are `IndexedFrameParams` carry their
        own number, others are numbered as they come.
    n_frames
        How many entries are used; None for all of them.
    selection
        Which frames are wanted; None for all.

    Raises
    ------
    ParametersError
        If `parameters` cannot be iterated, or, where it is a list or a tuple,
        has duplicates, gaps or too few entries.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        n_frames: int | None = None,
        selection: Selection | None = None,
    ) -> None:
        self._parameters = parameters
        self._asked = n_frames
        self._selection = selection
        try:
            entries = iter(parameters)
        except TypeError:
            raise ParametersError(
                "param_by_frame must be an iterable with one entry per frame, "
                f"got {parameters!r:.80}."
            ) from None
        self._available = _count(parameters, n_frames)
        if isinstance(parameters, (list, tuple)):
            _check_whole(parameters, n_frames)
        numbered = _numbered(entries, n_frames)
        if n_frames is None and self._available is not None:
            numbered = _as_many_as_said(numbered, self._available)
        self._ordered = _in_order(numbered, n_frames)
        self._wanted = None
        if selection is not None and self._available is not None:
            self._wanted = len(selection.within(self._available))
        self._last = None if selection is None else selection.last

    @property
    def n_frames(self) -> int | None:
        if self._selection is None:
            return self._available
        return self._wanted

    def take(self, count: int) -> Batch:
        numbers: list[int] = []
        params: list[Any] = []
        for number, entry in self._ordered:
            if self._selection is None or number in self._selection:
                numbers.append(number)
                params.append(entry)
            if number == self._last:
                # Nothing after it is wanted: the user's iterable is left alone.
                self._ordered, self._last = iter(()), None
                break
            if len(numbers) == count:
                return Batch(numbers, params)
        if self._last is not None and self._selection is not None:
            raise ParametersError(
                f"frames {self._selection.text!r}: param_by_frame ended before frame {self._last}.",
                frame=self._last,
            )
        return Batch(numbers, params)

    def again(self) -> ParameterFeed | None:
        # An iterator is its own iterator and is spent. So may be what lies behind an iterable
        # of unknown length, a file say; what tells its length is taken for a container.
        if _length(self._parameters) is None or iter(self._parameters) is self._parameters:
            return None
        return ParameterFeed(self._parameters, self._asked, self._selection)


def _count(parameters: Iterable[Any], n_frames: int | None) -> int | None:
    """How many frames the parameters give, None where only their end will tell."""
    available = _length(parameters)
    if available is None:
        return n_frames
    if n_frames is not None and n_frames > available:
        raise ParametersError(
            f"n_frames={n_frames}, but param_by_frame has only {available} entries. "
            "Give more entries or a smaller n_frames."
        )
    return available if n_frames is None else n_frames


def _length(parameters: Iterable[Any]) -> int | None:
    """``len(parameters)``, None where there is none.

    Wrappers have ``__len__`` whatever they wrap, and raise from it around a
    generator.
    """
    try:
        return len(parameters) if isinstance(parameters, Sized) else None
    except TypeError:
        return None


def _numbered(entries: Iterator[Any], n_frames: int | None) -> Iterator[tuple[int, Any]]:
    for position in itertools.count():
        if position == n_frames:
            return
        try:
            entry = next(entries)
        except StopIteration:
            return
        except Exception as error:
            raise ParametersError(
                f"param_by_frame raised {type(error).__name__} when asked for entry "
                f"{position}: {error}",
                frame=position,
                traceback_text=traceback.format_exc(),
            ) from error
        if isinstance(entry, IndexedFrameParams):
            yield int(entry.frame_id), entry.params
        else:
            yield position, entry


def _as_many_as_said(numbered: Iterator[Any], said: int) -> Iterator[Any]:
    """All of `numbered`; a film is cut by the length that its parameters told before."""
    count = 0
    for count, entry in enumerate(numbered, 1):
        if count == said and next(numbered, None) is not None:
            raise ParametersError(
                f"param_by_frame gives more than the {said} entries that its len() tells. "
                "Mend its __len__, or give n_frames."
            )
        yield entry
    if count < said:
        raise ParametersError(
            f"param_by_frame gave only {count} entries, although its len() tells {said}. "
            "Mend its __len__, or give n_frames.",
            frame=count,
        )


def _in_order(
    numbered: Iterator[tuple[int, Any]], n_frames: int | None
) -> Iterator[tuple[int, Any]]:
    """Entries sorted by number, holding back only those that came too early."""
    waiting: dict[int, Any] = {}
    following = 0
    for number, entry in numbered:
        if number < following or number in waiting:
            raise ParametersError(
                f"param_by_frame gives frame {number} twice. Each frame number may come once.",
                frame=number,
            )
        waiting[number] = entry
        while following in waiting:
            yield following, waiting.pop(following)
            following += 1
    if waiting:
        raise ParametersError(
            f"param_by_frame ended without frame {following}, although frame {min(waiting)} "
            f"was given. Frame numbers must be 0 to n-1, each once.",
            frame=following,
        )
    if n_frames is not None and following < n_frames:
        raise ParametersError(
            f"n_frames={n_frames}, but param_by_frame gave only {following} entries. "
            "Give more entries or a smaller n_frames.",
            frame=following,
        )


def _check_whole(parameters: Sequence[Any], n_frames: int | None) -> None:
    """Find duplicates and gaps before work starts, where everything is at hand."""
    if any(isinstance(entry, IndexedFrameParams) for entry in parameters):
        for _ in _in_order(_numbered(iter(parameters), n_frames), n_frames):
            pass
