"""The cut: every frame in one segment, in order, whatever the sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.plan import (
    GOP_FRAMES,
    SHORT_VIDEO_SEGMENTS,
    SHORTEST_FRAMES,
    Segment,
    closed_lengths,
    cut,
    follow,
    lengths,
)
from rayanim.parameters import Batch, NumberFeed, ParameterFeed
from rayanim.settings import Selection

sizes = st.integers(1, 40)


@given(st.integers(0, 500), sizes, sizes)
def test_lengths_add_up(n_frames: int, segment_frames: int, tail_segments: int) -> None:
    """No segment is empty or too long, none is longer than the one before."""
    found = list(lengths(n_frames, segment_frames, tail_segments))
    assert sum(found) == n_frames
    assert all(1 <= length <= segment_frames for length in found)
    assert all(later <= earlier for earlier, later in pairwise(found))


@given(st.integers(1, 500), sizes)
def test_the_last_segments_are_short(n_frames: int, segment_frames: int) -> None:
    """With two actors the last segment is a single frame: nobody waits for a long one."""
    assert list(lengths(n_frames, segment_frames, 4))[-1] == 1


def test_an_unknown_end_is_cut_evenly() -> None:
    """Without a length there is no tail to shorten."""
    assert list(islice(lengths(None, 7, 4), 5)) == [7] * 5


@given(st.integers(1, 200), sizes, sizes, st.integers(0, 9))
def test_segments_follow_each_other(n: int, size: int, tail: int, done: int) -> None:
    """Indices and positions go on where an earlier part of the video ended."""
    done = min(done, n)
    feed = NumberFeed(n)
    feed.take(done)
    segments = list(cut(feed, size, tail, index=3, start=done))
    assert [segment.index for segment in segments] == list(range(3, 3 + len(segments)))
    edges = [done, *(segment.stop for segment in segments)]
    assert [segment.start for segment in segments] == edges[:-1]
    assert edges[-1] == n
    numbers = [number for segment in segments for number in segment.batch.numbers]
    assert numbers == list(range(done, n))


def test_the_plan_is_pulled_lazily() -> None:
    """Parameters are read as segments are asked for, one segment's worth at a time."""
    pulled: list[int] = []

    def parameters() -> Iterator[int]:
        for number in range(100):
            pulled.append(number)
            yield number

    plan = cut(ParameterFeed(parameters()), 10)
    next(plan)
    assert len(pulled) == 10
    assert sum(map(len, plan)) == 90


def test_chosen_frames_keep_their_numbers() -> None:
    """Positions count the video's frames, numbers the script's."""
    (first, second) = cut(NumberFeed(50, Selection.parse("10-12,40")), 3)
    assert (first.start, first.stop, list(first.batch.numbers)) == (0, 3, [10, 11, 12])
    assert (second.start, second.stop, list(second.batch.numbers)) == (3, 4, [40])


def test_labels_are_what_the_user_counts() -> None:
    """One frame is named, several from the first to the last."""
    assert Segment(0, 0, 1, Batch([7], None)).label == "frame 7"
    assert Segment(0, 0, 3, Batch([7, 9, 11], None)).label == "frames 7 to 11"


@given(st.integers(1, 20_000), st.none() | st.integers(1, 300))
def test_closed_segments_are_of_one_length_but_for_one_frame(n: int, longest: int | None) -> None:
    """Nobody waits for a last long one, and none is longer than was asked for."""
    found = list(closed_lengths(n, longest))
    assert sum(found) == n
    assert max(found) - min(found) <= 1
    assert max(found) <= (longest or GOP_FRAMES)


@given(st.integers(1, 20_000))
def test_short_videos_have_work_for_many_and_long_ones_few_keyframes(n: int) -> None:
    """Sixteen parts as soon as there are frames for them, then what one encoder would cut."""
    found = list(closed_lengths(n))
    assert len(found) <= max(SHORT_VIDEO_SEGMENTS, -(-n // GOP_FRAMES))
    if n >= SHORT_VIDEO_SEGMENTS * SHORTEST_FRAMES:
        assert len(found) >= SHORT_VIDEO_SEGMENTS
    if n > SHORTEST_FRAMES:
        assert min(found) >= SHORTEST_FRAMES // 2


def test_an_unknown_end_is_cut_into_growing_segments() -> None:
    """From the shortest to one encoder's, whoever draws them."""
    found = list(islice(closed_lengths(None), 200))
    assert found[0] == SHORTEST_FRAMES
    assert all(later >= earlier for earlier, later in pairwise(found))
    assert found[-1] == GOP_FRAMES
    assert list(islice(closed_lengths(None, 5), 4)) == [5] * 4


def test_following_ends_with_the_feed() -> None:
    """The last segment takes what is left, and there is no empty one."""
    segments = list(follow(NumberFeed(20), closed_lengths(None)))
    assert [len(segment) for segment in segments] == [8, 8, 4]
    assert list(follow(NumberFeed(16), closed_lengths(None)))[-1].stop == 16
