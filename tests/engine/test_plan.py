"""The cut: every frame in one segment, in order, whatever the sizes, and in one chunk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.plan import ENDLESS, Chunk, Segment, SegmentPlan
from rayanim.parameters import Batch, NumberFeed, ParameterFeed
from rayanim.settings import Selection
from rayanim.storage.fingerprint import batch_digest
from rayanim.video.spec import KEYFRAME_DISTANCE, segment_lengths

sizes = st.integers(1, 40)


def chunks_of(plan: SegmentPlan, *lengths: int | None) -> list[Chunk]:
    """All chunks, with `lengths` asked for again and again; none reaches over a segment's end."""
    found: list[Chunk] = []
    while True:
        length = lengths[len(found) % len(lengths)]
        chunk = plan.take(length if plan.is_between else length or 1)
        if chunk is None:
            return found
        found.append(chunk)


@given(st.integers(1, 20_000), st.integers(KEYFRAME_DISTANCE, 600))
def test_segments_are_of_one_length_but_for_one_frame(n: int, longest: int) -> None:
    """As few as can be: each costs a keyframe. None is longer than was asked for."""
    found = list(segment_lengths(n, longest))
    assert sum(found) == n
    assert len(found) == -(-n // longest)
    assert max(found) - min(found) <= 1


@given(st.integers(1, 20_000), st.integers(1, KEYFRAME_DISTANCE))
def test_shorter_segments_end_where_longer_ones_do(n: int, longest: int) -> None:
    """So one run can make outputs with segments of different lengths, each as it would be alone."""
    found = list(segment_lengths(n, longest))
    assert sum(found) == n
    assert max(found) <= longest
    assert set(accumulate(segment_lengths(n))) <= set(accumulate(found))


@pytest.mark.parametrize(
    ("n_frames", "expected"),
    [(1, [1]), (249, [249]), (250, [250]), (251, [125, 126]), (500, [250, 250])],
)
def test_segments_are_as_long_as_the_keyframe_distance(n_frames: int, expected: list[int]) -> None:
    """A shorter video is one segment."""
    assert list(segment_lengths(n_frames)) == expected


def test_an_unknown_end_is_cut_evenly() -> None:
    """Nothing is known that could shorten a segment."""
    assert list(islice(segment_lengths(None), 3)) == [KEYFRAME_DISTANCE] * 3
    assert list(islice(segment_lengths(None, 5), 4)) == [5] * 4


@given(st.integers(1, 200), st.integers(1, 60) | st.none(), st.lists(sizes | st.none(), min_size=1))
def test_chunks_follow_each_other_and_stay_in_their_segment(
    n: int, longest: int | None, lengths: list[int | None]
) -> None:
    """Whatever their lengths; a segment to be encoded by its actor is one chunk."""
    plan = SegmentPlan(NumberFeed(n), longest)
    chunks = chunks_of(plan, *lengths)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [number for chunk in chunks for number in chunk.batch.numbers] == list(range(n))
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    for chunk in chunks:
        assert chunk.segment.start <= chunk.start < chunk.stop <= chunk.segment.stop
        if chunk.encodes:
            assert (chunk.start, chunk.stop) in (
                (chunk.segment.start, chunk.segment.stop),
                (0, n),
            )
    for before, after in pairwise(chunks):
        assert after.segment.index - before.segment.index in (0, 1)
        assert (after.segment == before.segment) == (before.stop < before.segment.stop)
    segments = {chunk.segment.index: chunk.segment for chunk in chunks}
    assert len(segments) == plan.n_begun == (1 if longest is None else -(-n // longest))
    assert (plan.frames_left, plan.segments_left) == (0, 0)


@given(st.integers(1, 200), sizes, sizes)
def test_an_unknown_end_comes_in_the_middle_of_a_segment(n: int, longest: int, size: int) -> None:
    """The last segment has what is left, and there is no empty one."""
    plan = SegmentPlan(ParameterFeed(iter(range(n))), longest)
    assert (plan.frames_left, plan.segments_left) == (None, None)
    chunks = chunks_of(plan, size)
    assert chunks[-1].stop == n
    assert plan.n_begun == chunks[-1].segment.index + 1 == -(-n // longest)
    assert plan.take(size) is None
    assert plan.n_begun == -(-n // longest)


def test_what_is_left_counts_down() -> None:
    """Frames that were taken, and segments that were begun, are not left."""
    plan = SegmentPlan(NumberFeed(20), 8)
    seen = []
    while plan.take(5) is not None:
        seen.append((plan.next_frame, plan.frames_left, plan.segments_left, plan.is_between))
    assert seen == [
        (5, 15, 2, False),
        (6, 14, 2, True),
        (11, 9, 1, False),
        (13, 7, 1, True),
        (18, 2, 0, False),
        (20, 0, 0, True),
    ]


def test_one_encoder_s_video_is_one_segment() -> None:
    """It goes on until the frames end."""
    plan = SegmentPlan(NumberFeed(1000), None)
    chunks = chunks_of(plan, 64)
    assert {chunk.segment for chunk in chunks} == {Segment(0, 0, ENDLESS)}
    assert plan.n_begun == 1
    # Frames of which no segment file is named have no digest.
    assert plan.take_digest(0) is None


def test_a_segment_s_frames_name_its_file() -> None:
    """However they were cut, put back or changed since; an actor names a whole one itself."""
    plan = SegmentPlan(ParameterFeed(iter("abcdef")), 3)
    plan.take(2)
    plan.take(1)
    plan.take(None)
    digest = batch_digest([0, 1, 2], ["a", "b", "c"])
    assert plan.take_digest(0) == digest
    assert plan.take_digest(0) is None
    assert plan.take_digest(1) is None
    plan = SegmentPlan(ParameterFeed(["a", "b", "c"]), 3)
    plan.take(1)
    again = plan.take(1)
    assert again is not None
    plan.put_back(again)
    plan.take(2)
    assert plan.take_digest(0) == digest


def test_the_plan_is_pulled_lazily() -> None:
    """Parameters are read as chunks are asked for, one chunk's worth at a time."""
    pulled: list[int] = []

    def parameters() -> Iterator[int]:
        for number in range(100):
            pulled.append(number)
            yield number

    plan = SegmentPlan(ParameterFeed(parameters()), 50)
    plan.take(10)
    assert len(pulled) == 10
    assert sum(map(len, chunks_of(plan, 10))) == 90


def test_chosen_frames_keep_their_numbers() -> None:
    """Positions count the video's frames, numbers the script's."""
    plan = SegmentPlan(NumberFeed(50, Selection.parse("10-12,40")))
    (first, second) = chunks_of(plan, 3)
    assert (first.start, first.stop, list(first.batch.numbers)) == (0, 3, [10, 11, 12])
    assert (second.start, second.stop, list(second.batch.numbers)) == (3, 4, [40])


def test_labels_are_what_the_user_counts() -> None:
    """One frame is named, several from the first to the last."""
    assert Chunk(0, 0, 1, Batch([7], None)).label == "frame 7"
    assert Chunk(0, 0, 3, Batch([7, 9, 11], None)).label == "frames 7 to 11"


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)), sizes, st.booleans())
def test_finished_segments_are_left_out(
    have_files: set[int], changed: set[int], size: int, is_known: bool
) -> None:
    """Whichever they are; one that turns out to be another is drawn, with its own frames."""
    feed = NumberFeed(95) if is_known else ParameterFeed(iter(range(95)))
    plan = SegmentPlan(feed, 10)
    asked: list[tuple[int, int, int, list[int]]] = []

    def is_done(segment: Segment, batch: Batch) -> bool:
        asked.append((segment.index, segment.start, segment.stop, list(batch.numbers)))
        return segment.index not in changed

    plan.leave_out(have_files.__contains__, is_done)
    lengths = list(islice(segment_lengths(95 if is_known else None, 10), 10))
    edges = [min(95, sum(lengths[:index])) for index in range(len(lengths) + 1)]
    chunks = chunks_of(plan, size)
    drawn = [number for chunk in chunks for number in chunk.batch.numbers]
    left_out = have_files - changed
    expected = [
        number
        for index, (start, stop) in enumerate(pairwise(edges))
        if index not in left_out
        for number in range(start, stop)
    ]
    assert drawn == expected
    assert asked == [
        (index, edges[index], edges[index + 1], list(range(edges[index], edges[index + 1])))
        for index in sorted(have_files)
    ]
    assert all(chunk.start == chunk.batch.numbers[0] for chunk in chunks)
    assert plan.n_begun == 10


def test_nothing_is_left_where_all_is_finished() -> None:
    """The video's length is known all the same."""
    plan = SegmentPlan(NumberFeed(25), 10)
    plan.leave_out(lambda index: True, lambda segment, batch: True)
    assert plan.take(5) is None
    assert (plan.n_begun, plan.next_frame, plan.frames_left) == (3, 25, 0)


def test_a_file_beyond_the_end_is_no_segment() -> None:
    """A generator may give fewer frames than the last time."""
    plan = SegmentPlan(ParameterFeed(iter(range(20))), 10)
    plan.leave_out(lambda index: True, lambda segment, batch: True)
    assert plan.take(5) is None
    assert (plan.n_begun, plan.next_frame) == (2, 20)
