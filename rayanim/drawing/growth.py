"""Notices that a figure has more artists with every frame, and finds who makes them.

The number of artists is looked at now and then. Where it has only grown for
long enough, the places in the user's code where artists are made are noted
during a few frames. Those of them that are still there some frames later are
the ones that pile up.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from rayanim.drawing.account import Note

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
    """Whether the artists of one figure pile up.

    Attributes
    ----------
    listener
        Takes what artists are made in the frame that follows, and where; None
        where that is not wanted.
    """

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
