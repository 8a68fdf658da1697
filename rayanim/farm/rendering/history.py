"""Finds drawing code whose frames depend on the frames that were drawn before them.

An actor draws some segments of a film and not those between them. Where
`update` appends to a list, a frame then shows less than in a serial run. So
some frames are drawn again, in an order in which no film shows them, and
compared with what they were.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rayanim.farm.planning.plan import Segment
from rayanim.farm.rendering.collectors import Frame
from rayanim.farm.rendering.render import SegmentRenderer, frames_of
from rayanim.video.spec import StreamSpec

FRAMES_CHECKED = 3
"""First frames of a segment that are drawn again, the last of them first.

One alone may show what was just set: a plot that is replaced every third frame
looks the same in the frame that replaces it, whatever came before.
"""

DRAWN_PER_CHECKED = 100
"""A frame in so many is drawn again: a hundredth of the time of a long job."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """A frame that depends on the frames drawn before it, with what to tell of it."""

    frame: int
    text: str


@dataclass(frozen=True, slots=True)
class DrawnFrame:
    """A frame as it was drawn.

    Attributes
    ----------
    number, params
        The frame's number and parameters.
    packed
        Its converted pixels.
    """

    number: int
    params: Any
    packed: Frame


class HistoryBudget:
    """Says when to look, for all who draw together."""

    def __init__(self) -> None:
        self._checked = 0

    def is_due(self, drawn_frames: int) -> bool:
        """Whether the next segment is to be checked, after so many frames; counts it if so."""
        if self._checked * DRAWN_PER_CHECKED > drawn_frames:
            return False
        self._checked += FRAMES_CHECKED
        return True


class HistoryCheck:
    """Looks at segments of one open source.

    Parameters
    ----------
    renderer
        What draws.
    spec
        How frames are packed.
    name
        What the user calls the source.
    """

    def __init__(self, renderer: SegmentRenderer, spec: StreamSpec, name: str) -> None:
        self._renderer = renderer
        self._spec = spec
        self._name = name
        self._drawn: deque[DrawnFrame] = deque(maxlen=FRAMES_CHECKED)

    def remember(self, segment: Segment, kept: Sequence[Frame]) -> None:
        """A segment was drawn, of which these are the first frames, converted.

        They take the place of those of segments before, as far as there are
        enough of them: a segment of one frame has no history of its own.
        """
        for (number, params), packed in zip(frames_of(segment.batch), kept, strict=False):
            self._drawn.append(DrawnFrame(number, params, packed))

    def compare(self) -> Dependence | None:
        """Draw what is remembered again, the last first.

        Returns
        -------
        Dependence or None
            The first frame found that differs; None if none does.
        """
        again = np.empty(self._spec.frame_bytes, np.uint8)
        for drawn in reversed(self._drawn):
            self._renderer.draw_again(drawn.number, drawn.params, again)
            if not np.array_equal(drawn.packed, again):
                box = _box(drawn.packed, again, self._spec)
                return Dependence(drawn.number, self._told(drawn.number, box))
        return None

    def _told(self, number: int, box: str) -> str:
        return (
            f"Frame {number} of {self._name} depends on the frames drawn before it: drawn again "
            f"after others it has other pixels{box}. Spread over actors, the film is not what "
            "drawing all frames in order gives. With sequential=True (--sequential, or "
            "`sequential = True` on an Animator) each actor runs the updates that it skips, "
            "and the film is exact. If it shows the time of day, or random numbers of a "
            "generator without a seed, only drawing from the frame's number or parameters helps."
        )


def _box(first: Frame, again: Frame, spec: StreamSpec) -> str:
    """Where two frames differ in their first plane, in words; empty where they do not."""
    width_px, height_px = spec.size
    sample_bytes = spec.layout.sample_bytes
    plane = slice(0, width_px * height_px * sample_bytes)
    samples = (first[plane] != again[plane]).reshape(height_px, width_px, sample_bytes)
    differs = samples.any(2)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return ""
    return f", in columns {columns[0]} to {columns[-1]} and rows {rows[0]} to {rows[-1]}"
