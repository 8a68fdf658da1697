"""How much is drawn in one go, and who encodes it: by what frames cost, never what they become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.chunks import (
    CHUNK_DRAW_S,
    CHUNKS_PER_ACTOR,
    MAX_CHUNK_FRAMES,
    ChunkSizes,
    FrameTimes,
)
from rayanim.engine.plan import SegmentPlan
from rayanim.parameters import NumberFeed, ParameterFeed

LIGHT = FrameTimes(draw_s=0.002, encode_s=0.002, transport_s=0.0003)
HEAVY = FrameTimes(draw_s=0.2, encode_s=0.005, transport_s=0.0003)
FRAME_BYTES = 460_800
LIMIT_BYTES = 256 * 2**20


def sizes_of(
    times: FrameTimes, plan: SegmentPlan, *, actors: int = 2, **changes: Any
) -> ChunkSizes:
    options: dict[str, Any] = {
        "frame_bytes": FRAME_BYTES,
        "frames_left": plan.frames_left,
        "limit_bytes": LIMIT_BYTES,
        "max_actors": actors,
        "queue_size": 2,
        "encoders": 2,
    }
    return ChunkSizes(times, **(options | changes))


def plan_of(n_frames: int | None, longest: int | None = 250) -> SegmentPlan:
    feed = ParameterFeed(iter(range(10**6))) if n_frames is None else NumberFeed(n_frames)
    return SegmentPlan(feed, longest)


def lengths(sizes: ChunkSizes, plan: SegmentPlan) -> list[int | None]:
    """What is asked for until the video's end."""
    found: list[int | None] = []
    while True:
        length = sizes.next_length(plan)
        if plan.take(length) is None:
            return found
        found.append(length)


@pytest.mark.parametrize("actors", [1, 2, 16])
@pytest.mark.parametrize("n_frames", [30_000, None])
def test_actors_encode_long_light_videos(actors: int, n_frames: int | None) -> None:
    """Only packets travel then."""
    plan = plan_of(n_frames)
    sizes = sizes_of(LIGHT, plan, actors=actors)
    if n_frames is None:
        # As many are expected as there were.
        for _ in range(64):
            plan.take(None)
    assert sizes.next_length(plan) is None


@pytest.mark.parametrize("n_frames", [50, 100, 300])
def test_heavy_frames_go_in_short_chunks(n_frames: int) -> None:
    """All actors draw from the first second to the last: few segments would occupy few of them."""
    plan = plan_of(n_frames)
    assert lengths(sizes_of(HEAVY, plan, actors=16), plan) == [1] * n_frames


def test_a_short_video_goes_in_chunks_whatever_a_frame_costs() -> None:
    """It is one segment, and all actors but one would have nothing to do."""
    for times in (LIGHT, HEAVY):
        plan = plan_of(200)
        assert None not in lengths(sizes_of(times, plan, actors=4), plan)


def test_the_last_segments_of_a_long_video_may_go_in_chunks() -> None:
    """Eight actors draw nine segments: one of them alone would draw the ninth."""
    plan = plan_of(9 * 250)
    found = lengths(sizes_of(replace(LIGHT, encode_s=0.0005), plan, actors=8, encoders=4), plan)
    assert found[0] is not None
    assert sum(length is None for length in found) < 9


def test_one_link_for_all_frames_counts() -> None:
    """Raw frames of a cluster come through it; packets are small."""
    near = replace(HEAVY, draw_s=0.05)
    far = replace(near, link_s=0.1)
    assert sizes_of(near, plan_of(500), actors=16).next_length(plan_of(500)) is not None
    assert sizes_of(far, plan_of(500), actors=16).next_length(plan_of(500)) is None


def test_slow_encoding_is_spread_over_actors() -> None:
    """The driver has few encoders."""
    slow = replace(LIGHT, encode_s=0.1)
    plan = plan_of(2000)
    assert sizes_of(slow, plan, actors=8).next_length(plan) is None


def test_one_encoder_s_video_comes_in_chunks() -> None:
    """No actor could encode a part of it."""
    plan = plan_of(30_000, None)
    assert None not in lengths(sizes_of(LIGHT, plan, may_encode=False), plan)


def test_a_begun_segment_goes_on_in_chunks() -> None:
    """An actor encodes whole ones only."""
    plan = plan_of(30_000)
    plan.take(7)
    sizes = sizes_of(LIGHT, plan)
    while not plan.is_between:
        length = sizes.next_length(plan)
        assert length is not None
        plan.take(length)
    assert sizes.next_length(plan) is None


def test_chunks_shrink_towards_the_end() -> None:
    """So that all actors finish together."""
    plan = plan_of(1000, None)
    found = lengths(sizes_of(LIGHT, plan, actors=4, may_encode=False), plan)
    assert found == sorted(found, key=lambda length: -(length or 0))
    assert found[-1] == 1


def test_a_chunk_takes_a_moment_and_leaves_some_for_others() -> None:
    """Bounded in seconds, in number, and by how many there are."""
    usual = [
        sizes_of(FrameTimes(draw_s=draw_s, encode_s=0.0, transport_s=0.0), plan_of(n)).usual
        for draw_s, n in ((CHUNK_DRAW_S / 10, 10_000), (1e-6, 10_000), (0.0, None), (1e-6, 80))
    ]
    assert usual == [10, MAX_CHUNK_FRAMES, MAX_CHUNK_FRAMES, 80 // (CHUNKS_PER_ACTOR * 2)]


@given(
    st.integers(1, 300),
    st.floats(0.0, 2.0),
    st.floats(0.0, 2.0),
    st.floats(0.0, 0.1),
    st.integers(1, 100),
    st.integers(1, 2**25),
    st.integers(1, 100),
    st.integers(1, 4),
)
def test_any_costs_give_the_whole_video(
    n: int,
    draw_s: float,
    encode_s: float,
    link_s: float,
    actors: int,
    frame_bytes: int,
    longest: int,
    queue_size: int,
) -> None:
    """In chunks that hold no more than the window, unless a single frame does."""
    times = FrameTimes(draw_s=draw_s, encode_s=encode_s, transport_s=0.0, link_s=link_s)
    plan = plan_of(n, longest)
    sizes = sizes_of(times, plan, actors=actors, frame_bytes=frame_bytes, queue_size=queue_size)
    found = lengths(sizes, plan)
    assert plan.next_frame == n
    for length in found:
        assert length is None or length == 1 or length * frame_bytes <= LIMIT_BYTES
