"""When each frame is shown, where frames do not all last the same.

PURE. Every frame is drawn and encoded once, whatever it lasts: only what writes the
file gives it its time. With `Timing.ping_pong` all frames are encoded once more, in reverse.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

TICK = Fraction(1, 90_000)
"""The unit of such times, MPEG's: whole milliseconds and the frames of all usual rates fit in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What lasts longer than other frames; all times in seconds.

    `frame_s` is how long a frame lasts, `durations_s` how long each does, in its place.
    `pauses_s` adds to frames by their position in the video, `first_s` and `last_s` to
    the first and the last one.
    """

    frame_s: Fraction
    durations_s: tuple[Fraction, ...] = ()
    pauses_s: tuple[tuple[int, Fraction], ...] = ()
    first_s: Fraction = Fraction(0)
    last_s: Fraction = Fraction(0)
    ping_pong: bool = False


class Clock:
    """The times of a video's frames, in ticks; without a `Timing` a frame is a tick.

    Frames are counted from 0; with `turn` the count goes on as all frames come again in reverse.
    """

    def __init__(self, rate: Fraction, timing: Timing | None) -> None:
        self.is_even = timing is None
        """Whether all frames last the same."""
        self.tick = 1 / rate if timing is None else TICK
        self._timing = timing
        self._turned_at: int | None = None
        if timing is not None:
            self._ends_s = list(accumulate(timing.durations_s, initial=Fraction(0)))
            self._paused = [position for position, _ in timing.pauses_s]
            pauses_s = (pause_s for _, pause_s in timing.pauses_s)
            self._pauses_s = list(accumulate(pauses_s, initial=Fraction(0)))

    def turn(self, n_frames: int) -> None:
        """All `n_frames` were counted: what follows are the same in reverse."""
        self._turned_at = n_frames

    def at(self, position: int) -> int:
        """When the frame is shown; before the first, one usual frame earlier for each."""
        timing = self._timing
        if timing is None:
            return position
        if position <= 0:
            return round(position * timing.frame_s / self.tick)
        turned_at = self._turned_at
        if turned_at is None or position <= turned_at - 1:
            return round((self._forward_s(position) + timing.first_s) / self.tick)
        there_s = self._forward_s(turned_at) + timing.first_s + timing.last_s
        back_s = self._forward_s(turned_at) - self._forward_s(2 * turned_at - position)
        return round((there_s + back_s) / self.tick)

    def end(self, n_frames: int) -> int:
        """When the last of so many frames ends."""
        if self._timing is None or self._turned_at is not None:
            return self.at(n_frames)
        return round(
            (self._forward_s(n_frames) + self._timing.first_s + self._timing.last_s) / self.tick
        )

    def length_s(self, n_frames: int) -> Fraction:
        """Seconds that a video made from so many frames plays; before `turn` alone."""
        if self._timing is None or not self._timing.ping_pong:
            return self.end(n_frames) * self.tick
        both_ways = Clock(1 / self.tick, self._timing)
        both_ways.turn(n_frames)
        return both_ways.end(2 * n_frames) * self.tick

    def _forward_s(self, position: int) -> Fraction:
        """Seconds of the frames before `position`, but for the additions to the ends."""
        timing = self._timing
        assert timing is not None  # noqa: S101 - `at` and `end` have asked
        if timing.durations_s:
            known = self._ends_s[min(position, len(timing.durations_s))]
            begin_s = known + max(0, position - len(timing.durations_s)) * timing.frame_s
        else:
            begin_s = position * timing.frame_s
        return begin_s + self._pauses_s[bisect_left(self._paused, position)]


def how_shown(timing: Timing | None) -> str:
    """In what way frames are shown other than one after the other, for people."""
    if timing is None:
        return ""
    held = timing.pauses_s or timing.first_s or timing.last_s
    how = {
        "each for its own time": timing.durations_s,
        "some held": held,
        "shown forward and back": timing.ping_pong,
    }
    return ", ".join(text for text, is_so in how.items() if is_so)


def length_s(n_frames: int, rate: Fraction, timing: Timing | None) -> float | None:
    """Seconds that a video made from so many frames plays; None where all last ``1 / rate``."""
    return None if timing is None else float(Clock(rate, timing).length_s(n_frames))
