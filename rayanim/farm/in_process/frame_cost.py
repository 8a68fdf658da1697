"""What a frame costs in this process, once the first ones are past; PURE."""

from __future__ import annotations

from collections import deque
from statistics import median

LATELY = 5
"""Pieces of film whose cost is looked at: the middle one is taken, guards and pauses are not."""

SAMPLE_S = 0.5
"""Seconds of drawing that tell what a frame costs."""

SAMPLE_FRAMES = 9
"""Frames that are drawn for it at least.

The first one fills matplotlib's caches, and up to the fifth a figure that is
drawn in parts is drawn whole, to learn its parts and to compare: they take ten
times what the others do.
"""

SAMPLE_LIMIT_S = 3.0
"""Seconds after which fewer frames must do: of slow drawing, which Ray will repay."""


class FrameCost:
    """Seconds per frame, measured as frames are drawn.

    Parameters
    ----------
    told_s
        What an earlier run found; it holds until enough is measured.
    """

    def __init__(self, told_s: float | None = None) -> None:
        self._told_s = told_s
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._first: list[float] = []
        self._frames = 0
        self._spent_s = 0.0

    def add(self, frames: int, busy_s: float) -> None:
        """So many frames took `busy_s`."""
        if frames <= 0:
            return
        if self._frames < SAMPLE_FRAMES:
            self._first += [busy_s / frames] * frames
        self._lately.append(busy_s / frames)
        self._frames += frames
        self._spent_s += busy_s

    @property
    def is_known(self) -> bool:
        """Whether enough was drawn to tell, or it was told."""
        return self._told_s is not None or self._is_measured

    @property
    def _is_measured(self) -> bool:
        if self._spent_s >= SAMPLE_LIMIT_S:
            return self._frames > 1
        return self._frames >= SAMPLE_FRAMES and self._spent_s >= SAMPLE_S

    @property
    def frames(self) -> int:
        """Frames measured."""
        return self._frames

    @property
    def usual_s(self) -> float:
        """Seconds that a frame takes lately; 0 before the first where nothing was told."""
        if self._told_s is not None and self._frames < SAMPLE_FRAMES and not self._is_measured:
            return self._told_s
        return self._lately_s

    @property
    def warm_up_s(self) -> float:
        """What the first frames took more than usual: whoever else draws pays it too."""
        return sum(max(0.0, cost_s - self._lately_s) for cost_s in self._first)

    @property
    def _lately_s(self) -> float:
        return median(self._lately) if self._lately else 0.0
