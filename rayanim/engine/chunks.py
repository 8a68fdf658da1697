"""What is drawn next, and what the encoders may have; PURE.

Theory of operation
-------------------
The *window* is the limit on the bytes of frames that are drawn and not yet encoded.
A chunk is *open* from the moment it is given to an actor until the encoder
has acknowledged it; only the bytes of open chunks exist anywhere. No new
chunk is given out while they fill the window.

It cannot deadlock: chunks are given out in order, a lost one before all
others, and one is always given out when none is open. So the chunk that the
encoder waits for is open, drawn or about to be drawn, and its acknowledgement
frees room for the next.

A chunk of raw frames takes its bytes of the window when it is given out,
since they fill up as it is drawn: at 1920x1080 a yuv420p frame has 3.1 MB, so
the default window of 256 MiB holds 86 of them. An encoded chunk's bytes are
known, and exist, when it has been drawn (`frame_bytes` 0): they count from then
on, also while they are being transferred from another node.

A chunk that is late may be given out once more, as a *copy*, while its
actor goes on. The first to finish counts, the other is ignored. The bytes of a
copy of raw frames come on top of the window: while there are new chunks, at
most one actor more than a quarter of all draw copies.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.errors import SegmentLostError

Payload = TypeVar("Payload")

MAX_ATTEMPTS = 3
"""A chunk that ends its actor's process this often ends the job."""

MAX_COPIES = 2
"""Actors that may draw the same chunk at once."""


@dataclass(frozen=True, slots=True)
class Drawn(Generic[Payload]):
    """What an actor has drawn: raw frames for their segment's encoder, or a segment to write."""

    chunk: Chunk
    payload: Payload
    batch_digest: str | None = None


@dataclass(slots=True)
class _Open:
    """An open chunk: how many actors draw it, whether one has, and its bytes."""

    chunk: Chunk
    held_bytes: int
    drawing: int = 0
    is_drawn: bool = False


class ChunkQueue(Generic[Payload]):
    """The state of every chunk between the plan and the encoder."""

    def __init__(
        self,
        plan: Iterator[Chunk],
        *,
        frame_bytes: int,
        limit_bytes: int,
        first_frame: int = 0,
        begun: Chunk | None = None,
    ) -> None:
        self.first_frame = first_frame
        self._plan = plan
        self._frame_bytes = frame_bytes
        self._limit_bytes = limit_bytes
        self.peeked: Chunk | None = None
        """The chunk that was taken from the plan, and not yet given out."""
        self._exhausted = False
        # Indices of open chunks that no actor draws any more, as a heap.
        self._again: list[int] = []
        self._open: dict[int, _Open] = {}
        # Acknowledged chunks of which actors still draw so many copies.
        self._needless_copies: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._pulled = begun
        # Segments of which raw frames go to an encoder, by index.
        self._fed: dict[int, _Fed[Payload]] = {}
        if begun is not None:
            self._fed[begun.segment.index] = _Fed(begun.index + 1)
        self.drawn_frames = 0
        self.drawing_frames = 0
        self.drawing_chunks = 0
        # Kept as running sums: with thousands of actors, thousands of chunks are open.
        self.in_flight_bytes = 0
        self.queued_frames = 0

    @property
    def finished(self) -> bool:
        return not self._open and self._peek() is None

    @property
    def all_handed_out(self) -> bool:
        """Whether no chunk is left to give out, lost ones included."""
        return not self._again and self._peek() is None

    @property
    def last_places(self) -> int:
        """Actors that may still have something to draw once all is given out.

        An idle one may soon be wanted for each chunk that turns out to be slow.
        """
        return MAX_COPIES * self.drawing_chunks

    @property
    def is_untouched(self) -> bool:
        """Whether no chunk was given out."""
        return not self.drawn_frames and not self._open

    def take(self, avoid: Container[int] = ()) -> Chunk | None:
        """The next chunk to draw, or None while there is none or no room."""
        again = self._pop_again(avoid)
        if again is not None:
            return self._give_out(self._open[again])
        chunk = self._peek()
        if chunk is None:
            return None
        wanted_bytes = self.in_flight_bytes + self._raw_bytes(chunk)
        if self._open and wanted_bytes > self._limit_bytes:
            return None
        self.peeked = None
        self._open[chunk.index] = each = _Open(chunk, 0)
        self._set_bytes(each, self._raw_bytes(chunk))
        return self._give_out(each)

    def may_be_copied(self, index: int) -> bool:
        """Whether one more actor may draw chunk `index`, which is being drawn."""
        each = self._open.get(index)
        return each is not None and not each.is_drawn and 0 < each.drawing < MAX_COPIES

    def take_copy(self, among: Collection[int]) -> Chunk | None:
        """The first chunk still being drawn, for one more actor; None if there is none."""
        first = min(filter(self.may_be_copied, among), default=None)
        if first is None:
            return None
        self._open[first].drawing += 1
        return self._open[first].chunk

    def is_wanted(self, chunk: Chunk) -> bool:
        """Whether `chunk` has not been drawn yet."""
        each = self._open.get(chunk.index)
        return each is not None and not each.is_drawn

    def give_back(self, chunk: Chunk) -> None:
        """Take back a chunk that an actor was given and did not finish."""
        if self._is_done_without(chunk):
            return
        self._set_bytes(self._open[chunk.index], self._raw_bytes(chunk))
        self.drawing_frames -= len(chunk)
        self.drawing_chunks -= 1
        heapq.heappush(self._again, chunk.index)

    def lost(self, chunk: Chunk, why: str) -> None:
        """Take back a chunk whose actor died while drawing it."""
        if not self.is_wanted(chunk):
            self._is_done_without(chunk)
            return
        attempts = self._attempts.get(chunk.index, 0) + 1
        self._attempts[chunk.index] = attempts
        if attempts >= MAX_ATTEMPTS:
            first, last = chunk.batch.numbers[0], chunk.batch.numbers[-1]
            what, how, them, frames = f"Frame {first}", "To see why", "it", f"{first}"
            if last > first:
                what, how, them = f"A frame from {first} to {last}", "To see which", "them"
                frames = f"{first}-{last}"
            raise SegmentLostError(
                f"{what} ended the actor's process, {attempts} times ({why}). {how}, draw {them} "
                f"in one process: rayanim run SCRIPT --frames {frames} --engine local.",
                start=first,
                stop=last + 1,
                attempts=attempts,
            )
        self.give_back(chunk)

    def on_its_way(self, chunk: Chunk, payload_bytes: int) -> None:
        """A chunk is drawn on another node and being transferred: its bytes count already.

        Nothing changes where they were counted before, or another copy has been drawn.
        """
        each = self._open.get(chunk.index)
        if each is not None and not each.is_drawn and chunk.encodes:
            self._set_bytes(each, max(each.held_bytes, payload_bytes))

    def drawn(
        self,
        chunk: Chunk,
        payload: Payload,
        payload_bytes: int,
        batch_digest: str | None = None,
    ) -> list[Drawn[Payload]]:
        """Take a drawn chunk; what may now go to an encoder, or be written."""
        each = self._open.get(chunk.index)
        if each is None or each.is_drawn:
            self._is_done_without(chunk)
            return []
        each.drawing -= 1
        each.is_drawn = True
        self._set_bytes(each, payload_bytes)
        self.drawing_frames -= len(chunk)
        self.drawing_chunks -= 1
        self.drawn_frames += len(chunk)
        self.queued_frames += len(chunk)
        self._attempts.pop(chunk.index, None)
        drawn = Drawn(chunk, payload, batch_digest)
        if chunk.encodes:
            return [drawn]
        return self._fed[chunk.segment.index].put(drawn)

    def ended(self) -> list[Chunk]:
        """The last chunks of segments whose frames were all released, each once."""
        self._peek()
        ended = [fed.last for fed in self._fed.values() if fed.last and fed.is_complete]
        for last in ended:
            del self._fed[last.segment.index]
        return ended

    def payload_lost(self, chunk: Chunk) -> None:
        """An encoded segment was lost before it was written."""
        each = self._open[chunk.index]
        each.is_drawn = False
        self._set_bytes(each, 0)
        self.drawn_frames -= len(chunk)
        self.queued_frames -= len(chunk)
        if each.drawing:
            # A copy is still being drawn: it counts again.
            self.drawing_frames += len(chunk)
            self.drawing_chunks += 1
            return
        heapq.heappush(self._again, chunk.index)

    def encoded(self, chunk: Chunk) -> None:
        """The encoder has acknowledged `chunk`: its bytes are free."""
        each = self._open.pop(chunk.index)
        self.in_flight_bytes -= each.held_bytes
        self.queued_frames -= len(chunk)
        if each.drawing:
            self._needless_copies[chunk.index] = each.drawing

    def _pop_again(self, avoid: Container[int]) -> int | None:
        """The first lost chunk that is not in `avoid`; None if there is none."""
        if not self._again:
            return None
        if self._again[0] not in avoid:
            return heapq.heappop(self._again)
        index = min((index for index in self._again if index not in avoid), default=None)
        if index is not None:
            self._again.remove(index)
            heapq.heapify(self._again)
        return index

    def _give_out(self, each: _Open) -> Chunk:
        each.drawing += 1
        self.drawing_frames += len(each.chunk)
        self.drawing_chunks += 1
        return each.chunk

    def _set_bytes(self, each: _Open, held_bytes: int) -> None:
        self.in_flight_bytes += held_bytes - each.held_bytes
        each.held_bytes = held_bytes

    def _is_done_without(self, chunk: Chunk) -> bool:
        """An actor stops drawing `chunk`; whether it is drawn, or another draws it."""
        each = self._open.get(chunk.index)
        if each is None:
            left = self._needless_copies.pop(chunk.index) - 1
            if left:
                self._needless_copies[chunk.index] = left
            return True
        each.drawing -= 1
        return each.is_drawn or each.drawing > 0

    def _peek(self) -> Chunk | None:
        if self.peeked is None and not self._exhausted:
            self.peeked = next(self._plan, None)
            self._exhausted = self.peeked is None
            self._note_end(self._pulled, self.peeked)
            self._pulled = self.peeked
        return self.peeked

    def _note_end(self, before: Chunk | None, after: Chunk | None) -> None:
        """`after` follows `before`: maybe one segment ends, and the next one begins."""
        if after is not None and not after.encodes:
            self._fed.setdefault(after.segment.index, _Fed(after.index))
        if before is None or before.encodes:
            return
        if after is None or after.segment.index != before.segment.index:
            self._fed[before.segment.index].last = before

    def _raw_bytes(self, chunk: Chunk) -> int:
        """Bytes of its frames, which fill up while it is drawn; 0 where they are encoded there."""
        return 0 if chunk.encodes else len(chunk) * self._frame_bytes


class _Fed(Generic[Payload]):
    """A segment of which raw frames go to an encoder, in order, from chunk `first` on."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._early: dict[int, Drawn[Payload]] = {}
        self.last: Chunk | None = None
        """Its last chunk, once that is known."""

    def put(self, drawn: Drawn[Payload]) -> list[Drawn[Payload]]:
        """Take a chunk, and release those that are in order now."""
        self._early[drawn.chunk.index] = drawn
        released = []
        while self._next in self._early:
            released.append(self._early.pop(self._next))
            self._next += 1
        return released

    @property
    def is_complete(self) -> bool:
        return self.last is not None and self.last.index < self._next


CHUNK_DRAW_S = 0.25
"""Seconds of drawing per chunk of raw frames: Ray's 2 to 3 ms for each are then 1 %."""

MAX_CHUNK_FRAMES = 64
"""Raw frames per chunk at most: beyond it there is nothing left to save."""

CHUNKS_PER_ACTOR = 4
"""Chunks that each actor should get, so that none waits long for the last."""

ROUNDS = 2
"""Segments for each actor from which on there is time to share the last ones out evenly."""

LONG_S, CLEARLY = 10.0, 0.95
"""A segment that takes longer must be faster by a twentieth than chunks, of which less is lost
with an actor, and which show progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTimes:
    """Seconds that a frame takes to draw, to encode, and to pass through Ray's object store.

    `link_s` is what its way over the network takes, where all frames share one
    link; 0 on one machine.
    """

    draw_s: float
    encode_s: float
    transport_s: float
    link_s: float = 0.0


class ChunkSizes:
    """How long the next chunk is, and whether it is a whole segment that its actor encodes.

    Bytes do not depend on it, so it may follow measured costs. In a long video
    whole segments cost the least: only packets travel. In a short one, or of
    heavy frames, chunks let all actors draw until the end.
    """

    def __init__(
        self,
        times: FrameTimes,
        *,
        frame_bytes: int,
        frames_left: int | None,
        limit_bytes: int,
        max_actors: int,
        queue_size: int,
        encoders: int,
        asked: int | None = None,
        may_encode: bool = True,
    ) -> None:
        self._times = times
        self._actors = max(1, max_actors)
        self._encoders = encoders
        self._may_encode = may_encode
        self._window_frames = limit_bytes // max(1, frame_bytes)
        # Each actor holds queue_size chunks, the encoder one, and one waits for
        # its turn. At 1080p (3.1 MB in yuv420p), 256 MiB and 8 actors with 2 each
        # that is 18 chunks of 4 frames. A single frame per chunk may pass the
        # limit where even that is too large; the dispatcher then gives out fewer.
        by_bytes = self._window_frames // (2 + queue_size * self._actors)
        by_time = MAX_CHUNK_FRAMES
        if times.draw_s > 0:
            by_time = int(min(MAX_CHUNK_FRAMES, CHUNK_DRAW_S / times.draw_s))
        by_actors = by_time
        if frames_left is not None:
            by_actors = frames_left // (CHUNKS_PER_ACTOR * self._actors)
        self.usual = max(1, min(by_time, by_bytes, by_actors, asked or by_time))
        """Raw frames of a chunk, until the last."""

    def next_length(self, plan: SegmentPlan) -> int | None:
        """Raw frames of the next chunk; None for a whole segment.

        Towards the end chunks shrink to a part of what is left, so that all actors
        finish together: guided self-scheduling (Polychronopoulos and Kuck, IEEE
        Transactions on Computers C-36, 1987).
        """
        if self._may_encode and plan.is_between and self._encoding_is_faster(plan):
            return None
        left = plan.frames_left
        if left is None:
            return self.usual
        return max(1, min(self.usual, -(-left // (2 * self._actors))))

    def likely(self, plan: SegmentPlan) -> int:
        """Frames of the chunks to come, as it looks now."""
        return plan.segment_frames if self.next_length(plan) is None else self.usual

    def _encoding_is_faster(self, plan: SegmentPlan) -> bool:
        """Whether the segments that are left are drawn sooner by actors that also encode."""
        times, frames = self._times, plan.segment_frames
        # Where the end is unknown, as many are expected as there were.
        segments = plan.segments_left or max(1, plan.n_begun)
        rounds = segments / self._actors
        if rounds < ROUNDS:
            # Some actors may have no segment in the last round.
            rounds = math.ceil(rounds)
        whole_s = rounds * (times.draw_s + times.encode_s)
        # What actors draw takes its place in the window: encoders share what is left.
        waiting = max(0, self._window_frames - self._actors * self.usual)
        at_once = min(self._encoders, segments, 1 + waiting // frames)
        chunk_s = segments * max(
            (times.draw_s + times.transport_s + times.encode_s) / self._actors,
            times.encode_s / at_once,
            times.link_s,
        )
        if rounds >= ROUNDS and frames * (times.draw_s + times.encode_s) < LONG_S:
            return whole_s < chunk_s
        return whole_s < CLEARLY * chunk_s
