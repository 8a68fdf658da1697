"""Keeps what is drawn of a segment as long as an actor may have to go on with it."""

from __future__ import annotations

import numpy as np

from rayanim.farm.rendering.collectors import RawPayload
from rayanim.farm.rendering.history import FRAMES_CHECKED


class Pieces:
    """What is drawn of a segment so far.

    Parameters
    ----------
    limit_bytes
        Bytes that may be kept. What comes after is drawn again by an actor.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._first: list[RawPayload] = []
        self._kept: list[RawPayload] = []
        self._kept_bytes = 0
        self._kept_frames = 0
        self.drawn = 0

    @property
    def dropped(self) -> int:
        """Frames that were drawn and are not kept."""
        return self.drawn - self._kept_frames

    def add(self, piece: RawPayload) -> None:
        """The next frames."""
        # Copies: a frame on its own would keep all that were drawn with it.
        missing = FRAMES_CHECKED - len(self._first)
        self._first += [frame.copy() for frame in piece[:missing]]
        if not self.dropped and self._kept_bytes + piece.nbytes <= self._limit_bytes:
            self._kept.append(piece)
            self._kept_bytes += piece.nbytes
            self._kept_frames += len(piece)
        self.drawn += len(piece)

    def joined(self) -> RawPayload:
        """The first frames of the segment, as many as are kept."""
        return np.concatenate(self._kept) if self._kept else np.empty((0, 0), np.uint8)

    @property
    def first_frames(self) -> list[RawPayload]:
        """The first frames of the segment, as many as a check of its history takes."""
        return self._first
