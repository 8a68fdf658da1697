"""Compares frames drawn in parts with full draws, often at first and then ever more rarely."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg

from rayanim.drawing.boxes import Box, touch
from rayanim.drawing.unit import Unit

FIRST_CHECKS = 3
"""The first frames drawn in parts are all compared."""

SHARE = 0.03
"""Comparing takes at most this share of the time since the comparison before."""

SHARE_BETWEEN = SHARE / 2
"""The same amid a segment: where segments end often enough, all are compared at their ends."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A frame drawn in parts that was not the frame drawn in full.

    Attributes
    ----------
    frame_idx
        Which draw of the canvas it was, counted from 0.
    box
        The rectangle of pixels that differ.
    artists
        What is drawn there, as text.
    """

    frame_idx: int
    box: Box
    artists: tuple[str, ...]

    @property
    def message(self) -> str:
        """What to tell the user; which frame it was goes before it."""
        left, top, right, bottom = self.box
        return (
            "drawing only what changed gave other pixels than a full "
            f"draw in x {left} to {right}, y {top} to {bottom} ({', '.join(self.artists)}). "
            "From here on every frame is drawn in full. Data changed in place without telling "
            "matplotlib is the usual cause; otherwise please report it"
        )


class Guard:
    """Decides when to compare, and compares.

    Attributes
    ----------
    checks
        How often frames were compared so far.
    """

    def __init__(self) -> None:
        self.checks = 0
        self._last_s: float | None = None
        self._cost_s = 0.0

    def due(self, full_s: float) -> bool:
        """Whether the frame just drawn should be compared; a full draw takes `full_s`."""
        if self.checks < FIRST_CHECKS:
            return True
        return self._passed_s() * SHARE_BETWEEN > max(full_s, self._cost_s)

    def due_at_end(self, full_s: float) -> bool:
        """The same at the end of a segment, where less time since the last one will do."""
        return self.checks > 0 and self._passed_s() * SHARE > max(full_s, self._cost_s)

    def _passed_s(self) -> float:
        return time.perf_counter() - (self._last_s or 0.0)

    @contextlib.contextmanager
    def checking(self) -> Iterator[None]:
        """Whatever is done inside is the cost of one comparison."""
        began_s = time.perf_counter()
        yield
        self._last_s = time.perf_counter()
        self._cost_s = self._last_s - began_s

    def compare(
        self, figure: Any, renderer: RendererAgg, units: list[Unit], frame_idx: int
    ) -> Difference | None:
        """Draw `figure` in full; on a difference, `renderer` is left with the full draw."""
        drawn = np.asarray(renderer.buffer_rgba()).copy()  # type: ignore[no-untyped-call]
        renderer.clear()  # type: ignore[no-untyped-call]
        figure.draw(renderer)
        full = np.asarray(renderer.buffer_rgba())  # type: ignore[no-untyped-call]
        self.checks += 1
        differs = (drawn != full).any(axis=2)
        if not differs.any():
            return None
        rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        names = tuple(str(unit.artist) for unit in units if touch(unit.reach, box))
        return Difference(frame_idx, box, names[:8])
