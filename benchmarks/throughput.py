"""Measures frames per second at full speed: when all actors draw, and before the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import run_rayanim

import rayanim

SETTLE_S = 2.0
"""Seconds after the last actor came that are left out."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Frames at full speed, and the seconds that they took."""

    frames: int
    seconds: float

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Stopwatch:
    """Progress that measures from when all actors draw, and says when it is enough.

    Parameters
    ----------
    actors
        How many there will be; 0 in process.
    seconds
        How long to measure.
    """

    def __init__(self, actors: int, seconds: float) -> None:
        self._actors = actors
        self._seconds = seconds
        self._full_s: float | None = None
        self._marks: list[tuple[float, int]] = []

    @property
    def is_enough(self) -> bool:
        """Whether it has been measured for so long."""
        return bool(self._marks) and self._marks[-1][0] - self._marks[0][0] > self._seconds

    def steady(self) -> Steady:
        """What was measured."""
        if len(self._marks) < 2:
            return Steady(0, 0.0)
        (first_s, first), (last_s, last) = self._marks[0], self._marks[-1]
        return Steady(last - first, last_s - first_s)

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Nothing yet."""

    def update(self, state: Any) -> None:
        """Note when frames were finished."""
        now_s = time.perf_counter()
        if self._full_s is None and state.actors_alive >= self._actors and state.done:
            self._full_s = now_s
        if self._full_s is None or now_s - self._full_s < SETTLE_S or self.is_enough:
            return
        if not self._marks or state.done != self._marks[-1][1]:
            self._marks.append((now_s, state.done))

    def message(self, text: str) -> None:
        """Shown, for it may explain a figure."""
        print(f"    {text}")

    def finish(self, state: Any) -> None:
        """Nothing more."""

    def fail(self) -> None:
        """Nothing more."""

    def parameters(self) -> Iterator[float]:
        """Parameters of frames, until it has been measured for long enough."""
        number = 0
        while not self.is_enough:
            yield number / 500 % 1
            number += 1


def in_process(case: str, folder: Path, seconds: float) -> Steady:
    """One worker in this process, and the threads that encode beside it."""
    return _measured(case, folder, Stopwatch(0, seconds), engine="local", workers=1)


def in_process_on_one_core(case: str, folder: Path, seconds: float) -> Steady:
    """One worker in this process, which has one core as a render actor has."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        return in_process(case, folder, seconds)
    finally:
        os.sched_setaffinity(0, allowed)


def on_ray(case: str, actors: int, folder: Path, seconds: float) -> Steady:
    """So many render actors on a Ray of their own."""
    # Memory is not what this measures: small frames are drawn.
    os.environ.setdefault("RAY_memory_usage_threshold", "0.98")
    settings = rayanim.PerformanceSettings(
        num_workers=actors, min_workers=actors, max_workers=actors
    )
    stopwatch = Stopwatch(actors, seconds)
    return _measured(case, folder, stopwatch, engine="ray", workers=actors, settings=settings)


def _measured(case: str, folder: Path, stopwatch: Stopwatch, **options: Any) -> Steady:
    animator = {"sleep": run_rayanim.Sleep, "wave": run_rayanim.Wave}[case]()
    animator.make_video(
        folder / f"{case}.mp4",
        stopwatch.parameters(),
        run_rayanim.drawings.FPS,
        progress=stopwatch,
        cache=False,
        segment_frames=10 if case == "sleep" else None,
        **options,
    )
    return stopwatch.steady()
