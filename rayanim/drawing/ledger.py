"""Writes down how the figures of each frame are drawn, whoever draws them.

A figure's pixels may be asked for anywhere in the user's code: by an animator,
a renderer of an act, a function. Each drawing looks for the ledger that is
open in its thread and enters itself; without one nothing is written down.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rayanim.drawing.account import Account, Note, Spent, Ways
from rayanim.drawing.advice import TIGHT_LAYOUT
from rayanim.drawing.growth import Births, Growth
from rayanim.drawing.hooks import replaced

WARM_UP = 2
"""The first frames are not timed: they import, and fill caches."""

ENGINES = {"ConstrainedLayoutEngine": "constrained", "TightLayoutEngine": "tight"}

_open: ContextVar[Ledger | None] = ContextVar("rayanim_ledger", default=None)


class Drawer(Protocol):
    """Something that draws one figure."""

    figure: Any
    growth: Growth

    def draw_now(self, *, compare: bool = False) -> npt.NDArray[np.uint8]:
        """Draw the figure as it is now, and compare that with a full draw if asked to."""

    @property
    def why_full(self) -> str | None:
        """Why the last frame was drawn in full; None where it was drawn in parts."""

    @property
    def difference(self) -> str | None:
        """What differed from a full draw, as text for the user, or None."""

    def draw_in_full_from_now(self) -> None:
        """Draw nothing in parts any more, for a difference was found elsewhere."""


def current() -> Ledger | None:
    """The ledger that is open in this thread."""
    return _open.get()


@dataclass(slots=True)
class FrameEntry:
    """What is drawn in one frame.

    Attributes
    ----------
    number
        The frame's number.
    compared
        Whether what is drawn in it is compared with full draws.
    drawers
        What drew in it, in order.
    why_full
        Why one of them drew in full; None where none did.
    drawing_s
        Seconds that they took.
    layouts_s
        Seconds of layouts, by who ran them.
    aside_s
        Seconds that do not count.
    """

    number: int
    compared: bool = False
    drawers: list[Drawer] = field(default_factory=list)
    why_full: str | None = None
    drawing_s: float = 0.0
    layouts_s: dict[str, float] = field(default_factory=dict)
    aside_s: float = 0.0


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """What is done inside is no part of the frame: neither what is drawn nor its time."""
    ledger = current()
    if ledger is None:
        yield
        return
    token, began_s = _open.set(None), time.perf_counter()
    try:
        yield
    finally:
        _open.reset(token)
        ledger.leave_out(time.perf_counter() - began_s)


class Ledger:
    """How the frames of one source are drawn in this process.

    Attributes
    ----------
    difference
        The first difference from a full draw, as text for the user, or None.
    in_full
        Whether all figures are drawn in full from now on, for a difference was
        found, here or elsewhere.
    lays_out
        Whether a layout has run in any frame, by an engine or by the user's code.
    listeners
        Who wants to know where artists are made in this frame.
    """

    def __init__(self) -> None:
        self.difference: str | None = None
        self.in_full = False
        self.lays_out = False
        self.listeners: list[Births] = []
        self._frames = 0
        self._notes: list[Note] = []
        self._entry = FrameEntry(-1)
        self._is_drawing = False
        self._forget()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Have all that this thread draws be entered; what was entered before is forgotten."""
        self._forget()
        token = _open.set(self)
        try:
            with _layouts_timed():
                yield
        finally:
            _open.reset(token)
            # Else a figure would stay as long as its source's renderer.
            self._entry = FrameEntry(-1)

    @contextlib.contextmanager
    def frame(self, number: int, *, compared: bool = False) -> Iterator[None]:
        """Whatever is drawn inside belongs to frame `number`."""
        entry = self._entry = FrameEntry(number, compared)
        began_s = time.perf_counter()
        if self.listeners:
            with _births_heard():
                yield
        else:
            yield
        seconds = time.perf_counter() - began_s
        if entry.drawers:
            self._enter(entry, seconds - entry.aside_s)

    def draw(self, drawer: Drawer) -> npt.NDArray[np.uint8]:
        """Have `drawer` draw, and enter how it did."""
        self._look(drawer)
        if self.in_full:
            drawer.draw_in_full_from_now()
        entry = self._entry
        entry.drawers.append(drawer)
        self._is_drawing = True
        began_s = time.perf_counter()
        try:
            return drawer.draw_now(compare=entry.compared)
        finally:
            self._is_drawing = False
            entry.drawing_s += time.perf_counter() - began_s
            entry.why_full = entry.why_full or drawer.why_full
            self._learn(drawer)

    def laid_out(self, engine: Any, seconds: float) -> None:
        """A layout was run: by the drawing itself, or by the user's code."""
        self.lays_out = True
        name = _engine_name(engine) if self._is_drawing else TIGHT_LAYOUT
        layouts_s = self._entry.layouts_s
        layouts_s[name] = layouts_s.get(name, 0.0) + seconds

    def leave_out(self, seconds: float) -> None:
        """So much of the frame's time was spent on something else."""
        self._entry.aside_s += seconds

    def take(self) -> Account:
        """What was entered since the ledger was opened, and all notes not yet taken."""
        notes, self._notes = tuple(self._notes), []
        ways = Ways(self._in_parts, dict(self._in_full))
        timed = Spent(self._timed, self._timed_s)
        return Account(ways, timed, self._drawing_s, self._layouts, notes)

    def _forget(self) -> None:
        # Plain numbers: adding up values for each frame would take longer than all else here.
        self._in_parts = self._timed = 0
        self._timed_s = self._drawing_s = 0.0
        self._in_full: Counter[str] = Counter()
        self._layouts: dict[str, Spent] = {}

    def _enter(self, entry: FrameEntry, seconds: float) -> None:
        if entry.why_full is None:
            self._in_parts += 1
        else:
            self._in_full[entry.why_full] += 1
        self._frames += 1
        if self._frames <= WARM_UP:
            return
        self._timed += 1
        self._timed_s += seconds
        self._drawing_s += entry.drawing_s
        for name, layout_s in entry.layouts_s.items():
            self._layouts[name] = self._layouts.get(name, Spent()) + Spent(1, layout_s)

    def _look(self, drawer: Drawer) -> None:
        growth = drawer.growth
        before, note = growth.listener, growth.look(drawer.figure)
        if note is not None:
            self._notes.append(note)
        if growth.listener is not before:
            self.listeners = [each for each in self.listeners if each is not before]
            self.listeners += [] if growth.listener is None else [growth.listener]

    def _learn(self, drawer: Drawer) -> None:
        if self.difference is None and drawer.difference is not None:
            self.difference = f"Frame {self._entry.number}: {drawer.difference}"
            self.in_full = True
            self._notes.append(Note("difference", self.difference))


def _engine_name(engine: Any) -> str:
    return ENGINES.get(type(engine).__name__, type(engine).__name__)


@contextlib.contextmanager
def _births_heard() -> Iterator[None]:
    """Have artists that are made tell the open ledger."""
    with replaced(sys.modules["matplotlib.artist"].Artist, "__init__", _telling):
        yield


def _telling(init: Any) -> Any:
    @functools.wraps(init)
    def telling(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        ledger, here = current(), inspect.currentframe()
        if ledger is not None and here is not None:
            for births in ledger.listeners:
                births.note(self, here.f_back)

    return telling


@contextlib.contextmanager
def _layouts_timed() -> Iterator[None]:
    """Have matplotlib's layout engines tell the open ledger what they take."""
    engines = sys.modules.get("matplotlib.layout_engine")
    with contextlib.ExitStack() as stack:
        for name in ENGINES if engines is not None else ():
            stack.enter_context(replaced(getattr(engines, name), "execute", _timed))
        yield


def _timed(execute: Any) -> Any:
    @functools.wraps(execute)
    def timed(self: Any, fig: Any) -> Any:
        began_s = time.perf_counter()
        try:
            return execute(self, fig)
        finally:
            ledger = current()
            if ledger is not None:
                ledger.laid_out(self, time.perf_counter() - began_s)

    return timed
