"""One thing that a figure draws in one go: kept on tape, watched, drawn again when it changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis

from rayanim.drawing.boxes import Box, inside, overlap, union, widened
from rayanim.drawing.record import Record
from rayanim.drawing.tape import Tape, TapingRenderer
from rayanim.drawing.watch import Ground, Watch

Paint = Callable[[Any], None]

RESTLESS = 2
"""A unit that changed in this many frames running is drawn without being asked."""

CALM = 4
"""Frames without a change after which it is looked at together with others."""

LONGEST_REST = 32
"""Frames for which it is at most drawn so before it is asked again."""


class Unit:
    """An artist, or several that only make sense together.

    Attributes
    ----------
    artist
        What is drawn; names the unit in messages.
    dirty
        Whether it must be drawn in this frame.
    tape
        What it asked of the renderer when last drawn, or None.
    reach
        All pixels that it has touched, and those that it is given to move in.
    cost_s
        Seconds that drawing it took when last measured.
    reason
        Why it is drawn in every frame, where it cannot be watched.
    """

    __slots__ = (
        "_asked_again", "_ground", "_paint", "_power", "_rest", "_roots", "_shares",
        "_streak", "_touched", "_watch",
        "artist", "cost_s", "dirty", "dirty_at", "reach", "reason", "tape",
    )  # fmt: skip

    def __init__(
        self, artist: Any, paint: Paint, roots: Callable[[], Iterable[Any]], ground: Ground
    ) -> None:
        self.artist = artist
        self.dirty = True
        self.dirty_at = 0
        self.tape: Tape | None = None
        self.reach: Box | None = None
        self._touched: Box | None = None
        self.cost_s = 0.0
        self.reason: str | None = None
        self._shares = isinstance(artist, Axis | Axes)
        self._paint = paint
        self._roots = roots
        self._ground = ground
        self._watch: Watch | None = None
        self._streak = 0
        self._power = 0
        self._rest = 0
        self._asked_again = False

    @property
    def replayable(self) -> bool:
        """Whether the tape has all that is needed to draw the unit without its artist."""
        return self.tape is not None and self.tape.calls is not None

    def check(self, frame_idx: int, *, forced: bool) -> bool:
        """Find out whether the unit changed since it was last watched."""
        self.dirty = forced or self._watch is None or self._watch.changed()
        if self.dirty:
            self.dirty_at = frame_idx
        else:
            self.rest_assured()
        return self.dirty

    def rest_assured(self) -> None:
        """It is known not to have changed."""
        self.dirty = False
        self._streak = self._power = 0

    def record_if_calm(self, frame_idx: int) -> Record | None:
        """What it is compared with, if it is at all and has not changed for a while."""
        if self._watch is None or frame_idx - self.dirty_at < CALM:
            return None
        return self._watch.record

    def touch(self, frame_idx: int) -> None:
        """Have it drawn in this frame, whatever its own state."""
        self.dirty = True
        self.dirty_at = frame_idx

    def draw(self, renderer: TapingRenderer) -> None:
        """Draw it anew. A unit that changes all the time is not kept for replay."""
        if self._rest:
            self.tape = renderer.tape(self._paint, keep_calls=False)
        else:
            start_s = time.perf_counter()
            self.tape = renderer.tape(self._paint, keep_calls=True)
            self.cost_s = time.perf_counter() - start_s
            # At once, for what is drawn after it may change it for the next frame; but axis
            # objects that share ticks change each other in every frame, to the same ticks.
            if not self._shares:
                self._start_watch()

    def drawn_beyond_reach(self) -> bool:
        """Whether the last drawing touched pixels where the unit never was; they are added."""
        box = self.tape.box if self.tape else None
        self._touched = union(self._touched, box)
        if inside(box, self.reach):
            return False
        self.reach = union(self.reach, box)
        return True

    def give_room(self, by_px: int) -> None:
        """Let it reach so far beyond what it has touched, where it is not clipped to less."""
        limit = self.tape.limit if self.tape else None
        room = overlap(widened(self._touched, by_px), limit)
        self.reach = union(self._touched, room)

    def settle(self) -> None:
        """After a frame in which it was drawn: go on watching it, or let it rest."""
        if self._rest:
            self._watch = None
            self._rest -= 1
            self._asked_again = not self._rest
        elif self._streak >= RESTLESS and not self._asked_again:
            self._watch = None
            self._rest = min(2**self._power, LONGEST_REST)
            self._power += 1
        else:
            self._streak += 1
            self._asked_again = False
            if self._shares:
                self._start_watch()

    def watch_again(self, *, anew: bool) -> None:
        """After the artist was drawn elsewhere, to the same pixels: what it holds now is right."""
        if self._watch is not None and (anew or self._watch.changed()):
            self._start_watch()

    def _start_watch(self) -> None:
        self._watch = None
        if not self.replayable:
            self.reason = "it reads pixels back"
        else:
            watch = Watch(self._roots(), self._ground)
            self.reason = watch.reason
            self._watch = None if watch.reason else watch
        if self.reason:
            self._rest = LONGEST_REST
