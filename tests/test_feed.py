"""Frames come in order with their own parameters, streamed and never listed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim import parameters
from rayanim.errors import ParametersError, SettingsError
from rayanim.parameters import (
    LOOK_AHEAD,
    Feed,
    FrameStream,
    IndexedFrameParams,
    KeptEntries,
    NumberFeed,
    ParameterFeed,
    ThinnedFeed,
    comes_once,
)
from rayanim.settings import Selection


def drained(feed: Feed, count: int = 3) -> list[tuple[int, Any]]:
    """All that `feed` holds, taken in batches of `count`."""
    taken: list[tuple[int, Any]] = []
    while len(batch := feed.take(count)):
        assert len(batch) <= count
        params = [None] * len(batch) if batch.params is None else batch.params
        taken += zip(batch.numbers, params, strict=True)
    return taken


class Sized:
    """A collection that has a length, and gives its entries one by one.

    Parameters
    ----------
    entries
        What it gives.
    """

    def __init__(self, entries: list[Any]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries)


class Source:
    """An iterator that knows how far it was read.

    Parameters
    ----------
    entries
        What it gives.
    """

    def __init__(self, entries: Any) -> None:
        self._entries = iter(entries)
        self.pulled = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        entry = next(self._entries)
        self.pulled += 1
        return entry


@given(st.integers(1, 50), st.integers(1, 60))
def test_numbers_come_once_and_in_order(n_frames: int, count: int) -> None:
    """Whatever the size of a batch, the numbers are 0 to n-1, and once more afresh."""
    feed = NumberFeed(n_frames)
    expected = [(number, None) for number in range(n_frames)]
    assert feed.n_frames == n_frames
    assert drained(feed, count) == expected
    assert drained(feed.again(), count) == expected


def test_only_chosen_numbers_are_given() -> None:
    """A selection keeps the numbers of the whole video."""
    feed = NumberFeed(100, Selection.parse("3,5-7,90-99x4"))
    assert feed.n_frames == 7
    assert [number for number, _ in drained(feed)] == [3, 5, 6, 7, 90, 94, 98]


@given(st.permutations(range(12)), st.integers(1, 13))
def test_any_permutation_comes_out_in_order(order: list[int], count: int) -> None:
    """Entries that carry their numbers may come in any order, streamed or listed."""
    entries = [IndexedFrameParams(number, f"of {number}") for number in order]
    expected = [(number, f"of {number}") for number in range(12)]
    assert drained(ParameterFeed(entries), count) == expected
    assert drained(ParameterFeed(iter(entries)), count) == expected


@given(st.permutations(range(10)))
def test_only_what_came_early_is_held_back(order: list[int]) -> None:
    """A frame is given as soon as it and all before it have come, not later."""
    source = Source(IndexedFrameParams(number, None) for number in order)
    feed = ParameterFeed(source)
    for number in range(10):
        feed.take(1)
        assert source.pulled == 1 + max(order.index(before) for before in range(number + 1))


def test_a_generator_is_read_no_further_than_asked() -> None:
    """Taking five frames of an endless generator reads five entries."""
    source = Source(itertools.count())
    feed = ParameterFeed(source)
    assert feed.n_frames is None
    assert list(feed.take(5).params or ()) == [0, 1, 2, 3, 4]
    assert source.pulled == 5


def test_n_frames_cuts_an_endless_generator() -> None:
    """The generator is not asked for one entry more."""
    source = Source(itertools.count())
    feed = ParameterFeed(source, 7)
    assert feed.n_frames == 7
    assert len(drained(feed)) == 7
    assert source.pulled == 7


class Spent:
    """An iterable over data that is gone once read, as an open file or a query is.

    Parameters
    ----------
    entries
        What it gives, once.
    """

    def __init__(self, entries: Any) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return (entry for entry in self._entries)


class Wrapper(Spent):
    """Has a length if what it wraps has one, and raises if not, as a progress bar does."""

    def __len__(self) -> int:
        raise TypeError("object of type 'generator' has no len()")


@pytest.mark.parametrize("iterable", [Spent, Wrapper, iter])
def test_a_stream_cannot_be_had_again(iterable: Any) -> None:
    """Whatever is given of unknown length may be spent: it does not pass for a container."""
    feed = ParameterFeed(iterable(range(3)))
    assert feed.n_frames is None
    assert drained(feed) == [(0, 0), (1, 1), (2, 2)]
    assert feed.again() is None


def changed_lists() -> Iterator[list[int]]:
    """One list that grows."""
    grown: list[int] = []
    for number in range(5):
        grown.append(number)
        yield grown


def test_entries_of_a_stream_are_kept_as_they_came() -> None:
    """A feed from the start has those that were taken, and goes on with the rest."""
    kept = KeptEntries(changed_lists())
    feed = ParameterFeed(kept)
    feed.take(3)
    assert feed.again() is None
    from_start = feed.from_start()
    assert from_start is not None
    again = drained(from_start)
    assert again[:3] == [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])]
    assert [number for number, _ in again] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("entry", [lambda: None, threading.Lock(), bytes(100)])
def test_a_stream_that_cannot_be_kept_comes_once(
    entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries all come, but not twice: a lock cannot be pickled, and there is a limit."""
    monkeypatch.setattr(parameters, "KEPT_BYTES", 50)
    feed = ParameterFeed(KeptEntries(iter([0, entry, 2])))
    assert [number for number, _ in drained(feed)] == [0, 1, 2]
    assert feed.from_start() is None


@pytest.mark.parametrize("iterable", [range(3), [1], "abc", {1: 2}, None, 5])
def test_what_can_be_read_again_does_not_come_once(iterable: Any) -> None:
    assert not comes_once(iterable)
    assert comes_once(iter([1])) and comes_once(Spent([1]))


@pytest.mark.parametrize("container", [[0, 1, 2], range(3), dict.fromkeys(range(3))])
def test_a_container_can_be_had_again(container: Any) -> None:
    """What has a length starts again."""
    feed = ParameterFeed(container)
    feed.take(2)
    again = feed.again()
    assert again is not None
    assert drained(again) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("count", [1, 4, 64])
def test_nothing_after_the_last_chosen_frame_is_read(count: int) -> None:
    """Choosing frames 2 to 5 of an endless generator ends, whatever the batch."""
    source = Source(itertools.count())
    feed = ParameterFeed(source, selection=Selection.parse("2-3,5"))
    assert drained(feed, count) == [(2, 2), (3, 3), (5, 5)]
    assert source.pulled == 6


def test_choosing_frames_beyond_a_generators_end_is_an_error() -> None:
    """Frames that never came are not silently missing."""
    feed = ParameterFeed(iter(range(4)), selection=Selection.parse("2-9"))
    with pytest.raises(ParametersError, match="ended before frame 9"):
        drained(feed)


def test_choosing_frames_beyond_a_lists_end_is_an_error_before_work_starts() -> None:
    """The length of a list is known."""
    with pytest.raises(SettingsError, match="no frame 9"):
        ParameterFeed([1, 2, 3, 4], selection=Selection.parse("2-9"))


@pytest.mark.parametrize("wrap", [list, iter])
@pytest.mark.parametrize(
    ("numbers", "number"),
    [([0, 1, 1], 1), ([1, 0, 0], 0), ([7, 3, 9, 7], 7), ([4, 4], 4)],
)
def test_duplicates_are_errors(wrap: Any, numbers: list[int], number: int) -> None:
    """In a list before work starts, in a stream when they come to light."""
    entries = [IndexedFrameParams(number, None) for number in numbers]
    with pytest.raises(ParametersError, match=f"frame {number} twice") as caught:
        drained(ParameterFeed(wrap(entries)))
    assert caught.value.frame == number


def test_a_list_with_a_duplicate_is_refused_when_it_is_given() -> None:
    """Before any frame is taken."""
    with pytest.raises(ParametersError, match="frame 2 twice"):
        ParameterFeed([IndexedFrameParams(number, None) for number in (2, 5, 2)])


@pytest.mark.parametrize("wrap", [list, tuple, iter, Sized])
@given(
    numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=40, unique=True),
    count=st.integers(1, 41),
)
def test_numbers_may_have_gaps(wrap: Any, numbers: list[int], count: int) -> None:
    """Whatever the order and the first number, entries come in order of their numbers."""
    entries = [IndexedFrameParams(number, f"of {number}") for number in numbers]
    expected = [(number, f"of {number}") for number in sorted(numbers)]
    assert drained(ParameterFeed(wrap(entries)), count) == expected
    assert drained(ParameterFeed(wrap(entries), len(numbers)), count) == expected


def test_plain_entries_are_numbered_by_their_place_among_those_with_numbers() -> None:
    """An entry without a number has that of its position."""
    entries = [IndexedFrameParams(8, "a"), "b", IndexedFrameParams(0, "c"), "d"]
    expected = [(0, "c"), (1, "b"), (3, "d"), (8, "a")]
    assert drained(ParameterFeed(entries)) == drained(ParameterFeed(iter(entries))) == expected


def test_an_ascending_stream_with_gaps_is_read_a_bounded_way_ahead() -> None:
    """An endless one too: memory does not grow with the length of the video."""
    source = Source(IndexedFrameParams(3 * at + 2, at) for at in itertools.count())
    feed = ParameterFeed(source)
    for taken in range(0, 3 * LOOK_AHEAD, 100):
        assert feed.take(100).numbers == [3 * at + 2 for at in range(taken, taken + 100)]
        assert source.pulled <= taken + 101 + LOOK_AHEAD


def test_a_stream_that_was_out_of_order_is_waited_for() -> None:
    """However much comes before the first frame, where numbers have gone back once."""
    numbers = [9, *range(3000, 10, -3), 2]
    feed = ParameterFeed(iter([IndexedFrameParams(number, number) for number in numbers]))
    assert [number for number, _ in drained(feed, 100)] == sorted(numbers)


def test_an_entry_that_comes_too_late_is_an_error_that_says_what_to_do() -> None:
    """A list has no such limit."""
    numbers = [*range(10, 10 + 2 * LOOK_AHEAD, 2), 10**6, 3]
    entries = [IndexedFrameParams(number, None) for number in numbers]
    with pytest.raises(ParametersError, match=r"frame 3 after frame \d+ was taken.*as a list"):
        drained(ParameterFeed(iter(entries)))
    assert [number for number, _ in drained(ParameterFeed(entries))] == sorted(numbers)


@pytest.mark.parametrize("wrap", [list, iter, Sized])
@pytest.mark.parametrize(
    ("text", "numbers"), [("0-20", [5, 8, 20]), ("8", [8]), ("6-30", [8, 20, 30])]
)
def test_frames_are_chosen_by_their_own_numbers(wrap: Any, text: str, numbers: list[int]) -> None:
    """Numbers that were left out are none of them."""
    entries = [IndexedFrameParams(number, number) for number in (8, 5, 30, 20)]
    feed = ParameterFeed(wrap(entries), 4, Selection.parse(text))
    assert feed.n_frames in (None, len(numbers))
    assert drained(feed) == [(number, number) for number in numbers]


@pytest.mark.parametrize("text", ["0-4", "6-7", "31", "20-40"])
def test_choosing_frames_that_a_list_does_not_have_is_an_error(text: str) -> None:
    """It says which numbers there are."""
    entries = [IndexedFrameParams(number, number) for number in (8, 5, 30, 20)]
    with pytest.raises(SettingsError, match="numbers from 5 to 30"):
        ParameterFeed(entries, selection=Selection.parse(text))


@pytest.mark.parametrize("wrap", [list, iter, range])
def test_fewer_entries_than_asked_for_are_all_of_them(
    wrap: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`n_frames` is an upper bound; a warning names both numbers, once."""
    entries = wrap(3) if wrap is range else wrap([0, 1, 2])
    assert drained(ParameterFeed(entries, 5)) == [(0, 0), (1, 1), (2, 2)]
    assert [record.getMessage() for record in caplog.records] == [
        "n_frames=5, but param_by_frame has only 3 entries: the video has 3 frames."
    ]


class Lying:
    """A collection that has other entries than it says.

    Parameters
    ----------
    said, given
        How many it says, and how many it gives.
    """

    def __init__(self, said: int, given: int) -> None:
        self.said = said
        self.given = given

    def __len__(self) -> int:
        return self.said

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.given))


def test_a_collection_that_ends_too_soon_is_an_error() -> None:
    """A video is not silently shorter than what ``len()`` promised."""
    with pytest.raises(ParametersError, match="only 5"):
        drained(ParameterFeed(Lying(8, 5)))


def test_a_collection_that_goes_on_is_an_error() -> None:
    """A video is not silently cut at what ``len()`` promised."""
    with pytest.raises(ParametersError, match="more than the 5"):
        drained(ParameterFeed(Lying(5, 8)))


def test_an_iterable_that_raises_is_named_with_its_position() -> None:
    """The user's own traceback comes with it."""

    def broken() -> Iterator[int]:
        yield from range(3)
        raise OSError("disk unplugged")

    feed = ParameterFeed(broken())
    with pytest.raises(ParametersError, match="entry 3: disk unplugged") as caught:
        drained(feed, 2)
    assert caught.value.frame == 3
    assert "in broken" in (caught.value.traceback_text or "")


@pytest.mark.parametrize("parameters", [5, None, 1.5])
def test_what_cannot_be_iterated_is_quoted(parameters: Any) -> None:
    """A number in the place of the parameters is the caller's slip."""
    with pytest.raises(ParametersError, match=f"got {parameters}"):
        ParameterFeed(parameters)


@pytest.mark.parametrize("number", [-1, 1.0, "1", None, True])
def test_frame_ids_are_whole_numbers(number: Any) -> None:
    """A wrong number is refused where it is written."""
    with pytest.raises(SettingsError, match="frame_id must be"):
        IndexedFrameParams(number, None)


def test_a_container_starts_afresh_and_an_iterator_cannot() -> None:
    """What is spent is not taken for an empty video."""
    feed = ParameterFeed([1, 2, 3])
    drained(feed)
    again = feed.again()
    assert again is not None
    assert drained(again) == [(0, 1), (1, 2), (2, 3)]
    assert ParameterFeed(iter([1, 2, 3])).again() is None


class Table:
    """As much of a pandas DataFrame as is asked for."""

    columns = ("a", "b")

    def __init__(self, rows: list[dict[str, int]]) -> None:
        self.iloc = rows

    def __len__(self) -> int:
        return len(self.iloc)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


def test_a_data_frame_means_its_rows() -> None:
    """And not the names of its columns, over which it iterates; it can be had again."""
    rows = [{"a": number, "b": -number} for number in range(5)]
    feed = ParameterFeed(Table(rows))
    assert feed.n_frames == 5
    assert drained(feed) == list(enumerate(rows))
    again = feed.again()
    assert again is not None
    assert drained(again) == list(enumerate(rows))
    assert drained(ParameterFeed(Table(rows), 2)) == list(enumerate(rows[:2]))
    assert drained(ParameterFeed(Table(rows), None, Selection.parse("3"))) == [(3, rows[3])]


def test_a_generator_of_frames_never_runs_ahead_of_the_drawing() -> None:
    """However many are asked for, one comes: it may change one figure from frame to frame."""
    made: list[int] = []
    feed = ParameterFeed(FrameStream((made.append(number) or number for number in range(3)), None))
    assert feed.n_frames is None
    for number in range(3):
        assert len(feed.take(10)) == 1
        assert made == [*range(number + 1)]
    assert len(feed.take(10)) == 0
    assert feed.again() is None


def test_a_generator_of_frames_that_is_short_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """It has no parameters that could be too few."""
    feed = ParameterFeed(FrameStream(iter(range(6)), None), 9)
    assert len(drained(feed)) == 6
    assert "n_frames=9, but the generator of frames has only 6 entries" in caplog.text


def test_a_generator_of_frames_that_raises_is_named() -> None:
    """With the frame."""
    feed = ParameterFeed(FrameStream((1 // (2 - number) for number in range(3)), None))
    with pytest.raises(ParametersError, match=r"^The generator of frames raised .* entry 2"):
        drained(feed)


def test_left_out_entries_do_not_change_those_taken() -> None:
    """A generator that goes on with one list is asked for more on the way."""
    feed = ThinnedFeed(ParameterFeed(KeptEntries(changed_lists())), Fraction(3, 2))
    assert drained(feed, 4) == [(0, [0]), (1, [0, 1]), (3, [0, 1, 2, 3]), (4, [0, 1, 2, 3, 4])]
