"""Finds drawing code whose frames depend on the frames that were drawn before them.

An actor draws some segments of a film and not those between them. Where
`update` appends to a list, a frame then shows less than in a serial run. So
some frames are drawn again, in an order in which no film shows them, and
compared with what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rayanim.farm.collectors import Frame
from rayanim.farm.plan import Segment
from rayanim.farm.render import SegmentRenderer, frames_of
from rayanim.video.spec import StreamSpec

FRAMES_CHECKED = 3
"""First frames of a segment that are drawn again, the last of them first.

One alone may show what was just set: a plot that is replaced every third frame
looks the same in the frame that replaces it, whatever came before.
"""

DRAWN_PER_CHECKED = 100
"""A frame in so many is drawn again: a hundredth of the time."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """A frame that depends on the frames drawn before it, with what to tell of it."""

    frame: int
    text: str


class HistoryCheck:
    """Decides when to look, and looks.

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
        self._drawn = 0
        self._checked = 0

    @property
    def is_due(self) -> bool:
        """Whether the next segment is to be checked."""
        return self._checked * DRAWN_PER_CHECKED <= self._drawn

    def count(self, frames: int) -> None:
        """So many frames were drawn."""
        self._drawn += frames

    def compare(self, segment: Segment, kept: Sequence[Frame]) -> Dependence | None:
        """Draw the first frames of `segment` again, after its last.

        Parameters
        ----------
        segment
            What was just drawn.
        kept
            Its first frames, converted.

        Returns
        -------
        Dependence or None
            The first frame found that differs; None if none does.
        """
        again = np.empty(self._spec.frame_bytes, np.uint8)
        drawn_once = list(zip(frames_of(segment.batch), kept, strict=False))
        self._checked += len(drawn_once)
        for (number, params), first in reversed(drawn_once):
            self._renderer.draw_again(number, params, again)
            if not np.array_equal(first, again):
                return Dependence(number, self._told(number, _box(first, again, self._spec)))
        return None

    def _told(self, number: int, box: str) -> str:
        return (
            f"Frame {number} of {self._name} depends on the frames drawn before it: drawn again "
            f"after others it has other pixels{box}. Spread over actors, the film is not what "
            "drawing all frames in order gives. With sequential=True (--sequential, or "
            "`sequential = True` on an Animator) each actor runs the updates that it skips, "
            "and the film is exact."
        )


def _box(first: Frame, again: Frame, spec: StreamSpec) -> str:
    """Where two frames differ in their first plane, in words; empty where they do not."""
    width_px, height_px = spec.size
    plane = slice(0, width_px * height_px)
    differs = (first[plane] != again[plane]).reshape(height_px, width_px)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return ""
    return f", in columns {columns[0]} to {columns[-1]} and rows {rows[0]} to {rows[-1]}"
