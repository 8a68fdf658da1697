"""The frames to draw, in order, each with its number and its parameters.

Parameters are taken from the user's iterable as segments are cut, so a
generator is streamed. It is listed only where the updates of skipped frames must run, for
example with `--frames` (`rayanim.planning`). Parameters that come out of order
wait here; pixels never do.
"""

from __future__ import annotations

import contextlib
import copy
import heapq
import itertools
import logging
import math
import pickle
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from rayanim.errors import ParametersError, SettingsError
from rayanim.randomness import kept_randomness, seed_for
from rayanim.settings import Selection

_logger = logging.getLogger(__name__)

LOOK_AHEAD = 500
"""Entries held back of a stream that ascends and leaves frame numbers out.

Whether a number is still to come cannot be known. With parameters of a megabyte
each, images for example, that is half a gigabyte. A stream that was out of
order before is held back without this limit.
"""


@dataclass(frozen=True)
class IndexedFrameParams:
    """The parameters of one frame, with the number of the frame they belong to.

    Lets `param_by_frame` give its entries in any order. The video shows them
    in the order of their numbers. Each number may come once; numbers may be
    left out, and no frame is made for them.

    Entries that come early are held until their turn: with frame 0 at the end,
    all of them. Parameters are, pixels never. From a generator whose numbers
    ascend with gaps at most 500 are held: an entry that comes later than that
    is an error. Lists have no such limit.

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
    """Some frames that follow each other in the video; `params` is None where there are none.

    `is_borrowed`: the script may change what it has given, once it is asked for more.
    """

    numbers: Sequence[int]
    params: Sequence[Any] | None
    is_borrowed: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    def frames(self) -> Iterator[tuple[int, Any]]:
        """Each frame's number and its parameters, None where the source needs none."""
        params = itertools.repeat(None) if self.params is None else self.params
        return zip(self.numbers, params, strict=False)

    def kept(self) -> Batch:
        """The same, for use after more was asked for."""
        if not self.is_borrowed or self.params is None:
            return self
        return Batch(self.numbers, [copy_of(each) for each in self.params])

    def __getitem__(self, at: slice) -> Batch:
        params = None if self.params is None else self.params[at]
        return Batch(self.numbers[at], params, self.is_borrowed)

    def __add__(self, other: Batch) -> Batch:
        if not len(other):
            return self
        params = None if self.params is None else [*self.params, *(other.params or ())]
        is_borrowed = self.is_borrowed or other.is_borrowed
        return Batch((*self.numbers, *other.numbers), params, is_borrowed)


_IMMUTABLE = (int, float, complex, str, bytes, range, type(None))


def copy_of(entry: Any) -> Any:
    """A copy that does not change with `entry`, which may be a list that a generator extends.

    What cannot be copied is given itself.
    """
    if isinstance(entry, _IMMUTABLE):
        return entry
    try:
        return copy.deepcopy(entry)
    except Exception:  # the script's own classes may raise anything
        return entry


class Feed(Protocol):
    """The frames of a video, taken from the front."""

    @property
    def n_frames(self) -> int | None:
        """Frames in all, None while that is unknown."""

    @property
    def name(self) -> str:
        """What gives the frames, for messages."""

    @property
    def is_selection(self) -> bool:
        """Whether only some of the video's frames were asked for."""

    def take(self, count: int) -> Batch:
        """The next `count` frames; fewer, or none, at the end."""

    def again(self) -> Feed | None:
        """The same feed from its start, or None where its frames come only once."""

    def from_start(self) -> Feed | None:
        """As `again`; also where frames come once, if those taken so far were kept."""


class PushedBack:
    """A feed after frames were given back to it: they come first again."""

    def __init__(self, batch: Batch, feed: Feed) -> None:
        self._batch = batch
        self._feed = feed

    @property
    def n_frames(self) -> int | None:
        return self._feed.n_frames

    @property
    def name(self) -> str:
        return self._feed.name

    @property
    def is_selection(self) -> bool:
        return self._feed.is_selection

    def take(self, count: int) -> Batch:
        given, self._batch = self._batch[:count], self._batch[count:]
        if len(given) == count:
            return given
        given = given.kept()
        rest = self._feed.take(count - len(given))
        return given + rest if len(given) else rest

    def again(self) -> Feed | None:
        return self._feed.again()

    def from_start(self) -> Feed | None:
        return self._feed.from_start()


class NumberFeed:
    """Frames that need nothing but their number."""

    name = "n_frames"

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

    @property
    def is_selection(self) -> bool:
        return self._selection is not None

    def take(self, count: int) -> Batch:
        taken = self._numbers[self._next : self._next + count]
        self._next += len(taken)
        return Batch(taken, None)

    def again(self) -> NumberFeed:
        return NumberFeed(self._available, self._selection)

    from_start = again


class ThinnedFeed:
    """Of another feed's frames one in so many, the first one always."""

    is_selection = True

    def __init__(self, feed: Feed, every: Fraction) -> None:
        self.inner = feed
        self._every = every
        self._most = feed.most if isinstance(feed, ParameterFeed) else sys.maxsize
        self._taken = 0
        self._given = 0

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def n_frames(self) -> int | None:
        n_frames = self.inner.n_frames
        return None if n_frames is None else math.ceil(n_frames / self._every)

    def take(self, count: int) -> Batch:
        taken = Batch((), None)
        while len(taken) < min(count, self._most):
            wanted = int(self._given * self._every)
            taken = taken.kept()
            batch = self.inner.take(1 + wanted - self._taken)
            self._taken += len(batch)
            if not len(batch):
                break
            if self._taken > wanted:
                taken = taken + batch[-1:] if len(taken) else batch[-1:]
                self._given += 1
        return taken if count == 1 else taken.kept()

    def again(self) -> ThinnedFeed | None:
        feed = self.inner.again()
        return None if feed is None else ThinnedFeed(feed, self._every)

    def from_start(self) -> ThinnedFeed | None:
        feed = self.inner.from_start()
        return None if feed is None else ThinnedFeed(feed, self._every)


class FrameStream:
    """A user's generator of frames: read once, in order, each frame when the one before is drawn.

    What it yields is often one figure or one array that it changes from frame
    to frame, so it must not run ahead of the drawing.
    """

    def __init__(self, frames: Iterator[Any], seed: int | None) -> None:
        self._frames = frames
        self._seed = seed

    def __iter__(self) -> Iterator[Any]:
        for number in itertools.count():
            # Without a seed the generators are left to the script.
            kept = contextlib.nullcontext() if self._seed is None else kept_randomness()
            try:
                with kept:
                    seed_for(self._seed, number)
                    frame = next(self._frames)
            except StopIteration:
                return
            yield frame


class TableRows(Sequence[Any]):
    """The rows of a pandas DataFrame, which itself iterates over the names of its columns."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, at: Any) -> Any:
        return self._table.iloc[at]


def _is_table(parameters: Any) -> bool:
    """Whether it is a DataFrame; asked without importing pandas."""
    return hasattr(parameters, "iloc") and hasattr(parameters, "columns")


KEPT_BYTES = 64 * 2**20
"""What the entries of a generator take at most, so that a job can begin again: in a temporary file
from 1 MB on. Of larger ones pickling would take as long as drawing."""


class KeptEntries:
    """Entries that come once, of a generator for example; those taken can be taken again.

    They are kept as they came, pickled, in a temporary file. `can_begin_again` is
    false from the first one that cannot be pickled, or that is too much.
    """

    def __init__(self, entries: Iterable[Any]) -> None:
        self._size = length_of(entries)
        self._entries = iter(entries)
        self._file = tempfile.SpooledTemporaryFile(max_size=2**20)  # noqa: SIM115
        self._n_taken = self._kept_bytes = 0
        self.can_begin_again = True

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError("how many entries there are is not known")
        return self._size

    def __iter__(self) -> Iterator[Any]:
        offset = 0
        for position in itertools.count():
            if position < self._n_taken and self.can_begin_again:
                self._file.seek(offset)
                entry = pickle.load(self._file)  # noqa: S301 - this process has written it
                offset = self._file.tell()
            else:
                try:
                    entry = next(self._entries)
                except StopIteration:
                    return
                self._keep(entry)
                offset = self._kept_bytes
            yield entry

    def _keep(self, entry: Any) -> None:
        self._n_taken += 1
        if not self.can_begin_again:
            return
        try:
            # Not by cloudpickle: reading it here would change the script's classes.
            pickled = pickle.dumps(entry)
            if self._kept_bytes + len(pickled) > KEPT_BYTES:
                raise OSError("too much")
            self._file.seek(self._kept_bytes)
            self._kept_bytes += self._file.write(pickled)
        except Exception:  # the job may not need it
            self.can_begin_again = False
            self._file.close()


def comes_once(parameters: Any) -> bool:
    """Whether a second loop over them may find nothing.

    An iterator comes once. So may what lies behind an iterable of unknown length, a file
    for example; what has a length is taken for a container.
    """
    if not hasattr(parameters, "__iter__") or _is_table(parameters):
        return False
    return length_of(parameters) is None or iter(parameters) is parameters


class ParameterFeed:
    """Frames with parameters from a user's iterable.

    Entries that are `IndexedFrameParams` carry their own number, others are
    numbered as they come.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        n_frames: int | None = None,
        selection: Selection | None = None,
    ) -> None:
        if _is_table(parameters):
            parameters = TableRows(parameters)
        is_stream = isinstance(parameters, FrameStream)
        self.name = "the generator of frames" if is_stream else "param_by_frame"
        self.most = 1 if is_stream else sys.maxsize
        """Frames that may be taken at once."""
        self._parameters = parameters
        self._asked = n_frames
        self._selection = selection
        try:
            entries = iter(parameters)
        except TypeError:
            is_count = isinstance(parameters, int) and not isinstance(parameters, bool)
            raise ParametersError(
                "param_by_frame must be an iterable with one entry per frame, "
                f"got {parameters!r:.80}."
                + (f" For {parameters} frames give n_frames={parameters}." if is_count else "")
            ) from None
        self._available = _count(parameters, n_frames)
        # The numbers in a list are known; elsewhere they come with the entries.
        known = _own_numbers(parameters, self._available)
        self.last = known[-1] if known else None
        """The highest number of a frame, if that is known."""
        if known is None and self._available and isinstance(parameters, list | tuple):
            self.last = self._available - 1
        most = self._available if n_frames is not None else None
        numbered = _numbered(entries, most, self.name)
        if n_frames is None and self._available is not None:
            numbered = _as_many_as_len(numbered, self._available)
        self._wanted = None
        if selection is not None and known is not None:
            self._wanted = _wanted_of(known, selection)
        elif selection is not None and self._available is not None:
            # Entries with numbers of their own may have any: the first one shows if they do.
            first = next(numbered, None)
            numbered = itertools.chain(() if first is None else (first,), numbered)
            if first is None or not first.has_own_number:
                self._wanted = len(selection.within(self._available))
        self.comes_once = not is_stream and (
            isinstance(parameters, KeptEntries) or comes_once(parameters)
        )
        self._ordered = _in_order(
            numbered, known, self._available, self.name, copies=self.comes_once
        )
        self._last = None if selection is None else selection.last

    @property
    def n_frames(self) -> int | None:
        if self._selection is None:
            return self._available
        return self._wanted

    @property
    def is_selection(self) -> bool:
        return self._selection is not None

    def take(self, count: int) -> Batch:
        count = min(count, self.most)
        numbers: list[int] = []
        params: list[Any] = []
        for number, entry in self._ordered:
            if self._selection is None or number in self._selection:
                numbers.append(number)
                params.append(copy_of(entry) if self.comes_once and count > 1 else entry)
            if self._last is not None and number >= self._last:
                # Nothing after it is wanted: the user's iterable is left alone.
                self._ordered, self._last = iter(()), None
                break
            if len(numbers) == count:
                is_borrowed = self.comes_once and not isinstance(entry, _IMMUTABLE)
                return Batch(numbers, params, is_borrowed and count == 1)
        if self._last is not None and self._selection is not None:
            raise ParametersError(
                f"frames {self._selection.text!r}: {self.name} ended before frame {self._last}.",
                frame=self._last,
            )
        return Batch(numbers, params)

    def again(self) -> ParameterFeed | None:
        if comes_once(self._parameters) or isinstance(self._parameters, KeptEntries):
            return None
        return ParameterFeed(self._parameters, self._asked, self._selection)

    def from_start(self) -> ParameterFeed | None:
        if isinstance(self._parameters, KeptEntries) and self._parameters.can_begin_again:
            return ParameterFeed(self._parameters, self._asked, self._selection)
        return self.again()


def _count(parameters: Iterable[Any], n_frames: int | None) -> int | None:
    """How many frames the parameters give, None where only their end shows it."""
    available = length_of(parameters)
    if available is None:
        return n_frames
    if n_frames is not None and n_frames > available:
        _warn_of_too_few(n_frames, available, "param_by_frame")
    return available if n_frames is None else min(n_frames, available)


def _warn_of_too_few(n_frames: int, given: int, name: str) -> None:
    _logger.warning(
        "n_frames=%d, but %s has only %d entries: the video has %d frames.",
        n_frames,
        name,
        given,
        given,
    )


def length_of(parameters: object) -> int | None:
    """``len(parameters)``, None where there is none."""
    # Wrappers have __len__ whatever they wrap, and raise from it around a generator.
    try:
        return len(parameters) if isinstance(parameters, Sized) else None
    except TypeError:
        return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the parameters and the number of its frame."""

    number: int
    params: Any
    has_own_number: bool


def _numbered(
    entries: Iterator[Any], n_frames: int | None, name: str = "param_by_frame"
) -> Iterator[_Entry]:
    for position in itertools.count():
        if position == n_frames:
            return
        try:
            entry = next(entries)
        except StopIteration:
            return
        except Exception as error:
            subject = name.replace("the ", "The ")
            raise ParametersError(
                f"{subject} raised {type(error).__name__} when asked for entry {position}: {error}",
                frame=position,
                traceback_text=traceback.format_exc(),
            ) from error
        if isinstance(entry, IndexedFrameParams):
            yield _Entry(int(entry.frame_id), entry.params, True)
        else:
            yield _Entry(position, entry, False)


def _as_many_as_len(numbered: Iterator[_Entry], length: int) -> Iterator[_Entry]:
    """All of `numbered`, which must be `length` entries: the video was cut by that number."""
    count = 0
    for count, entry in enumerate(numbered, 1):
        if count == length and next(numbered, None) is not None:
            raise ParametersError(
                f"param_by_frame gives more than the {length} entries that its len() gives. "
                "Correct its __len__, or give n_frames."
            )
        yield entry
    if count < length:
        raise ParametersError(
            f"param_by_frame gave only {count} entries, although its len() is {length}. "
            "Correct its __len__, or give n_frames.",
            frame=count,
        )


def _own_numbers(parameters: Iterable[Any], n_frames: int | None) -> list[int] | None:
    """The frame numbers in a list or a tuple, in order; None where entries carry none."""
    if not isinstance(parameters, (list, tuple)):
        return None
    if not any(isinstance(entry, IndexedFrameParams) for entry in parameters):
        return None
    numbers = sorted(entry.number for entry in _numbered(iter(parameters), n_frames))
    for before, after in itertools.pairwise(numbers):
        if before == after:
            raise _came_twice(after)
    return numbers


def _wanted_of(numbers: Sequence[int], selection: Selection) -> int:
    """How many of `numbers` are selected."""
    if numbers[0] == 0 and numbers[-1] == len(numbers) - 1:
        return len(selection.within(len(numbers)))
    wanted = sum(number in selection for number in numbers)
    if not wanted or selection.last > numbers[-1]:
        raise SettingsError(
            f"frames {selection.text!r}: there is no frame {selection.last}; "
            f"the frames in param_by_frame have numbers from {numbers[0]} to {numbers[-1]}."
        )
    return wanted


def _in_order(
    numbered: Iterator[_Entry],
    known: Sequence[int] | None,
    n_frames: int | None,
    name: str,
    *,
    copies: bool,
) -> Iterator[tuple[int, Any]]:
    """Entries sorted by number, holding back only those that came too early.

    `known` are all their numbers in order, where they are known beforehand.
    """
    waiting: dict[int, Any] = {}
    numbers: list[int] = []  # those of `waiting`, a heap
    expected = itertools.count() if known is None else iter(known)
    following = next(expected, None)
    last, highest, count, ascends, has_gaps = -1, -1, 0, True, False
    for entry in numbered:
        number, count = entry.number, count + 1
        if number <= last or number in waiting:
            is_late = has_gaps and number not in waiting
            raise _came_late(number, last) if is_late else _came_twice(number)
        ascends, highest = ascends and number > highest, max(number, highest)
        waiting[number] = copy_of(entry.params) if copies and number != following else entry.params
        heapq.heappush(numbers, number)
        # After so many, the frames that are missing before them are taken for left out.
        is_gap = known is None and ascends
        while numbers and (numbers[0] == following or (is_gap and len(numbers) > LOOK_AHEAD)):
            last = heapq.heappop(numbers)
            yield last, waiting.pop(last)
            if known is None and last != following:
                has_gaps, expected = True, itertools.count(last + 1)
            following = next(expected, None)
    while numbers:
        last = heapq.heappop(numbers)
        yield last, waiting.pop(last)
    if n_frames is not None and count < n_frames:
        _warn_of_too_few(n_frames, count, name)


def _came_twice(number: int) -> ParametersError:
    return ParametersError(
        f"param_by_frame gives frame {number} twice. Each frame number may come once.",
        frame=number,
    )


def _came_late(number: int, last: int) -> ParametersError:
    return ParametersError(
        f"param_by_frame gives frame {number} after frame {last} was taken: either frame "
        f"{number} came twice, or it came more than {LOOK_AHEAD} entries too late. Each frame "
        "number may come once; give the entries in ascending order, or as a list.",
        frame=number,
    )
