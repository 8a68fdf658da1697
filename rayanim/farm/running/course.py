"""What one pass over a film's frames on Ray is given to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rayanim.farm.planning.dispatch import Drawn
from rayanim.farm.planning.plan import Segment
from rayanim.farm.rendering.collectors import RawPayload
from rayanim.farm.writing.writers import Writing


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be drawn on Ray, and how it goes into the film.

    Attributes
    ----------
    plan
        The segments, in order.
    writing
        How the film is written.
    segment_frames
        Frames of the longest segment.
    done_frames
        Frames of the film that are drawn already, and not in `plan`.
    frame_bytes
        Bytes of a frame as it travels; 0 where segments travel encoded.
    frame_s
        What a frame took lately in this process, drawn and converted.
    first_index
        Index of the first segment, where they are written in order.
    head
        Raw segments drawn before, in front of the plan's first.
    begun
        Raw first frames of the plan's first segment.
    settle
        Sees to what this process still encodes; whether that is all done.
    found
        Segments of which parts came to be there since the last call, other
        than by the encoder actor.
    """

    plan: Iterator[Segment]
    writing: Writing
    segment_frames: int
    done_frames: int
    frame_bytes: int
    frame_s: float = 0.0
    first_index: int = 0
    head: Iterable[Drawn[RawPayload]] = ()
    begun: RawPayload | None = None
    settle: Callable[[], bool] = lambda: True
    found: Callable[[], Iterable[int]] = lambda: ()
