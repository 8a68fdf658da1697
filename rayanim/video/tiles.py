"""Finds the tiles of a picture that differ from the one before, and moves tiles about."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rayanim.video.packing import Bytes

TILE_PX = (32, 16)
"""(width, height) of a tile; sides that any chroma step divides.

Smaller ones follow a moving line more closely, but cost more to find and to move.
"""

_FLAGS_PER_WORD = 8

Places: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]


class TileFinder:
    """Compares pictures of one size tile by tile.

    Parameters
    ----------
    size
        (width, height) of the pictures in pixels, each at least a tile's.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        width, height = size
        tile_width, tile_height = TILE_PX
        down, across = -(-height // tile_height), -(-width // tile_width)
        # Two pixels are compared at a time where there are whole pairs.
        self._pair = 1 if width % 2 else 2
        self._differs = np.zeros((down * tile_height, across * tile_width // self._pair), np.bool_)
        words = tile_width // self._pair // _FLAGS_PER_WORD
        self._words = self._differs.view(np.uint64).reshape(down, tile_height, across, words)
        self.count = down * across

    def find(self, rgba: Bytes, before: Bytes) -> Places:
        """Upper left corners of the tiles that differ, as (rows, columns).

        Corners are multiples of a tile's sides, but for tiles at the lower and right
        edge, which are moved in to lie within the picture.

        Parameters
        ----------
        rgba, before
            ``(height, width * 4) uint8``, C-contiguous.
        """
        width, height = self._size
        unit = np.uint32 if self._pair == 1 else np.uint64
        differs = self._differs[:height, : width // self._pair]
        np.not_equal(rgba.view(unit), before.view(unit), out=differs)
        rows, columns = np.nonzero(np.bitwise_or.reduce(self._words, axis=1).any(axis=2))
        tile_width, tile_height = TILE_PX
        tops = np.minimum(rows * tile_height, height - tile_height)
        return tops, np.minimum(columns * tile_width, width - tile_width)


class Tiled:
    """A plane whose tiles can be read and written by their corners.

    Parameters
    ----------
    plane
        ``(rows, bytes of a row) uint8``, C-contiguous; it is shared, not copied.
    pixel_bytes
        Bytes of a sample.
    step
        Pixels per sample, horizontally and vertically.
    """

    def __init__(self, plane: Bytes, pixel_bytes: int, step: tuple[int, int] = (1, 1)) -> None:
        self._step = step
        across, down = TILE_PX[0] // step[0], TILE_PX[1] // step[1]
        rows, row_bytes = plane.shape
        # A row of a tile is one element: numpy moves it at once. Elements lie
        # over one another, one for each place where a tile may be.
        self._piece = np.dtype((np.void, across * pixel_bytes))
        shape = (down, rows - down + 1, row_bytes // pixel_bytes - across + 1)
        strides = (row_bytes, row_bytes, pixel_bytes)
        self._places = np.ndarray(shape, self._piece, plane.data, strides=strides)

    def read(self, places: Places, tiles: Bytes) -> None:
        """Put the tiles at `places` side by side into `tiles`.

        Parameters
        ----------
        places
            Upper left corners in pixels, as (rows, columns).
        tiles
            ``(rows of a tile, bytes) uint8``, for as many tiles or more.
        """
        tops, lefts = self._scaled(places)
        tiles.view(self._piece)[:, : len(tops)] = self._places[:, tops, lefts]

    def write(self, places: Places, tiles: Bytes) -> None:
        """Put the first of `tiles`, side by side as `read` puts them, to `places`."""
        tops, lefts = self._scaled(places)
        self._places[:, tops, lefts] = tiles.view(self._piece)[:, : len(tops)]

    def _scaled(self, places: Places) -> Places:
        step_x, step_y = self._step
        return (places[0] // step_y, places[1] // step_x)
