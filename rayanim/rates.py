"""The smoothed rate of a count that grows, and the time it still needs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

SAMPLES_PER_WINDOW = 100
"""Samples that a window holds at most, so that a meter's memory has a bound."""


class RateMeter:
    """Counts per second over the last seconds.

    What was done before `start` (by a run that this one resumes) is no part of
    the rate. Things that arrive in bursts have a steady rate between them; it
    falls once nothing has come for longer than usual.

    Parameters
    ----------
    window_s
        Seconds over which the rate is averaged. Arrivals further apart than
        this are averaged over the last two.
    clock
        Gives seconds that never go back.
    """

    def __init__(
        self, window_s: float = 5.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window_s = window_s
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self.start()

    def start(self, done: int = 0) -> None:
        """Forget all and count from `done`, now."""
        self._samples.clear()
        self._samples.append((self._clock(), done))

    def update(self, done: int) -> None:
        """Note that `done` are done by now, those before `start` included."""
        if done == self._samples[-1][1]:
            return
        now_s = self._clock()
        # Samples closer together than the grid share one: the newest counts.
        grid_s = self._window_s / SAMPLES_PER_WINDOW
        if len(self._samples) > 1 and now_s - self._samples[-2][0] < grid_s:
            self._samples.pop()
        self._samples.append((now_s, done))
        # The left edge is the newest sample before the window, so that a
        # window that holds a single arrival still knows what it took.
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - self._window_s:
            self._samples.popleft()

    def rate_per_s(self) -> float | None:
        """The rate over the window; None until something has arrived."""
        first_s, first_done = self._samples[0]
        last_s, last_done = self._samples[-1]
        if last_done <= first_done or last_s <= first_s:
            return None
        usual_gap_s = (last_s - first_s) / (len(self._samples) - 1)
        overdue_s = max(0.0, self._clock() - last_s - usual_gap_s)
        return (last_done - first_done) / (last_s - first_s + overdue_s)

    def eta_s(self, total: int | None) -> float | None:
        """Seconds until `total` are done; None while that cannot be said."""
        rate_per_s = self.rate_per_s()
        if total is None or rate_per_s is None:
            return None
        return max(0, total - self._samples[-1][1]) / rate_per_s
