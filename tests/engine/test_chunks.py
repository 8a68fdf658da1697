"""What is drawn next, and what encoders may have, whatever happens in whatever order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from rayanim.engine.chunks import (
    MAX_ATTEMPTS,
    MAX_CHUNK_FRAMES,
    ChunkQueue,
    ChunkSizes,
    Drawn,
    FrameTimes,
)
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.errors import SegmentLostError
from rayanim.parameters import NumberFeed

FRAME_BYTES = 10


def raw(n_frames: int, chunk_frames: int) -> Iterator[Chunk]:
    """Chunks of raw frames, of a video that is one segment."""
    plan = SegmentPlan(NumberFeed(n_frames), None)
    return iter(lambda: plan.take(chunk_frames), None)


def whole(n_frames: int, segment_frames: int) -> Iterator[Chunk]:
    """Whole segments, which their actors encode."""
    plan = SegmentPlan(NumberFeed(n_frames), segment_frames)
    return iter(lambda: plan.take(None), None)


def queue_of(n_frames: int, chunk_frames: int, limit_frames: int) -> ChunkQueue[str]:
    return ChunkQueue(
        raw(n_frames, chunk_frames),
        frame_bytes=FRAME_BYTES,
        limit_bytes=limit_frames * FRAME_BYTES,
    )


class Farm(RuleBasedStateMachine):
    """Actors that draw, die and are released, and an encoder, in any interleaving."""

    in_hand = Bundle("in_hand")

    @initialize(
        n_frames=st.integers(1, 60),
        chunk_frames=st.integers(1, 12),
        limit_frames=st.integers(0, 30),
    )
    def begin(self, n_frames: int, chunk_frames: int, limit_frames: int) -> None:
        self.n_frames = n_frames
        self.limit_bytes = limit_frames * FRAME_BYTES
        self.queue = queue_of(n_frames, chunk_frames, limit_frames)
        self.held: list[Chunk] = []
        # Drawn, and waiting for one before them.
        self.early = 0
        self.encoder: deque[Chunk] = deque()
        self.encoded: list[int] = []
        self.deaths: dict[int, int] = {}
        self.refused = False

    @rule(target=in_hand)
    def take(self) -> Chunk | None:
        chunk = self.queue.take()
        self.refused = chunk is None
        if chunk is not None:
            self.held.append(chunk)
        return chunk

    @rule(chunk=consumes(in_hand))
    def draw(self, chunk: Chunk | None) -> None:
        if chunk in self.held:
            self._drawn(chunk)

    def _drawn(self, chunk: Chunk) -> None:
        self.refused = False
        self.held.remove(chunk)
        self.early += 1
        for drawn in self.queue.drawn(chunk, f"pixels of {chunk.index}", len(chunk) * FRAME_BYTES):
            assert drawn == Drawn(drawn.chunk, f"pixels of {drawn.chunk.index}")
            self.encoder.append(drawn.chunk)
            self.early -= 1

    @rule(chunk=consumes(in_hand))
    def die(self, chunk: Chunk | None) -> None:
        if chunk not in self.held:
            return
        self.refused = False
        if self.deaths.get(chunk.index, 0) + 1 == MAX_ATTEMPTS:
            self._drawn(chunk)
            return
        self.deaths[chunk.index] = self.deaths.get(chunk.index, 0) + 1
        self.held.remove(chunk)
        self.queue.lost(chunk, "killed")

    @rule(chunk=consumes(in_hand))
    def leave(self, chunk: Chunk | None) -> None:
        if chunk in self.held:
            self.refused = False
            self.held.remove(chunk)
            self.queue.give_back(chunk)

    @precondition(lambda self: self.encoder)
    @rule()
    def encode(self) -> None:
        self.refused = False
        chunk = self.encoder.popleft()
        self.encoded += chunk.batch.numbers
        self.queue.encoded(chunk)

    @invariant()
    def order_is_kept(self) -> None:
        if hasattr(self, "queue"):
            assert self.encoded == list(range(len(self.encoded)))

    @invariant()
    def the_window_is_kept(self) -> None:
        """Only a chunk that is alone may be larger than the window."""
        if not hasattr(self, "queue"):
            return
        if len(self.held) + len(self.encoder) + self.early > 1:
            assert self.queue.in_flight_bytes <= self.limit_bytes

    @invariant()
    def counts_are_those_of_the_chunks(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert self.queue.drawing_chunks == len(self.held)
        assert self.queue.drawing_frames == sum(map(len, self.held))
        assert self.queue.queued_frames >= sum(map(len, self.encoder))
        assert self.queue.finished == (len(self.encoded) == self.n_frames)

    @invariant()
    def there_is_always_something_to_do(self) -> None:
        """When nothing can be taken, something is drawn or encoded, or all is done."""
        if hasattr(self, "queue") and self.refused and not self.queue.finished:
            assert self.held or self.encoder

    def teardown(self) -> None:
        """From any state the job comes to its end, every frame once and in order."""
        if not hasattr(self, "queue"):
            return
        while not self.queue.finished:
            while (chunk := self.queue.take()) is not None:
                self.held.append(chunk)
            assert self.held or self.encoder
            for chunk in self.held[::-1]:
                self._drawn(chunk)
            while self.encoder:
                self.encode()
        assert self.encoded == list(range(self.n_frames))
        assert self.queue.in_flight_bytes == self.queue.queued_frames == 0


TestAnyInterleaving = Farm.TestCase
TestAnyInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.integers(1, 40), st.integers(1, 8))
def test_a_window_smaller_than_a_chunk_lets_one_through(n_frames: int, size: int) -> None:
    """One at a time instead of none at all."""
    queue = queue_of(n_frames, size, 0)
    frames = 0
    while (chunk := queue.take()) is not None:
        assert queue.take() is None
        for drawn in queue.drawn(chunk, "", len(chunk) * FRAME_BYTES):
            queue.encoded(drawn.chunk)
        frames += len(chunk)
    assert (frames, queue.finished) == (n_frames, True)


def test_lost_chunks_come_before_new_ones_in_order() -> None:
    """The encoder waits for the earliest: it is drawn first."""
    queue = queue_of(40, 2, 40)
    first, second, third = (queue.take() for _ in range(3))
    assert first is not None and second is not None and third is not None
    queue.give_back(third)
    queue.lost(first, "killed")
    queue.give_back(second)
    assert [queue.take() for _ in range(3)] == [first, second, third]


def test_lost_chunks_behind_one_to_avoid_are_given_out() -> None:
    """The one that failed on a node is left for others, and comes first there."""
    queue = queue_of(8, 2, 8)
    first, second, third = (queue.take() for _ in range(3))
    assert first is not None and second is not None and third is not None
    for each in (third, second, first):
        queue.lost(each, "killed")
    assert queue.take(avoid={first.index}) == second
    assert queue.take() == first
    assert queue.take(avoid={first.index}) == third


def test_a_chunk_that_kills_again_and_again_ends_the_job() -> None:
    """Its frames, the number of attempts and the last reason are named."""
    queue = queue_of(40, 4, 40)
    queue.take()
    poison = queue.take()
    assert poison is not None
    for _ in range(MAX_ATTEMPTS - 1):
        queue.lost(poison, "signal 9")
        assert queue.take() == poison
    with pytest.raises(SegmentLostError, match=r"from 4 to 7 .* 3 times \(signal 9\)") as caught:
        queue.lost(poison, "signal 9")
    error = caught.value
    assert "rayanim run SCRIPT --frames 4-7 --engine local" in error.message
    assert (error.start, error.stop, error.attempts) == (4, 8, MAX_ATTEMPTS)


def test_giving_back_is_no_attempt() -> None:
    """A chunk that was never begun is not to blame for its actor's death."""
    queue = queue_of(40, 4, 40)
    first = queue.take()
    assert first is not None
    for _ in range(2 * MAX_ATTEMPTS):
        queue.give_back(first)
        assert queue.take() == first


class Copies(RuleBasedStateMachine):
    """Actors of which several may draw one chunk, and parts that are taken as they come."""

    @initialize(n_frames=st.integers(1, 30), chunk_frames=st.integers(1, 6))
    def begin(self, n_frames: int, chunk_frames: int) -> None:
        self.n_frames = n_frames
        self.queue: ChunkQueue[str] = ChunkQueue(
            whole(n_frames, chunk_frames),
            frame_bytes=FRAME_BYTES,
            limit_bytes=3 * FRAME_BYTES,
        )
        self.held: list[Chunk] = []
        self.writing: list[Chunk] = []
        self.written: list[int] = []
        self.deaths: dict[int, int] = {}
        self.coming: set[int] = set()

    @rule()
    def take(self) -> None:
        chunk = self.queue.take()
        if chunk is not None:
            assert chunk not in self.held
            self.held.append(chunk)

    @rule(worthy=st.sets(st.integers(0, 8)))
    def copy(self, worthy: set[int]) -> None:
        chunk = self.queue.take_copy(worthy)
        if chunk is None:
            return
        assert chunk.index in worthy
        assert self.queue.is_wanted(chunk)
        assert self.held.count(chunk) == 1
        self.held.append(chunk)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def transfer(self, data: st.DataObject) -> None:
        chunk = self.held[data.draw(st.integers(0, len(self.held) - 1))]
        if self.queue.is_wanted(chunk):
            self.coming.add(chunk.index)
        self.queue.on_its_way(chunk, FRAME_BYTES)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["draw", "die", "leave"]))
    def end(self, data: st.DataObject, how: str) -> None:
        chunk = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        deaths = self.deaths.get(chunk.index, 0)
        if how == "leave":
            self.queue.give_back(chunk)
        elif how == "die" and deaths + 1 < MAX_ATTEMPTS:
            if self.queue.is_wanted(chunk):
                self.deaths[chunk.index] = deaths + 1
            self.queue.lost(chunk, "killed")
        else:
            self._draw(chunk)
        if chunk not in self.held:
            self.coming.discard(chunk.index)

    def _draw(self, chunk: Chunk) -> None:
        is_first = self.queue.is_wanted(chunk)
        self.coming.discard(chunk.index)
        taken = self.queue.drawn(chunk, "packets", FRAME_BYTES)
        assert [drawn.chunk for drawn in taken] == [chunk] * is_first
        self.writing += [drawn.chunk for drawn in taken]

    @precondition(lambda self: self.writing)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        chunk = self.writing.pop(data.draw(st.integers(0, len(self.writing) - 1)))
        self.written += chunk.batch.numbers
        self.queue.encoded(chunk)

    @invariant()
    def counts_leave_copies_out(self) -> None:
        if not hasattr(self, "queue"):
            return
        wanted = {each.index: each for each in self.held if self.queue.is_wanted(each)}
        assert self.queue.drawing_chunks == len(wanted)
        assert self.queue.drawing_frames == sum(map(len, wanted.values()))
        here_or_coming = len(self.writing) + len(self.coming)
        assert self.queue.in_flight_bytes == FRAME_BYTES * here_or_coming
        assert self.queue.finished == (len(self.written) == self.n_frames)
        assert len(self.written) == len(set(self.written))

    def teardown(self) -> None:
        """From any state every frame is written, once; late copies change nothing."""
        if not hasattr(self, "queue"):
            return
        while not self.queue.finished:
            while (chunk := self.queue.take()) is not None:
                self.held.append(chunk)
            while self.held:
                self._draw(self.held.pop())
            while self.writing:
                chunk = self.writing.pop()
                self.written += chunk.batch.numbers
                self.queue.encoded(chunk)
        for chunk in self.held:
            self._draw(chunk)
        assert sorted(self.written) == list(range(self.n_frames))


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_is_on_its_way_fills_the_window() -> None:
    """Frames drawn faster than the network carries them wait, and no actor runs out of memory."""
    queue: ChunkQueue[str] = ChunkQueue(
        whole(9, 3), frame_bytes=FRAME_BYTES, limit_bytes=3 * FRAME_BYTES
    )
    first = queue.take()
    assert first is not None
    queue.on_its_way(first, 4 * FRAME_BYTES)
    assert queue.take() is None
    queue.drawn(first, "packets", 4 * FRAME_BYTES)
    assert queue.take() is None
    queue.encoded(first)
    assert queue.take() is not None


def test_a_copy_s_death_is_counted_while_the_chunk_is_not_drawn() -> None:
    """A chunk that kills each actor that draws it ends the job, copies or not."""
    queue: ChunkQueue[str] = ChunkQueue(whole(4, 4), frame_bytes=FRAME_BYTES, limit_bytes=0)
    chunk = queue.take()
    assert chunk is not None
    for _ in range(MAX_ATTEMPTS - 1):
        assert queue.take_copy({0}) == chunk
        assert queue.take_copy({0}) is None
        queue.lost(chunk, "killed")
        assert queue.take() is None
    with pytest.raises(SegmentLostError):
        queue.lost(chunk, "killed")


def test_at_the_end_there_is_a_place_for_each_copy() -> None:
    """An actor that could draw a copy is kept while a chunk may turn out to be slow."""
    queue: ChunkQueue[str] = ChunkQueue(whole(4, 2), frame_bytes=FRAME_BYTES, limit_bytes=0)
    first, _ = queue.take(), queue.take()
    assert first is not None
    assert queue.last_places == 4
    queue.drawn(first, "packets", 0)
    assert queue.last_places == 2


@given(st.permutations(range(15)))
def test_every_permutation_leaves_in_order(order: list[int]) -> None:
    """Each chunk is released as soon as all before it have come."""
    queue = queue_of(15, 1, 15)
    chunks = list(iter(queue.take, None))
    released: list[str] = []
    arrived: set[int] = set()
    for index in order:
        arrived.add(index)
        drawn = queue.drawn(chunks[index], f"item {index}", FRAME_BYTES)
        released += [each.payload for each in drawn]
        in_order = next(each for each in range(16) if each not in arrived)
        assert released == [f"item {each}" for each in range(in_order)]


def test_segments_of_raw_frames_end_once_all_of_them_were_released() -> None:
    """In whatever order their chunks are drawn; one whose length shows at the end, too."""
    plan = SegmentPlan(NumberFeed(10), 6)
    queue: ChunkQueue[str] = ChunkQueue(
        iter(lambda: plan.take(3), None), frame_bytes=1, limit_bytes=100
    )
    chunks = [queue.take() for _ in range(4)]
    assert queue.ended() == []
    ended = []
    for chunk in reversed(chunks):
        assert chunk is not None
        queue.drawn(chunk, "frames", 3)
        ended.append([last.stop for last in queue.ended()])
    assert ended == [[], [10], [], [5]]
    assert queue.ended() == []


def test_a_segment_that_was_begun_here_ends_where_nothing_more_comes() -> None:
    """Its last frames were drawn before the first actor came."""
    plan = SegmentPlan(NumberFeed(3), 6)
    begun = plan.take(3)
    queue: ChunkQueue[str] = ChunkQueue(iter(()), frame_bytes=1, limit_bytes=1, begun=begun)
    assert queue.ended() == [begun] and queue.finished


# ---- how long chunks are, and who encodes


MIB = 2**20
HD_BYTES = 1920 * 1080 * 3 // 2
VGA_BYTES = 640 * 480 * 3 // 2


def sizes(
    draw_s: float = 0.01,
    encode_s: float = 0.003,
    *,
    frame_bytes: int = VGA_BYTES,
    frames_left: int | None = None,
    actors: int = 2,
    link_s: float = 0.0,
    limit_bytes: int = 256 * MIB,
    queue_size: int = 2,
    encoders: int = 2,
) -> ChunkSizes:
    """Chunk sizes for frames that take so long."""
    return ChunkSizes(
        FrameTimes(
            draw_s=draw_s, encode_s=encode_s, transport_s=frame_bytes / 700e6, link_s=link_s
        ),
        frame_bytes=frame_bytes,
        frames_left=frames_left,
        limit_bytes=limit_bytes,
        max_actors=actors,
        queue_size=queue_size,
        encoders=encoders,
    )


def test_a_chunk_is_a_quarter_of_a_second_of_drawing() -> None:
    """Ray's 2 to 3 ms per chunk are then about one per cent."""
    assert sizes(0.0125).usual == 20


def test_a_costly_frame_is_a_chunk() -> None:
    """Here one of a second."""
    assert sizes(1.0).usual == 1


@pytest.mark.parametrize("draw_s", [0.0, 1e-9, 0.001])
def test_cheap_frames_stop_at_the_largest_chunk(draw_s: float) -> None:
    """Frames that cost nothing measurable are no division by zero."""
    assert sizes(draw_s).usual == MAX_CHUNK_FRAMES


def test_large_frames_make_chunks_that_fit_the_window() -> None:
    """8 actors with 2 chunks each, one in the encoder, one that waits: 18 fit."""
    assert sizes(0.001, frame_bytes=HD_BYTES, actors=8).usual == 4


def test_a_short_job_gives_each_actor_several_chunks() -> None:
    """100 frames for 4 actors are cut into at least 16 chunks."""
    assert sizes(0.001, frames_left=100, actors=4).usual == 6


@given(
    st.integers(1, 10**9),
    st.floats(0.0, 10.0),
    st.none() | st.integers(0, 10**7),
    st.integers(0, 1000),
    st.integers(1, 2**34),
    st.integers(1, 8),
)
def test_a_chunk_is_never_empty_and_fits_unless_it_is_one_frame(
    frame_bytes: int,
    draw_s: float,
    frames: int | None,
    actors: int,
    limit_bytes: int,
    queue_size: int,
) -> None:
    """All chunks that there may be at once fit the window, if single frames do."""
    size = sizes(
        draw_s,
        frame_bytes=frame_bytes,
        frames_left=frames,
        actors=actors,
        limit_bytes=limit_bytes,
        queue_size=queue_size,
    ).usual
    assert 1 <= size <= MAX_CHUNK_FRAMES
    at_once = (2 + queue_size * max(1, actors)) * size * frame_bytes
    assert size == 1 or at_once <= limit_bytes
    assert size == 1 or frames is None or frames // size >= 4 * actors


def test_encoders_share_what_actors_leave_of_the_window() -> None:
    """It holds three segments, but a hundred actors fill a third of it: no three encoders work."""
    many = sizes(0.0475, 0.0025, actors=100)
    assert many.next_length(SegmentPlan(NumberFeed(250 * 50))) is None
