"""Says after how long without a word from anybody a run on Ray has failed; PURE."""

from __future__ import annotations

SHORTEST_S = 900.0
"""Whatever is drawn: a machine may be that busy with other things."""

SLOW_FRAME_S = 14.0
"""What any frame may take. Only whole segments are heard of, and a film that was light
so far may come to a heavy scene."""

FACTOR = 20.0
"""How many times longer than it took so far a frame, or opening the source, may take."""


def limit_s(segment_frames: int, frame_s: float, open_s: float) -> float:
    """Seconds of silence after which the job ends.

    Parameters
    ----------
    segment_frames
        Frames of the longest segment: the least that is heard of.
    frame_s
        What a frame takes, as far as is known, encoding included; else 0.
    open_s
        What opening the source takes.
    """
    segment_s = segment_frames * max(SLOW_FRAME_S, FACTOR * frame_s)
    return max(SHORTEST_S, segment_s, FACTOR * open_s)
