"""Four hints on slow scripts.

The script's own code takes longer than the drawing; it makes a new figure for every frame;
a layout runs in every frame; artists pile up from frame to frame.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from rayanim.figure.draw_stats import FIRST_FRAME, TIGHT_LAYOUT, DrawStats, Note

ENOUGH_FRAMES = 30
"""Frames that a render must have timed before anything is said about time."""

CODE_SHARE, CODE_MS = 0.6, 5.0
"""The script's own code is worth a hint above this share of a frame and this much of it."""

LAYOUT_SHARE, LAYOUT_MS = 0.1, 1.0
"""The same for layouts."""

NEARLY_ALWAYS = 0.9
"""A layout that runs in this share of the frames runs in every one, but for a few."""


def advice_of(stats: DrawStats, enough_frames: int = ENOUGH_FRAMES) -> Iterator[Note]:
    """Hints on what makes frames slow, as far as the script can change it; pure."""
    frames, timed_s = stats.timed_frames, stats.timed_s
    if frames < enough_frames:
        return
    code_s = timed_s - stats.drawing_s - stats.own_layout_s
    if code_s > CODE_SHARE * timed_s and 1000 * code_s > CODE_MS * frames:
        yield Note(
            "code",
            "The script's own code (update(), as a rule) takes "
            f"{_ms(code_s / frames)} of the {_ms(timed_s / frames)} ms of a frame: the drawing "
            "is not what is slow. Compute once, before the first frame, what is the same in all.",
        )
    if stats.in_full.get(FIRST_FRAME, 0) > NEARLY_ALWAYS * stats.frames:
        yield Note(
            "new figures",
            "A new figure is made for every frame, and drawn in full. Make it once, before the "
            "first frame, and change what is in it.",
        )
        return
    for name, layout_s in stats.layout_s.items():
        always = stats.layout_frames[name] >= NEARLY_ALWAYS * frames
        if always and layout_s > LAYOUT_SHARE * timed_s and 1000 * layout_s > LAYOUT_MS * frames:
            what = f"The {name} layout engine"
            remedy = (
                "If the axes may stay where they are, call, before the first frame, "
                "fig.draw_without_rendering(); fig.set_layout_engine('none')."
            )
            if name == TIGHT_LAYOUT:
                what, remedy = name, "Call it once, before the first frame."
            yield Note(
                f"layout {name}",
                f"{what} runs in every frame and takes {_ms(layout_s / frames)} of "
                f"its {_ms(timed_s / frames)} ms. {remedy}",
            )


def _ms(seconds: float) -> str:
    """Milliseconds, whole from 10 on."""
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


CHECK_EVERY = 4
"""Frames between two counts of the artists: one takes some 5 µs for each axes."""

GROWING_CHECKS = 8
"""After so many checks in a row that each found more artists, they pile up."""

MOST_CHECKS = 1 << 12
"""Where the number has fallen before, more checks are needed, up to so many."""

MOST_NEW = 10_000
"""New artists whose place is noted, 2 MB at most."""

MOST_GROUPS = 2
"""Kinds of artists that one hint names."""

MATPLOTLIB = frozenset({"matplotlib", "mpl_toolkits"})
OURS = "rayanim"
"""What calls the user's code: beyond it nothing is the user's."""

INSTALLED = ("site-packages", "dist-packages")
"""Folders with the code of others."""


class ArtistGrowth:
    """Whether the artists of one figure pile up, and which line of code makes them.

    After enough checks that found more artists, new ones are noted with their place until
    the next check. If there are more at the check after that, too, those that are still
    there are named.
    """

    def __init__(self) -> None:
        self.is_noting = False
        self._new: list[tuple[weakref.ref[Any], str]] = []
        self._frames = 0
        self._count = 0
        self._grown = 0
        self._needed = GROWING_CHECKS
        self._is_reported = False

    def check(self, figure: Any) -> str | None:
        """Count the artists of `figure`, always the same one; what to report, if anything."""
        self._frames += 1
        if self._is_reported or self._frames % CHECK_EVERY:
            return None
        before = self._count
        self._count = len(figure.get_children())
        self._count += sum(len(axes.get_children()) for axes in figure.axes)
        if self._count <= before:
            if self._count < before:
                # It goes up and down: only a longer way up would prove anything.
                self._needed = min(2 * self._needed, MOST_CHECKS)
            self._grown, self.is_noting = 0, False
            return None
        self._grown += 1
        self.is_noting = self._grown == self._needed + 1
        if self.is_noting:
            self._new = []
        self._is_reported = self._grown == self._needed + 3
        return self._text(figure) if self._is_reported else None

    def note_new(self, artist: Any, frame: FrameType | None) -> None:
        """`artist` is being made, by the code at `frame` or by what called it."""
        if len(self._new) < MOST_NEW:
            self._new.append((weakref.ref(artist), place_of(frame)))

    def _text(self, figure: Any) -> str:
        named = ", ".join(self._largest_groups(figure)) or f"{self._count} in all"
        return (
            f"Artists pile up from frame to frame: {named} after {self._frames} frames. "
            "Each frame draws all of them. Make them once, before the first frame, and change them "
            "in update(), or remove() those of the frame before."
        )

    def _largest_groups(self, figure: Any) -> Iterator[str]:
        made = [(artist, place) for ref, place in self._new if (artist := ref()) is not None]
        place_by_id = {id(artist): place for artist, place in made}
        holders = [figure, *figure.axes]
        groups = Counter(
            (number, type(child), place_by_id[id(child)])
            for number, holder in enumerate(holders)
            for child in holder.get_children()
            if id(child) in place_by_id
        )
        for (number, kind, place), _ in groups.most_common(MOST_GROUPS):
            count = sum(type(child) is kind for child in holders[number].get_children())
            where = "the figure" if number == 0 else _axes_text(holders[number], number)
            yield f"{count} {kind.__name__} in {where} (made at {place})"


def _axes_text(axes: Any, number: int) -> str:
    name = " ".join((axes.get_title() or axes.get_label() or "").split())
    return f"axes {name!r:.40}" if name else f"axes {number}"


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


def _line(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{frame.f_lineno}"
