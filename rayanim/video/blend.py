"""Lays transparent pixels over a colour, exactly rounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rayanim.video.packing import Bytes

# Red is the lowest byte of a pixel read as one number, opacity the highest.
_PIXEL = np.dtype("<u4")
_OPAQUE = 0xFF000000
_RED_AND_BLUE = 0x00FF00FF

# Pixels that are blended at a time: four arrays of 64 kB stay within a core's cache.
_PIECE_PX = 16384


class Blender:
    """Makes images opaque, with kept buffers.

    Parameters
    ----------
    size
        (width, height) of the images in pixels.
    background
        Red, green and blue, 0 to 255, of what lies behind.
    """

    def __init__(self, size: tuple[int, int], background: tuple[int, int, int]) -> None:
        self._size = size
        red, green, blue = background
        self._red_and_blue = red | blue << 16
        self._green = green
        self._flat: NDArray[np.uint32] | None = None
        self._scratch: NDArray[np.uint32] = np.empty((3, 0), np.uint32)

    def opaque(self, rgba: Bytes) -> Bytes:
        """`rgba` itself if every pixel is opaque, else a kept buffer with the blend.

        Parameters
        ----------
        rgba
            ``(height, width, 4) uint8``, RGBA, C-contiguous. It is not written to.
        """
        pixels = rgba.reshape(-1).view(_PIXEL)
        if pixels.min() >= _OPAQUE:
            return rgba
        flat = self._buffer()
        for start in range(0, len(pixels), _PIECE_PX):
            piece = slice(start, start + _PIECE_PX)
            self._blend_piece(pixels[piece], flat[piece])
        return flat.view(np.uint8).reshape(rgba.shape)

    def _buffer(self) -> NDArray[np.uint32]:
        if self._flat is None:
            width, height = self._size
            self._flat = np.empty(width * height, _PIXEL)
            self._scratch = np.empty((3, _PIECE_PX), np.uint32)
        return self._flat

    def _blend_piece(self, pixels: NDArray[np.uint32], flat: NDArray[np.uint32]) -> None:
        if pixels.min() >= _OPAQUE:
            flat[:] = pixels
        elif pixels.max() < 1 << 24:
            flat[:] = self._red_and_blue | self._green << 8 | _OPAQUE
        else:
            self._blend(pixels, flat)

    def _blend(self, pixels: NDArray[np.uint32], flat: NDArray[np.uint32]) -> None:
        # With x = c*a + b*(255 - a) <= 65025 and t = x + 128, x / 255 rounded to
        # the nearest integer is (t + (t >> 8)) >> 8, without overflow of 16 bits.
        # So red and blue are worked on at once, as the two halves of 32 bits.
        alpha, rest, total = self._scratch[:, : len(pixels)]
        np.right_shift(pixels, 24, out=alpha)
        np.subtract(255, alpha, out=rest)
        np.right_shift(pixels, 8, out=total)
        total &= 0xFF
        total *= alpha
        np.multiply(rest, self._green, out=flat)
        total += flat
        total += 128
        np.right_shift(total, 8, out=flat)
        total += flat
        total &= 0xFF00
        np.bitwise_and(pixels, _RED_AND_BLUE, out=flat)
        flat *= alpha
        rest *= self._red_and_blue
        flat += rest
        flat += 0x00800080
        np.right_shift(flat, 8, out=rest)
        rest &= _RED_AND_BLUE
        flat += rest
        flat >>= 8
        flat &= _RED_AND_BLUE
        flat |= total
        flat |= _OPAQUE
