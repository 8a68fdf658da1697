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
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Ways:
    """How frames were drawn."""

    in_parts: int = 0
    in_full: Mapping[str, int] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames drawn either way."""
        return self.in_parts + sum(self.in_full.values())

    def __add__(self, other: Ways) -> Ways:
        in_full = Counter(self.in_full) + Counter(other.in_full)
        return Ways(self.in_parts + other.in_parts, dict(in_full))


@dataclass(frozen=True, slots=True)
class Spent:
    """How often something ran, and for how long."""

    frames: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.frames + other.frames, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell the user once in a job."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """How the frames that show figures were drawn, and where their time went."""

    ways: Ways = field(default_factory=Ways)
    timed: Spent = field(default_factory=Spent)
    drawing_s: float = 0.0
    layouts: Mapping[str, Spent] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def after(self, other: Account) -> Account:
        """This, and the notes of `other`, whose frames were drawn again."""
        return replace(self, notes=(*other.notes, *self.notes))

    def __add__(self, other: Account) -> Account:
        names = {**self.layouts, **other.layouts}
        none = Spent()
        return Account(
            self.ways + other.ways,
            self.timed + other.timed,
            self.drawing_s + other.drawing_s,
            {name: self.layouts.get(name, none) + other.layouts.get(name, none) for name in names},
        )


ENOUGH_FRAMES = 30
"""Frames that must have been timed before anything is said."""

CODE_SHARE = 0.6
CODE_MS = 5.0
"""The script's own code is told of above this share of a frame and this much of it."""

LAYOUT_SHARE = 0.1
LAYOUT_MS = 1.0
"""The same for layouts."""

NEARLY_ALWAYS = 0.9
"""What runs in this share of the frames runs in every one, but for a few."""

TIGHT_LAYOUT = "tight_layout()"
"""Stands for layouts that the script runs itself, in the place of an engine's name."""


def advice_of(account: Account) -> Iterator[Note]:
    """What to tell after the frames of `account`; pure."""
    if account.timed.frames < ENOUGH_FRAMES:
        return
    yield from _on_code(account.timed, account.drawing_s)
    for name, spent in account.layouts.items():
        yield from _on_layout(name, spent, account.timed)


def _on_code(timed: Spent, drawing_s: float) -> Iterator[Note]:
    code_s = timed.seconds - drawing_s
    code_ms = 1000 * code_s / timed.frames
    if code_s > CODE_SHARE * timed.seconds and code_ms > CODE_MS:
        yield Note(
            "code",
            "The script's own code (update(), as a rule) takes "
            f"{_ms(code_s, timed)} of the {_ms(timed.seconds, timed)} ms of a frame: the drawing "
            "is not what is slow. Compute in setup() what does not depend on the frame.",
        )


def _on_layout(name: str, spent: Spent, timed: Spent) -> Iterator[Note]:
    always = spent.frames >= NEARLY_ALWAYS * timed.frames
    costly = spent.seconds > LAYOUT_SHARE * timed.seconds
    if always and costly and 1000 * spent.seconds > LAYOUT_MS * timed.frames:
        yield Note(
            f"layout {name}",
            f"{_layout_text(name)} runs in every frame and takes {_ms(spent.seconds, timed)} of "
            f"its {_ms(timed.seconds, timed)} ms. {_remedy(name)}",
        )


def _layout_text(name: str) -> str:
    return TIGHT_LAYOUT if name == TIGHT_LAYOUT else f"The {name} layout engine"


def _remedy(name: str) -> str:
    if name == TIGHT_LAYOUT:
        return "Call it once, at the end of setup()."
    return (
        "If the axes may stay where they are, end setup() with "
        "fig.draw_without_rendering(); fig.set_layout_engine('none')."
    )


def _ms(seconds: float, timed: Spent) -> str:
    """Milliseconds per frame, whole from 10 on."""
    value = 1000 * seconds / timed.frames
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


LOOK_EVERY = 4
"""Frames between two looks: one takes some 5 µs for each axes."""

GROWING_LOOKS = 8
"""After so many looks in a row that each found more artists, they pile up."""

MOST_LOOKS = 1 << 12
"""Where the number has fallen before, more looks are needed, up to so many."""

MOST_BIRTHS = 10_000
"""Artists whose place is kept, 2 MB at most."""

MOST_GROUPS = 2
"""Kinds of artists that one note names."""

MATPLOTLIB = frozenset({"matplotlib", "mpl_toolkits"})
OURS = "rayanim"
"""Who calls the user's code: beyond it nothing is the user's."""

INSTALLED = ("site-packages", "dist-packages")
"""Folders with the code of others."""


class Births:
    """Where the artists come from that are made while one listens."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[weakref.ref[Any], str]] = {}

    def note(self, artist: Any, frame: FrameType | None) -> None:
        """`artist` is being made, by the code at `frame` or by who called it."""
        if len(self._places) < MOST_BIRTHS:
            self._places[id(artist)] = (weakref.ref(artist), place_of(frame))

    def place(self, artist: Any) -> str | None:
        """Where `artist` was made, None where nobody listened."""
        born, place = self._places.get(id(artist), (None, None))
        return place if born is not None and born() is artist else None


def place_of(frame: FrameType | None) -> str:
    """The line of the user's code that led to `frame`, as ``file:line``."""
    nearest: FrameType | None = None
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package == OURS and nearest is not None:
            break
        if package not in MATPLOTLIB and package != OURS:
            nearest = nearest or frame
            if not any(folder in frame.f_code.co_filename for folder in INSTALLED):
                return _line(frame)
        frame = frame.f_back
    return "an unknown place" if nearest is None else _line(nearest)


class Growth:
    """Whether the artists of one figure pile up."""

    def __init__(self) -> None:
        self.listener: Births | None = None
        self._heard = Births()
        self._state: Literal["looking", "listening", "sifting", "told"] = "looking"
        self._frames = 0
        self._count = 0
        self._grown = 0
        self._needed = GROWING_LOOKS

    def look(self, figure: Any) -> Note | None:
        """Look at `figure`, always the same and about to be drawn; what to tell, if anything."""
        self._frames += 1
        if self._frames % LOOK_EVERY or self._state == "told":
            return None
        count, before = _count(figure), self._count
        self._count = count
        if count > before:
            return self._still_growing(figure)
        self._begin_again(fell=count < before)
        return None

    def _begin_again(self, *, fell: bool) -> None:
        self._state, self.listener, self._grown = "looking", None, 0
        if fell and self._needed < MOST_LOOKS:
            # It goes up and down: only a longer way up would prove anything.
            self._needed *= 2

    def _still_growing(self, figure: Any) -> Note | None:
        self._grown += 1
        if self._state == "looking" and self._grown > self._needed:
            self._state = "listening"
            self.listener = self._heard = Births()
        elif self._state == "listening":
            self._state, self.listener = "sifting", None
        elif self._state == "sifting":
            self._state = "told"
            return Note("pile-up", self._text(figure))
        return None

    def _text(self, figure: Any) -> str:
        named = ", ".join(_group_texts(figure, self._heard)) or f"{self._count} in all"
        return (
            f"Artists pile up from frame to frame: {named} after {self._frames} frames. "
            "Each frame draws all of them. Make them once in setup() and change them in update(), "
            "or remove() those of the frame before."
        )


def _count(figure: Any) -> int:
    return len(figure.get_children()) + sum(len(axes.get_children()) for axes in figure.axes)


def _group_texts(figure: Any, births: Births) -> Iterator[str]:
    """The largest groups of artists that were made when one listened and are still there."""
    holders = [figure, *figure.axes]
    groups: Counter[tuple[int, type, str]] = Counter()
    for number, holder in enumerate(holders):
        for child in holder.get_children():
            place = births.place(child)
            if place is not None:
                groups[number, type(child), place] += 1
    for (number, kind, place), _ in groups.most_common(MOST_GROUPS):
        count = sum(type(child) is kind for child in holders[number].get_children())
        where = "the figure" if number == 0 else _axes_text(holders[number], number)
        yield f"{count} {kind.__name__} in {where} (made at {place})"


def _axes_text(axes: Any, number: int) -> str:
    name = " ".join((axes.get_title() or axes.get_label() or "").split())
    return f"axes {name!r:.40}" if name else f"axes {number}"


def _line(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{frame.f_lineno}"


_lock = threading.Lock()
_in_place: dict[tuple[Any, str], tuple[int, Any]] = {}
"""By owner and name how many asked, and the function that was there before."""

_made: dict[tuple[Any, str, Any], tuple[Any, Any]] = {}
"""By owner, name and `make`: the function that was there, and what was made of it once."""


@contextlib.contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Have ``make(function)`` in the place of a class's or module's own function."""
    _enter(owner, name, make)
    try:
        yield
    finally:
        _leave(owner, name)


def _enter(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    with _lock:
        asked, before = _in_place.get((owner, name), (0, None))
        if not asked:
            before = vars(owner)[name]
            known, made = _made.get((owner, name, make), (None, None))
            if known is not before:
                made = make(before)
                _made[owner, name, make] = (before, made)
            setattr(owner, name, made)
        _in_place[owner, name] = (asked + 1, before)


def _leave(owner: Any, name: str) -> None:
    with _lock:
        asked, before = _in_place.pop((owner, name))
        if asked > 1:
            _in_place[owner, name] = (asked - 1, before)
        else:
            setattr(owner, name, before)


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
    """What is drawn in one frame."""

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
    """How the frames of one source are drawn in this process."""

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
