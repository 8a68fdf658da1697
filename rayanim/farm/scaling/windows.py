"""Sums over the last seconds, from which rates are read; PURE."""

from __future__ import annotations

from collections import deque


class SlidingSums:
    """Frames and seconds of a stage, summed over a sliding window.

    Parameters
    ----------
    window_s
        Length of the window in seconds.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._entries: deque[tuple[float, int, float, float]] = deque()

    def add(self, now_s: float, frames: int, busy_s: float, idle_s: float = 0.0) -> None:
        """Note that `frames` took `busy_s`, after `idle_s` with nothing to do."""
        self._entries.append((now_s, frames, busy_s, idle_s))
        # The last entry stays however old it is: an old rate beats none.
        while len(self._entries) > 1 and self._entries[0][0] < now_s - self._window_s:
            self._entries.popleft()

    @property
    def fps(self) -> float | None:
        """Frames per busy second, None before the first entry."""
        frames = sum(entry[1] for entry in self._entries)
        busy_s = sum(entry[2] for entry in self._entries)
        return frames / busy_s if frames and busy_s > 0 else None

    def idle_fraction(self, now_s: float) -> float:
        """Share of the time in which there was nothing to do, 0 to 1.

        The time since the last entry counts as idle: the next entry will say
        so too.
        """
        if not self._entries:
            return 1.0
        busy_s = sum(entry[2] for entry in self._entries)
        idle_s = sum(entry[3] for entry in self._entries)
        idle_s += max(0.0, now_s - self._entries[-1][0])
        whole_s = busy_s + idle_s
        return idle_s / whole_s if whole_s > 0 else 1.0
