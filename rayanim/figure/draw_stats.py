"""Counts how the frames of a video are drawn, incrementally or in full, and times it.

A figure may be drawn anywhere in the user's code: by an animator, by the renderer
of an act, by a function. Each draw looks for the `DrawMonitor` that is open in its
thread; without one nothing is counted.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.figure.private import replaced

if TYPE_CHECKING:
    from rayanim.figure.figure import AnyPixels
    from rayanim.figure.hints import ArtistGrowth

FIRST_FRAME = "the first frame"
"""Why a figure is drawn in full when it is drawn for the first time."""

WARM_UP = 2
"""The first frames are not timed: they import, and fill caches."""

ENGINES = {"ConstrainedLayoutEngine": "constrained", "TightLayoutEngine": "tight"}
"""Layout engines that are timed, with the names that users give them by."""

TIGHT_LAYOUT = "tight_layout()"
"""Stands for layouts that this call runs, in the place of an engine's name."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something to report to the user, once in a job for each `key`."""

    key: str
    text: str


@dataclass(slots=True)
class DrawStats:
    """How the frames that show figures were drawn, and where their time went.

    `in_full` has the frames drawn in full by reason; `layout_frames` and `layout_s` have
    the timed frames in which a layout ran, and its seconds, by the engine's name; of these
    seconds the script's own code spent `own_layout_s`. `compared` are the frames that were
    compared with a full draw.
    """

    incremental: int = 0
    in_full: dict[str, int] = field(default_factory=dict)
    timed_frames: int = 0
    timed_s: float = 0.0
    drawing_s: float = 0.0
    layout_frames: dict[str, int] = field(default_factory=dict)
    layout_s: dict[str, float] = field(default_factory=dict)
    own_layout_s: float = 0.0
    compared: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def frames(self) -> int:
        """Frames drawn incrementally or in full."""
        return self.incremental + sum(self.in_full.values())

    def __add__(self, other: DrawStats) -> DrawStats:
        """The sums, without the notes: each is reported with the segment that it came with."""
        return DrawStats(
            self.incremental + other.incremental,
            _summed(self.in_full, other.in_full),
            self.timed_frames + other.timed_frames,
            self.timed_s + other.timed_s,
            self.drawing_s + other.drawing_s,
            _summed(self.layout_frames, other.layout_frames),
            _summed(self.layout_s, other.layout_s),
            self.own_layout_s + other.own_layout_s,
            self.compared + other.compared,
        )


def _summed(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


@dataclass(slots=True)
class FrameDraws:
    """What is drawn in one frame, and how long it takes.

    The script's own code spends `own_layout_s` of `layouts_s`, the drawing the rest.
    """

    number: int
    compared: bool = False
    is_drawn: bool = False
    comparisons: int = 0
    why_full: str | None = None
    drawing_s: float = 0.0
    layouts_s: dict[str, float] = field(default_factory=dict)
    own_layout_s: float = 0.0
    uncounted_s: float = 0.0
    seconds: float = 0.0


class DrawMonitor:
    """Counts and times how the figures of one source are drawn in this process.

    Comparing frames with full draws may take a `comparing_share` of the time; where it
    is 0 none is compared.
    """

    def __init__(self, comparing_share: float = 0.05) -> None:
        self._comparing_share = comparing_share
        self.difference: str | None = None
        self.in_full = False
        self.lays_out = False
        self._stats = DrawStats()
        self._notes: list[Note] = []
        self._frame = FrameDraws(-1)
        self._frames = 0
        self._is_drawing = False
        self._growing: set[ArtistGrowth] = set()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Count what this thread draws inside; what was counted before is forgotten."""
        self._stats, self._frame = DrawStats(), FrameDraws(-1)
        token = _open.set(self)
        try:
            with _layouts_timed():
                yield
        finally:
            _open.reset(token)

    @contextlib.contextmanager
    def frame(self, number: int, *, compared: bool = False) -> Iterator[FrameDraws]:
        """What is drawn inside belongs to frame `number`."""
        frame = self._frame = FrameDraws(number, compared)
        began_s = time.perf_counter()
        growing = [sys.modules["matplotlib.artist"].Artist] if self._growing else []
        with replaced(*((artist, "__init__", _noting) for artist in growing)):
            yield frame
        frame.seconds = time.perf_counter() - began_s - frame.uncounted_s
        if frame.is_drawn:
            self._count(frame, frame.seconds)

    def draw(self, pixels: AnyPixels) -> npt.NDArray[np.uint8]:
        """Draw, and count how it was done."""
        self._check_growth(pixels)
        if self.in_full:
            pixels.draw_in_full_from_now()
        frame = self._frame
        frame.is_drawn = self._is_drawing = True
        began_s, before = time.perf_counter(), pixels.comparisons
        pixels.compare_within(self._comparing_share)
        try:
            return pixels.draw_now(compare=frame.compared)
        finally:
            self._is_drawing = False
            frame.drawing_s += time.perf_counter() - began_s
            frame.comparisons += pixels.comparisons - before
            frame.why_full = frame.why_full or pixels.why_full
            if self.difference is None and pixels.difference is not None:
                self.difference = f"Frame {frame.number}: {pixels.difference}"
                self.in_full = True
                self._notes.append(Note("difference", self.difference))

    def laid_out(self, name: str, seconds: float) -> None:
        """A layout ran: in the drawing, or in the script's own code."""
        self.lays_out = True
        layouts_s = self._frame.layouts_s
        layouts_s[name] = layouts_s.get(name, 0.0) + seconds
        if not self._is_drawing:
            self._frame.own_layout_s += seconds

    def made(self, artist: Any, frame: FrameType | None) -> None:
        """The code at `frame` has made an artist."""
        for growth in self._growing:
            growth.note_new(artist, frame)

    def take(self) -> DrawStats:
        """What was counted since the monitor was opened, and all notes not yet taken."""
        stats, self._stats = self._stats, DrawStats()
        stats.notes, self._notes = tuple(self._notes), []
        return stats

    def _count(self, frame: FrameDraws, seconds: float) -> None:
        stats = self._stats
        if frame.why_full is None:
            stats.incremental += 1
        else:
            stats.in_full[frame.why_full] = stats.in_full.get(frame.why_full, 0) + 1
        stats.compared += frame.comparisons > 0
        self._frames += 1
        if self._frames <= WARM_UP:
            return
        stats.timed_frames += 1
        stats.timed_s += seconds
        stats.drawing_s += frame.drawing_s
        for name, layout_s in frame.layouts_s.items():
            stats.layout_frames[name] = stats.layout_frames.get(name, 0) + 1
            stats.layout_s[name] = stats.layout_s.get(name, 0.0) + layout_s
        stats.own_layout_s += frame.own_layout_s

    def _check_growth(self, pixels: AnyPixels) -> None:
        growth = pixels.growth
        text = growth.check(pixels.figure)
        if text is not None:
            self._notes.append(Note("pile-up", text))
        if growth.is_noting:
            self._growing.add(growth)
        else:
            self._growing.discard(growth)


_open: ContextVar[DrawMonitor | None] = ContextVar("rayanim_draw_monitor", default=None)


def open_monitor() -> DrawMonitor | None:
    """The monitor that is open in this thread."""
    return _open.get()


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """What is done inside is no part of the frame: neither what is drawn nor its time."""
    monitor = open_monitor()
    if monitor is None:
        yield
        return
    token, began_s = _open.set(None), time.perf_counter()
    try:
        yield
    finally:
        _open.reset(token)
        monitor._frame.uncounted_s += time.perf_counter() - began_s


def _layouts_timed() -> contextlib.AbstractContextManager[None]:
    """Have matplotlib's layout engines report to the open monitor how long they take."""
    module = sys.modules.get("matplotlib.layout_engine")
    names = ENGINES if module is not None else ()
    return replaced(*((getattr(module, name), "execute", _timed) for name in names))


def _timed(execute: Any) -> Any:
    @functools.wraps(execute)
    def timed(self: Any, fig: Any) -> Any:
        began_s = time.perf_counter()
        try:
            return execute(self, fig)
        finally:
            monitor, name, here = open_monitor(), type(self).__name__, inspect.currentframe()
            if monitor is not None:
                caller = here and here.f_back
                is_call = caller is not None and f"{caller.f_code.co_name}()" == TIGHT_LAYOUT
                spent_s = time.perf_counter() - began_s
                monitor.laid_out(TIGHT_LAYOUT if is_call else ENGINES.get(name, name), spent_s)

    return timed


def _noting(init: Any) -> Any:
    @functools.wraps(init)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        monitor, here = open_monitor(), inspect.currentframe()
        if monitor is not None and here is not None:
            monitor.made(self, here.f_back)

    return noting
