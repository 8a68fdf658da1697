"""Sees whether the disk will hold the film, as soon as the first segments tell its size.

The first segments may be the heaviest. So what they foretell is told at first, and ends
the job only when a good part of the film bears it out.
"""

from __future__ import annotations

import time
from pathlib import Path

from rayanim.errors import OutputError
from rayanim.farm.job import Tally

FIRST_LOOK_FRAMES = 48
"""Frames that tell what a film takes."""

BORNE_OUT = 0.1
"""The share of the film that says enough of the rest."""

LOOK_EVERY_S = 10.0
"""Others write to the disk, too."""


class SpaceWatch:
    """Looks at the free space now and then.

    Parameters
    ----------
    film
        The file that is written, on this machine.
    tally
        Knows what is written.
    with_parts
        Whether the parts are written beside it, too.
    """

    def __init__(self, film: Path, tally: Tally, *, with_parts: bool = True) -> None:
        from rayanim.parts.disk import check_space

        self._film = film
        self._tally = tally
        self._with_parts = with_parts
        self._next_look_s = 0.0
        check_space(film.parent, 1)

    def look(self) -> None:
        """Look, if it is time to.

        Raises
        ------
        OutputError
            If there is less room than what is to come needs, by a good part of
            the film.
        """
        from rayanim.parts.disk import check_space, expected_bytes

        tally, now_s = self._tally, time.perf_counter()
        if tally.total is None or tally.written_frames < FIRST_LOOK_FRAMES:
            return
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        needed_bytes = expected_bytes(
            tally.written_bytes,
            tally.written_frames,
            tally.total,
            joined_bytes=self._film.stat().st_size if self._film.exists() else 0,
            with_parts=self._with_parts,
        )
        try:
            check_space(self._film.parent, needed_bytes)
        except OutputError as error:
            if tally.written_frames >= BORNE_OUT * tally.total:
                raise
            tally.event_once(f"If all frames are like the first ones: {error.message}", "space")
