"""What `rayanim profile` shows: tables and sentences, or values for programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rayanim.report import Report, in_full_text, plural, seconds_text

ROWS_SHOWN, SLOWEST_SHOWN = 10, 3

SLOW = 2.0
"""A frame that takes so many times as long as the usual one is named."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a part of a frame's way takes, in milliseconds for each frame."""

    name: str
    ms: float
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtistCost:
    """What artists of one kind, label and axes take in a full draw, all of them together.

    `redrawn` is the share of the frames in which one of them was drawn anew. The artists of a
    figure or an axes count for themselves.
    """

    kind: str
    label: str
    axes: str
    count: int
    ms: float
    share: float
    redrawn: float

    @property
    def frame_ms(self) -> float:
        """What that comes to for each frame of the video."""
        return self.redrawn * self.ms

    @property
    def text(self) -> str:
        """What it is, for people."""
        times = f" (x{self.count})" if self.count > 1 else ""
        label = f" {self.label!r}" if self.label else ""
        return f"{self.kind}{label}{times}{f' in {self.axes}' if self.axes else ''}"


@dataclass(slots=True, kw_only=True, repr=False)
class ProfileReport(Report):
    """Where the time of some frames went; nothing was written."""

    n_frames: int | None = None
    stages_ms: tuple[Stage, ...] = ()
    frames_ms: tuple[tuple[int, float], ...] = ()
    full_draws: int = 0
    full_ms: float = 0.0
    artists: tuple[ArtistCost, ...] = ()
    hints: tuple[str, ...] = ()
    spreading: tuple[str, ...] = ()

    def summary(self) -> str:
        """Tables and sentences."""
        width, height = self.size
        of = "" if self.n_frames is None else f" of {self.n_frames}"
        head = (
            f"{self.output}: {self.frames}{of} frames of {width}x{height} were drawn, in "
            f"{seconds_text(self.elapsed_s)}; nothing was written."
        )
        parts = [head, self._stages_text(), self._artists_text(), "\n".join(self._sentences())]
        return "\n\n".join(part for part in parts if part)

    __str__ = summary

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`, with what was measured."""
        return {
            **Report.to_dict(self),
            "n_frames": self.n_frames,
            "stages_ms": {each.name: each.ms for each in self.stages_ms},
            "frames_ms": [{"frame": number, "ms": ms} for number, ms in self.frames_ms],
            "full_draws": self.full_draws,
            "full_ms": self.full_ms,
            "artists": [asdict(each) for each in self.artists],
            "hints": list(self.hints),
            "spreading": list(self.spreading),
        }

    def slowest(self) -> list[tuple[int, float]]:
        """The frames that take much longer than the usual one: number and milliseconds."""
        usual_ms = median(ms for _, ms in self.frames_ms)
        found = sorted(self.frames_ms, key=lambda each: -each[1])[:SLOWEST_SHOWN]
        return [each for each in found if each[1] > SLOW * usual_ms]

    def _stages_text(self) -> str:
        all_ms = sum(each.ms for each in self.stages_ms)
        rows = [(each.name, ms_text(each.ms), _share(each.ms, all_ms)) for each in self.stages_ms]
        return _table(("a frame's time", "ms", "share"), rows)

    def _artists_text(self) -> str:
        if not self.full_draws:
            return ""
        rows = [
            (
                each.text,
                ms_text(each.ms),
                _share(each.ms, self.full_ms),
                _share(each.redrawn, 1),
                ms_text(each.frame_ms),
            )
            for each in self.artists[:ROWS_SHOWN]
        ]
        others = self.artists[ROWS_SHOWN:]
        if others:
            ms = sum(each.ms for each in others)
            rows.append((f"{len(others)} others", ms_text(ms), _share(ms, self.full_ms), "", ""))
        title = f"a full draw ({plural(self.full_draws, 'frame')}): {ms_text(self.full_ms)} ms"
        return _table((title, "ms", "share", "redrawn in", "ms a frame"), rows)

    def _sentences(self) -> Iterator[str]:
        longest = max(self.stages_ms, key=lambda each: each.ms)
        yield f"Longest: {longest.name}; {longest.advice}."
        yield from in_full_text(self.full_frames)
        slowest = ", ".join(f"{number} ({ms_text(ms)} ms)" for number, ms in self.slowest())
        if slowest:
            usual_ms = median(ms for _, ms in self.frames_ms)
            yield f"Slowest frames: {slowest}; usual are {ms_text(usual_ms)} ms."
        yield from self.hints
        yield from self.spreading


def ms_text(value: float) -> str:
    """Milliseconds; from 10 on one digit behind the point is enough."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for at, title in enumerate(titles):
        table.add_column(title, justify="right" if at else "left", overflow="ellipsis")
    for row in rows:
        table.add_row(*map(Text, row))  # labels of the user's are no markup
    stream = io.StringIO()
    width = max(60, shutil.get_terminal_size().columns)
    Console(file=stream, width=width, color_system=None, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
