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

At 1920x1080 a yuv420p frame has 3.1 MB: the default window of 256 MiB holds
86 of them, which for two actors is five segments of eight frames each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from rayanim.errors import SegmentLostError
from rayanim.farm.ordering import Ordering
from rayanim.farm.plan import Segment

Payload = TypeVar("Payload")

MAX_ATTEMPTS = 3
"""A segment that ends its actor's process this often ends the job."""


@dataclass(frozen=True, slots=True)
class Drawn(Generic[Payload]):
    """A segment with what its actor handed back."""

    segment: Segment
    payload: Payload


class Dispatcher(Generic[Payload]):
    """The state of every segment between the plan and the encoder.

    Parameters
    ----------
    plan
        The segments, in order; pulled only when there is room.
    frame_bytes
        Bytes of one frame in a payload.
    limit_bytes
        Bytes of frames that may be open.
    first, first_frame
        Index of the plan's first segment, and the position of its first frame.

    Attributes
    ----------
    drawn_frames
        Frames drawn so far.
    drawing_frames, drawing_segments
        Frames and segments in the actors' hands.
    """

    def __init__(
        self,
        plan: Iterator[Segment],
        *,
        frame_bytes: int,
        limit_bytes: int,
        first: int = 0,
        first_frame: int = 0,
    ) -> None:
        self.first_frame = first_frame
        self._plan = plan
        self._frame_bytes = frame_bytes
        self._limit_bytes = limit_bytes
        self._peeked: Segment | None = None
        self._exhausted = False
        self._again: deque[Segment] = deque()
        self._open: dict[int, Segment] = {}
        self._attempts: dict[int, int] = {}
        self._ordering: Ordering[Drawn[Payload]] = Ordering(first)
        self.drawing_frames = 0
        self._open_frames = 0
        self.drawn_frames = 0
        self.drawing_segments = 0

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of frames handed out and not yet acknowledged."""
        return self._open_frames * self._frame_bytes

    @property
    def queued_frames(self) -> int:
        """Frames drawn but not yet encoded: in order or waiting for their turn."""
        return self._open_frames - self.drawing_frames

    @property
    def early_segments(self) -> int:
        """Segments drawn that wait for one before them."""
        return len(self._ordering)

    @property
    def finished(self) -> bool:
        """Whether every segment of the plan was acknowledged."""
        return not self._open and self._peek() is None

    @property
    def all_handed_out(self) -> bool:
        """Whether no segment is left to hand out, lost ones included."""
        return not self._again and self._peek() is None

    def take(self) -> Segment | None:
        """The next segment to draw, or None while there is none or no room."""
        if self._again:
            return self._hand_out(self._again.popleft())
        segment_or_none = self._peek()
        if segment_or_none is None or not self._fits(segment_or_none):
            return None
        segment, self._peeked = segment_or_none, None
        self._open[segment.index] = segment
        self._open_frames += len(segment)
        return self._hand_out(segment)

    def give_back(self, segment: Segment) -> None:
        """Take back a segment that was handed out and not begun."""
        self._came_back(segment)
        self._again.append(segment)
        self._again = deque(sorted(self._again, key=lambda each: each.index))

    def lost(self, segment: Segment, why: str) -> None:
        """Take back a segment whose actor died while drawing it.

        Raises
        ------
        SegmentLostError
            If that has now happened `MAX_ATTEMPTS` times to this segment.
        """
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

    def drawn(self, segment: Segment, payload: Payload) -> list[Drawn[Payload]]:
        """Take a drawn segment; what may now go to the encoder, in order."""
        self._came_back(segment)
        self.drawn_frames += len(segment)
        self._attempts.pop(segment.index, None)
        return self._ordering.put(segment.index, Drawn(segment, payload))

    def encoded(self, segment: Segment) -> None:
        """The encoder has acknowledged `segment`: its bytes are free."""
        del self._open[segment.index]
        self._open_frames -= len(segment)

    def _hand_out(self, segment: Segment) -> Segment:
        self.drawing_frames += len(segment)
        self.drawing_segments += 1
        return segment

    def _came_back(self, segment: Segment) -> None:
        self.drawing_frames -= len(segment)
        self.drawing_segments -= 1

    def _fits(self, segment: Segment) -> bool:
        wanted_bytes = (self._open_frames + len(segment)) * self._frame_bytes
        return not self._open or wanted_bytes <= self._limit_bytes

    def _peek(self) -> Segment | None:
        if self._peeked is None and not self._exhausted:
            self._peeked = next(self._plan, None)
            self._exhausted = self._peeked is None
        return self._peeked
