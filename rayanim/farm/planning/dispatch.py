"""Decides which segment is drawn next and what the encoder may have; PURE.

Theory of operation
-------------------
A segment is *open* from the moment it is handed out until the encoder has
acknowledged it; only the bytes of open segments exist anywhere. Handing out
stops while they fill the window.

It cannot deadlock: segments are handed out in order, a lost one before all
others, and one is always handed out when none is open. So the segment that
the encoder waits for is open, drawn or about to be drawn, and its
acknowledgement frees room for the next.

Of raw frames a segment takes its bytes of the window when it is handed out,
since they fill up as it is drawn: at 1920x1080 a yuv420p frame has 3.1 MB, so
the default window of 256 MiB holds 86 of them. An encoded segment's bytes are
known, and exist, when it has been drawn (`frame_bytes` 0): from then on they
count, also while they are on their way from another node.

A segment that is overdue may be handed out once more, as a *copy*, while its
actor goes on. Whichever comes first counts, the other is ignored. Of raw frames
a copy's bytes come on top of the window: while there are new segments at most
one actor and a quarter of all draw copies (`rayanim.farm.faults.overdue`).
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from rayanim.errors import SegmentLostError
from rayanim.farm.planning.ordering import Ordering
from rayanim.farm.planning.plan import Segment

Payload = TypeVar("Payload")

MAX_ATTEMPTS = 3
"""A segment that ends its actor's process this often ends the job."""

MAX_COPIES = 2
"""Actors that may draw the same segment at once."""


@dataclass(frozen=True, slots=True)
class Drawn(Generic[Payload]):
    """A segment with what its actor handed back."""

    segment: Segment
    payload: Payload


@dataclass(slots=True)
class _Open:
    """An open segment: how many draw it, whether one of them has, and its bytes."""

    segment: Segment
    held_bytes: int
    drawing: int = 0
    is_drawn: bool = False


class Dispatcher(Generic[Payload]):
    """The state of every segment between the plan and the encoder.

    Parameters
    ----------
    plan
        The segments, in order; pulled only when there is room.
    frame_bytes
        Bytes of one frame in a payload; 0 where only a drawn segment has any.
    limit_bytes
        Bytes that may be open.
    first, first_frame
        Index of the plan's first segment, and the position of its first frame.
    in_order
        Whether the encoder gets segments in the order of the film, rather than
        as they come.

    Attributes
    ----------
    drawn_frames
        Frames drawn so far.
    drawing_frames, drawing_segments
        Frames and segments in the actors' hands, copies not counted.
    in_flight_bytes
        Bytes of open segments.
    queued_frames
        Frames drawn but not yet encoded: in order or waiting for their turn.
    """

    def __init__(
        self,
        plan: Iterator[Segment],
        *,
        frame_bytes: int,
        limit_bytes: int,
        first: int = 0,
        first_frame: int = 0,
        in_order: bool = True,
    ) -> None:
        self.first_frame = first_frame
        self._plan = plan
        self._frame_bytes = frame_bytes
        self._limit_bytes = limit_bytes
        self._peeked: Segment | None = None
        self._exhausted = False
        # Indices of open segments that nobody draws any more, as a heap.
        self._again: list[int] = []
        self._open: dict[int, _Open] = {}
        # Drawn and acknowledged while another actor still draws a copy.
        self._superseded: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._ordering: Ordering[Drawn[Payload]] | None = Ordering(first) if in_order else None
        self.drawn_frames = 0
        self.drawing_frames = 0
        self.drawing_segments = 0
        # Counted along: thousands of segments are open where thousands of actors draw.
        self.in_flight_bytes = 0
        self.queued_frames = 0

    @property
    def finished(self) -> bool:
        """Whether every segment of the plan was acknowledged."""
        return not self._open and self._peek() is None

    @property
    def all_handed_out(self) -> bool:
        """Whether no segment is left to hand out, lost ones included."""
        return not self._again and self._peek() is None

    @property
    def last_places(self) -> int:
        """Actors that may still have something to draw once all is handed out.

        An idle one may soon be wanted for each segment that turns out to take
        long.
        """
        return MAX_COPIES * self.drawing_segments

    def take(self, avoid: Container[int] = ()) -> Segment | None:
        """The next segment to draw, or None while there is none or no room.

        Parameters
        ----------
        avoid
            Indices of segments that were lost and are left to other actors.
        """
        again = self._pop_again(avoid)
        if again is not None:
            return self._hand_out(self._open[again])
        segment_or_none = self._peek()
        if segment_or_none is None or not self._fits(segment_or_none):
            return None
        segment, self._peeked = segment_or_none, None
        self._open[segment.index] = each = _Open(segment, 0)
        self._hold(each, len(segment) * self._frame_bytes)
        return self._hand_out(each)

    def take_copy(self, among: Collection[int]) -> Segment | None:
        """The first segment still being drawn, for one more actor; None if there is none.

        Parameters
        ----------
        among
            Indices of the segments that are worth it.
        """
        first = min(filter(self._may_be_copied, among), default=None)
        if first is None:
            return None
        self._open[first].drawing += 1
        return self._open[first].segment

    def is_wanted(self, segment: Segment) -> bool:
        """Whether nobody has drawn `segment` yet."""
        each = self._open.get(segment.index)
        return each is not None and not each.is_drawn

    def give_back(self, segment: Segment) -> None:
        """Take back a segment that was handed out and not begun."""
        if self._leaves_others(segment):
            return
        self._hold(self._open[segment.index], len(segment) * self._frame_bytes)
        self.drawing_frames -= len(segment)
        self.drawing_segments -= 1
        heapq.heappush(self._again, segment.index)

    def lost(self, segment: Segment, why: str) -> None:
        """Take back a segment whose actor died while drawing it.

        Raises
        ------
        SegmentLostError
            If that has now happened `MAX_ATTEMPTS` times to this segment.
        """
        if not self.is_wanted(segment):
            self._leaves_others(segment)
            return
        attempts = self._attempts.get(segment.index, 0) + 1
        self._attempts[segment.index] = attempts
        if attempts >= MAX_ATTEMPTS:
            raise SegmentLostError(
                f"Drawing {segment.label} ended the actor's process {attempts} times ({why}). "
                "Draw one of them alone to see why: rayanim still SCRIPT --frame "
                f"{segment.batch.numbers[0]}.",
                start=segment.batch.numbers[0],
                stop=segment.batch.numbers[-1] + 1,
                attempts=attempts,
            )
        self.give_back(segment)

    def on_its_way(self, segment: Segment, payload_bytes: int) -> None:
        """A segment is drawn elsewhere and not here yet: its bytes count already.

        Of one whose size was foretold, or that others have drawn, nothing changes.
        """
        each = self._open.get(segment.index)
        if each is not None and not each.is_drawn and not self._frame_bytes:
            self._hold(each, max(each.held_bytes, payload_bytes))

    def drawn(
        self, segment: Segment, payload: Payload, payload_bytes: int | None = None
    ) -> list[Drawn[Payload]]:
        """Take a drawn segment; what may now go to the encoder.

        Parameters
        ----------
        segment, payload
            The segment and what its actor handed back.
        payload_bytes
            How large that is; None keeps what `frame_bytes` foretold.
        """
        each = self._open.get(segment.index)
        if each is None or each.is_drawn:
            self._leaves_others(segment)
            return []
        each.drawing -= 1
        each.is_drawn = True
        if payload_bytes is not None:
            self._hold(each, payload_bytes)
        self.drawing_frames -= len(segment)
        self.drawing_segments -= 1
        self.drawn_frames += len(segment)
        self.queued_frames += len(segment)
        self._attempts.pop(segment.index, None)
        drawn = Drawn(segment, payload)
        return [drawn] if self._ordering is None else self._ordering.put(segment.index, drawn)

    def payload_lost(self, segment: Segment) -> None:
        """What was drawn of `segment` is gone before the encoder had it; not in order only."""
        each = self._open[segment.index]
        each.is_drawn = False
        self._hold(each, len(segment) * self._frame_bytes)
        self.drawn_frames -= len(segment)
        self.queued_frames -= len(segment)
        if each.drawing:
            # A copy is still being drawn: it counts again.
            self.drawing_frames += len(segment)
            self.drawing_segments += 1
            return
        heapq.heappush(self._again, segment.index)

    def encoded(self, segment: Segment) -> None:
        """The encoder has acknowledged `segment`: its bytes are free."""
        each = self._open.pop(segment.index)
        self.in_flight_bytes -= each.held_bytes
        self.queued_frames -= len(segment)
        if each.drawing:
            self._superseded[segment.index] = each.drawing

    def _pop_again(self, avoid: Container[int]) -> int | None:
        """The first segment that was lost and is not left to others; None if there is none."""
        if not self._again:
            return None
        if self._again[0] not in avoid:
            return heapq.heappop(self._again)
        index = min((index for index in self._again if index not in avoid), default=None)
        if index is not None:
            self._again.remove(index)
            heapq.heapify(self._again)
        return index

    def _hand_out(self, each: _Open) -> Segment:
        each.drawing += 1
        self.drawing_frames += len(each.segment)
        self.drawing_segments += 1
        return each.segment

    def _hold(self, each: _Open, held_bytes: int) -> None:
        self.in_flight_bytes += held_bytes - each.held_bytes
        each.held_bytes = held_bytes

    def _may_be_copied(self, index: int) -> bool:
        each = self._open.get(index)
        return each is not None and not each.is_drawn and 0 < each.drawing < MAX_COPIES

    def _leaves_others(self, segment: Segment) -> bool:
        """One that drew `segment` stops; whether it is drawn, or others still draw it."""
        each = self._open.get(segment.index)
        if each is None:
            left = self._superseded.pop(segment.index) - 1
            if left:
                self._superseded[segment.index] = left
            return True
        each.drawing -= 1
        return each.is_drawn or each.drawing > 0

    def _fits(self, segment: Segment) -> bool:
        wanted_bytes = self.in_flight_bytes + len(segment) * self._frame_bytes
        return not self._open or wanted_bytes <= self._limit_bytes

    def _peek(self) -> Segment | None:
        if self._peeked is None and not self._exhausted:
            self._peeked = next(self._plan, None)
            self._exhausted = self._peeked is None
        return self._peeked
