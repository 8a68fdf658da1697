"""Frames come in order with their own parameters, streamed and never listed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.errors import ParametersError, SettingsError
from rayanim.feed import Feed, IndexedFrameParams, NumberFeed, ParameterFeed
from rayanim.selection import Selection


def drained(feed: Feed, count: int = 3) -> list[tuple[int, Any]]:
    """All that `feed` holds, taken in batches of `count`."""
    taken: list[tuple[int, Any]] = []
    while len(batch := feed.take(count)):
        assert len(batch) <= count
        params = [None] * len(batch) if batch.params is None else batch.params
        taken += zip(batch.numbers, params, strict=True)
    return taken


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
    """A selection keeps the numbers of the whole film."""
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


@pytest.mark.parametrize("container", [[0, 1, 2], range(3), dict.fromkeys(range(3))])
def test_a_container_can_be_had_again(container: Any) -> None:
    """What tells its length starts afresh."""
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
    ("numbers", "message"),
    [([0, 1, 1], "frame 1 twice"), ([1, 0, 0], "frame 0 twice"), ([0, 2, 3], "without frame 1")],
)
def test_duplicates_and_gaps_are_errors(wrap: Any, numbers: list[int], message: str) -> None:
    """In a list before work starts, in a stream when they come to light."""
    entries = [IndexedFrameParams(number, None) for number in numbers]
    with pytest.raises(ParametersError, match=message):
        drained(ParameterFeed(wrap(entries)))


@pytest.mark.parametrize("wrap", [list, iter, range])
def test_too_few_entries_are_an_error(wrap: Any) -> None:
    """`n_frames` above what there is names both numbers."""
    entries = wrap(3) if wrap is range else wrap([0, 1, 2])
    with pytest.raises(ParametersError, match=r"n_frames=5.*only 3"):
        drained(ParameterFeed(entries, 5))


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
    """A film is not silently shorter than what ``len()`` promised."""
    with pytest.raises(ParametersError, match="only 5"):
        drained(ParameterFeed(Lying(8, 5)))


def test_a_collection_that_goes_on_is_an_error() -> None:
    """A film is not silently cut at what ``len()`` promised."""
    with pytest.raises(ParametersError, match="more than the 5"):
        drained(ParameterFeed(Lying(5, 8)))


def test_an_iterable_that_raises_is_told_with_its_position() -> None:
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
    """What is spent is not taken for an empty film."""
    feed = ParameterFeed([1, 2, 3])
    drained(feed)
    again = feed.again()
    assert again is not None
    assert drained(again) == [(0, 1), (1, 2), (2, 3)]
    assert ParameterFeed(iter([1, 2, 3])).again() is None
