"""Whatever happens in whatever order: each segment once, in order, within the window."""

from __future__ import annotations

from collections import deque

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

from rayanim.engine.plan import Segment, cut
from rayanim.engine.scheduler import MAX_ATTEMPTS, Dispatcher, Drawn
from rayanim.errors import SegmentLostError
from rayanim.parameters import NumberFeed

FRAME_BYTES = 10


def dispatcher_of(
    n_frames: int, segment_frames: int, limit_frames: int, first: int = 0
) -> Dispatcher[str]:
    return Dispatcher(
        cut(NumberFeed(n_frames), segment_frames, 2, index=first),
        frame_bytes=FRAME_BYTES,
        limit_bytes=limit_frames * FRAME_BYTES,
        first=first,
    )


class Farm(RuleBasedStateMachine):
    """Actors that draw, die and are released, and an encoder, in any interleaving."""

    in_hand = Bundle("in_hand")

    @initialize(
        n_frames=st.integers(1, 60),
        segment_frames=st.integers(1, 12),
        limit_frames=st.integers(0, 30),
        first=st.integers(0, 3),
    )
    def begin(self, n_frames: int, segment_frames: int, limit_frames: int, first: int) -> None:
        self.n_frames = n_frames
        self.limit_bytes = limit_frames * FRAME_BYTES
        self.dispatcher = dispatcher_of(n_frames, segment_frames, limit_frames, first)
        self.held: list[Segment] = []
        # Drawn, and waiting for one before them.
        self.early = 0
        self.encoder: deque[Segment] = deque()
        self.encoded: list[int] = []
        self.deaths: dict[int, int] = {}
        self.refused = False

    @rule(target=in_hand)
    def take(self) -> Segment | None:
        segment = self.dispatcher.take()
        self.refused = segment is None
        if segment is not None:
            self.held.append(segment)
        return segment

    @rule(segment=consumes(in_hand))
    def draw(self, segment: Segment | None) -> None:
        if segment in self.held:
            self._drawn(segment)

    def _drawn(self, segment: Segment) -> None:
        self.refused = False
        self.held.remove(segment)
        self.early += 1
        for drawn in self.dispatcher.drawn(segment, f"pixels of {segment.index}"):
            assert drawn == Drawn(drawn.segment, f"pixels of {drawn.segment.index}")
            self.encoder.append(drawn.segment)
            self.early -= 1

    @rule(segment=consumes(in_hand))
    def die(self, segment: Segment | None) -> None:
        if segment not in self.held:
            return
        self.refused = False
        if self.deaths.get(segment.index, 0) + 1 == MAX_ATTEMPTS:
            self._drawn(segment)
            return
        self.deaths[segment.index] = self.deaths.get(segment.index, 0) + 1
        self.held.remove(segment)
        self.dispatcher.lost(segment, "killed")

    @rule(segment=consumes(in_hand))
    def leave(self, segment: Segment | None) -> None:
        if segment in self.held:
            self.refused = False
            self.held.remove(segment)
            self.dispatcher.give_back(segment)

    @precondition(lambda self: self.encoder)
    @rule()
    def encode(self) -> None:
        self.refused = False
        segment = self.encoder.popleft()
        self.encoded += segment.batch.numbers
        self.dispatcher.encoded(segment)

    @invariant()
    def order_is_kept(self) -> None:
        if hasattr(self, "dispatcher"):
            assert self.encoded == list(range(len(self.encoded)))

    @invariant()
    def the_window_is_kept(self) -> None:
        """Only a segment that is alone may be larger than the window."""
        if not hasattr(self, "dispatcher"):
            return
        if len(self.held) + len(self.encoder) + self.early > 1:
            assert self.dispatcher.in_flight_bytes <= self.limit_bytes

    @invariant()
    def counts_are_those_of_the_segments(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        assert self.dispatcher.drawing_segments == len(self.held)
        assert self.dispatcher.drawing_frames == sum(map(len, self.held))
        assert self.dispatcher.queued_frames >= sum(map(len, self.encoder))
        assert self.dispatcher.finished == (len(self.encoded) == self.n_frames)

    @invariant()
    def there_is_always_something_to_do(self) -> None:
        """When nothing can be taken, something is drawn or encoded, or all is done."""
        if hasattr(self, "dispatcher") and self.refused and not self.dispatcher.finished:
            assert self.held or self.encoder

    def teardown(self) -> None:
        """From any state the job comes to its end, every frame once and in order."""
        if not hasattr(self, "dispatcher"):
            return
        while not self.dispatcher.finished:
            while (segment := self.dispatcher.take()) is not None:
                self.held.append(segment)
            assert self.held or self.encoder
            for segment in self.held[::-1]:
                self._drawn(segment)
            while self.encoder:
                self.encode()
        assert self.encoded == list(range(self.n_frames))
        assert self.dispatcher.in_flight_bytes == self.dispatcher.queued_frames == 0


TestAnyInterleaving = Farm.TestCase
TestAnyInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.integers(1, 40), st.integers(1, 8))
def test_a_window_smaller_than_a_segment_lets_one_through(n_frames: int, size: int) -> None:
    """One at a time instead of none at all."""
    dispatcher = dispatcher_of(n_frames, size, 0)
    frames = 0
    while (segment := dispatcher.take()) is not None:
        assert dispatcher.take() is None
        for drawn in dispatcher.drawn(segment, ""):
            dispatcher.encoded(drawn.segment)
        frames += len(segment)
    assert (frames, dispatcher.finished) == (n_frames, True)


def test_lost_segments_come_before_new_ones_in_order() -> None:
    """The encoder waits for the earliest: it is drawn first."""
    dispatcher = dispatcher_of(40, 2, 40)
    first, second, third = (dispatcher.take() for _ in range(3))
    assert first is not None and second is not None and third is not None
    dispatcher.give_back(third)
    dispatcher.lost(first, "killed")
    dispatcher.give_back(second)
    assert [dispatcher.take() for _ in range(3)] == [first, second, third]


def test_a_segment_that_kills_again_and_again_ends_the_job() -> None:
    """Its frames, the number of attempts and the last reason are named."""
    dispatcher = dispatcher_of(40, 4, 40)
    dispatcher.take()
    poison = dispatcher.take()
    assert poison is not None
    for _ in range(MAX_ATTEMPTS - 1):
        dispatcher.lost(poison, "signal 9")
        assert dispatcher.take() == poison
    with pytest.raises(SegmentLostError, match=r"from 4 to 7 .* 3 times \(signal 9\)") as caught:
        dispatcher.lost(poison, "signal 9")
    error = caught.value
    assert "rayanim run SCRIPT --frames 4-7 --engine local" in error.message
    assert (error.start, error.stop, error.attempts) == (4, 8, MAX_ATTEMPTS)


def test_giving_back_is_no_attempt() -> None:
    """A segment that was never begun is not to blame for its actor's death."""
    dispatcher = dispatcher_of(40, 4, 40)
    first = dispatcher.take()
    assert first is not None
    for _ in range(2 * MAX_ATTEMPTS):
        dispatcher.give_back(first)
        assert dispatcher.take() == first


class Copies(RuleBasedStateMachine):
    """Actors of which several may draw one segment, and parts that are taken as they come."""

    @initialize(n_frames=st.integers(1, 30), segment_frames=st.integers(1, 6))
    def begin(self, n_frames: int, segment_frames: int) -> None:
        self.n_frames = n_frames
        self.dispatcher: Dispatcher[str] = Dispatcher(
            cut(NumberFeed(n_frames), segment_frames),
            frame_bytes=0,
            limit_bytes=3 * FRAME_BYTES,
            in_order=False,
        )
        self.held: list[Segment] = []
        self.writing: list[Segment] = []
        self.written: list[int] = []
        self.deaths: dict[int, int] = {}
        self.coming: set[int] = set()

    @rule()
    def take(self) -> None:
        segment = self.dispatcher.take()
        if segment is not None:
            assert segment not in self.held
            self.held.append(segment)

    @rule(worthy=st.sets(st.integers(0, 8)))
    def copy(self, worthy: set[int]) -> None:
        segment = self.dispatcher.take_copy(worthy)
        if segment is None:
            return
        assert segment.index in worthy
        assert self.dispatcher.is_wanted(segment)
        assert self.held.count(segment) == 1
        self.held.append(segment)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def transfer(self, data: st.DataObject) -> None:
        segment = self.held[data.draw(st.integers(0, len(self.held) - 1))]
        if self.dispatcher.is_wanted(segment):
            self.coming.add(segment.index)
        self.dispatcher.on_its_way(segment, FRAME_BYTES)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["draw", "die", "leave"]))
    def end(self, data: st.DataObject, how: str) -> None:
        segment = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        deaths = self.deaths.get(segment.index, 0)
        if how == "leave":
            self.dispatcher.give_back(segment)
        elif how == "die" and deaths + 1 < MAX_ATTEMPTS:
            if self.dispatcher.is_wanted(segment):
                self.deaths[segment.index] = deaths + 1
            self.dispatcher.lost(segment, "killed")
        else:
            self._draw(segment)
        if segment not in self.held:
            self.coming.discard(segment.index)

    def _draw(self, segment: Segment) -> None:
        is_first = self.dispatcher.is_wanted(segment)
        self.coming.discard(segment.index)
        taken = self.dispatcher.drawn(segment, "packets", FRAME_BYTES)
        assert [drawn.segment for drawn in taken] == [segment] * is_first
        self.writing += [drawn.segment for drawn in taken]

    @precondition(lambda self: self.writing)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        segment = self.writing.pop(data.draw(st.integers(0, len(self.writing) - 1)))
        self.written += segment.batch.numbers
        self.dispatcher.encoded(segment)

    @invariant()
    def counts_leave_copies_out(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        wanted = {each.index: each for each in self.held if self.dispatcher.is_wanted(each)}
        assert self.dispatcher.drawing_segments == len(wanted)
        assert self.dispatcher.drawing_frames == sum(map(len, wanted.values()))
        here_or_coming = len(self.writing) + len(self.coming)
        assert self.dispatcher.in_flight_bytes == FRAME_BYTES * here_or_coming
        assert self.dispatcher.finished == (len(self.written) == self.n_frames)
        assert len(self.written) == len(set(self.written))

    def teardown(self) -> None:
        """From any state every frame is written, once; late copies change nothing."""
        if not hasattr(self, "dispatcher"):
            return
        while not self.dispatcher.finished:
            while (segment := self.dispatcher.take()) is not None:
                self.held.append(segment)
            while self.held:
                self._draw(self.held.pop())
            while self.writing:
                segment = self.writing.pop()
                self.written += segment.batch.numbers
                self.dispatcher.encoded(segment)
        for segment in self.held:
            self._draw(segment)
        assert sorted(self.written) == list(range(self.n_frames))


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_is_on_its_way_fills_the_window() -> None:
    """Whoever draws faster than the network carries waits, and is not lost in the stores."""
    dispatcher: Dispatcher[str] = Dispatcher(
        cut(NumberFeed(9), 3), frame_bytes=0, limit_bytes=3 * FRAME_BYTES, in_order=False
    )
    first = dispatcher.take()
    assert first is not None
    dispatcher.on_its_way(first, 4 * FRAME_BYTES)
    assert dispatcher.take() is None
    dispatcher.drawn(first, "packets", 4 * FRAME_BYTES)
    assert dispatcher.take() is None
    dispatcher.encoded(first)
    assert dispatcher.take() is not None


def test_a_copy_s_death_is_counted_while_the_segment_is_not_drawn() -> None:
    """A segment that kills whoever draws it ends the job, copies or not."""
    dispatcher: Dispatcher[str] = Dispatcher(
        cut(NumberFeed(4), 4), frame_bytes=0, limit_bytes=0, in_order=False
    )
    segment = dispatcher.take()
    assert segment is not None
    for _ in range(MAX_ATTEMPTS - 1):
        assert dispatcher.take_copy({0}) == segment
        assert dispatcher.take_copy({0}) is None
        dispatcher.lost(segment, "killed")
        assert dispatcher.take() is None
    with pytest.raises(SegmentLostError):
        dispatcher.lost(segment, "killed")


def test_at_the_end_there_is_a_place_for_each_copy() -> None:
    """Whoever could draw one is not let go while a segment may turn out to be slow."""
    for in_order, places in ((True, 4), (False, 4)):
        dispatcher: Dispatcher[str] = Dispatcher(
            cut(NumberFeed(4), 2), frame_bytes=0, limit_bytes=0, in_order=in_order
        )
        first, _ = dispatcher.take(), dispatcher.take()
        assert first is not None
        assert dispatcher.last_places == places
        dispatcher.drawn(first, "packets", 0)
        assert dispatcher.last_places == places // 2
