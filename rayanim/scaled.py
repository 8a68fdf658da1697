"""A source whose frames are scaled, for ``-q`` and what has a size of its own."""

from __future__ import annotations

from typing import Any

from rayanim.image_pixels import pixels_of
from rayanim.source import Geometry, Pixels, Source


class ScaledSource:
    """Another source's frames, scaled to a height, the width in proportion.

    Parameters
    ----------
    source
        What draws.
    height_px
        Height of every frame.
    """

    def __init__(self, source: Source, height_px: int) -> None:
        self._source = source
        self._height_px = height_px
        self._size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def n_frames(self) -> int | None:
        return self._source.n_frames

    def open(self, geometry: Geometry | None) -> None:
        self._size = None if geometry is None else geometry.size
        self._source.open(None if geometry is None else geometry.inner)

    def measure(self, index: int, params: Any) -> Geometry:
        inner = self._source.measure(index, params)
        width_px, height_px = inner.size
        scaled_px = round(width_px * self._height_px / height_px)
        # Whole pairs of pixels: otherwise the film would be padded after scaling.
        self._size = (max(2, scaled_px + scaled_px % 2), self._height_px)
        return Geometry(size=self._size, inner=inner)

    def draw(self, index: int, params: Any) -> Pixels:
        from PIL import Image

        frame = self._source.draw(index, params)
        if self._size is None or frame.shape[1::-1] == self._size:
            return frame
        image = Image.fromarray(frame).resize(self._size, Image.Resampling.LANCZOS)
        return pixels_of(image)

    def advance(self, index: int, params: Any) -> None:
        self._source.advance(index, params)

    def close(self) -> None:
        self._source.close()
