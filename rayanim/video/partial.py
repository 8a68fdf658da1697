"""Converts of a frame only what differs from the frame before."""

from __future__ import annotations

import numpy as np

from rayanim.video.blend import Blender
from rayanim.video.packing import Bytes, packed_planes
from rayanim.video.spec import StreamSpec
from rayanim.video.swscale import Swscale
from rayanim.video.tiles import TILE_PX, Places, Tiled, TileFinder

MOST = 0.5
"""Share of changed tiles beyond which a full conversion is about as quick."""

LONGEST_PAUSE = 64
"""Frames at most between two looks at whether frames resemble each other again."""

# Tiles are converted side by side in a strip of this many: one of 1024x16 pixels
# takes 2.4 ns for a pixel, one of twice the width 2.2 ns, but is filled less well.
_STRIP_TILES = 32


class PartialConverter:
    """Converts the tiles that changed, and takes the rest from the frame before.

    It finds them by comparing pixels, so nobody has to tell what was drawn. It
    keeps one frame as drawn and one as converted: 12 MB for 1920x1080 in
    ``yuv420p``. The bytes are those of a full conversion, because each block of
    pixels that shares chroma samples is converted by itself.

    Parameters
    ----------
    spec
        A specification for which `suits` is true.
    """

    def __init__(self, spec: StreamSpec) -> None:
        width, height = spec.size
        layout = spec.layout
        tile_width, tile_height = TILE_PX
        strip_size = (_STRIP_TILES * tile_width, tile_height)
        self._finder = TileFinder(spec.size)
        self._before = np.empty((height, width), np.uint32)
        self._packed = np.empty(spec.frame_bytes, np.uint8)
        self._strip = np.zeros((tile_height, _STRIP_TILES, tile_width), np.uint32)
        self._blender = None if spec.has_alpha else Blender(strip_size, spec.background)
        self._swscale = Swscale(layout, strip_size)
        self._sample = np.uint16 if layout.sample_bytes == 2 else np.uint8
        self._planes = [
            Tiled(plane.view(self._sample), step)
            for plane, step in zip(
                packed_planes(self._packed, layout, spec.size), layout.plane_steps, strict=True
            )
        ]
        self._is_kept = False
        self._pause = self._misses = 0

    @staticmethod
    def suits(spec: StreamSpec) -> bool:
        """Whether frames of `spec` are as large as a tile, and encoded in the size they have."""
        is_large = spec.size[0] >= TILE_PX[0] and spec.size[1] >= TILE_PX[1]
        return is_large and (spec.odd_size != "scale" or spec.size == spec.source_size)

    def convert(self, rgba: Bytes, out: Bytes) -> bool:
        """Convert `rgba`; False, and `out` untouched, where that is better done in full.

        Parameters
        ----------
        rgba
            ``(height, width, 4) uint8``, RGBA, C-contiguous, of the encoded size.
        out
            ``(frame_bytes,) uint8``, written in place.
        """
        if not self._is_kept:
            return False
        pixels = rgba.view(np.uint32)[..., 0]
        tops, lefts = self._finder.find(pixels, self._before)
        # What fails from here on leaves half a frame, which is no ground for the next.
        self._is_kept = False
        if len(tops) > MOST * self._finder.count:
            self._rest()
            return False
        self._misses = 0
        before, now = Tiled(self._before), Tiled(pixels)
        for start in range(0, len(tops), _STRIP_TILES):
            some = slice(start, start + _STRIP_TILES)
            self._convert_tiles(now, before, (tops[some], lefts[some]))
        self._is_kept = True
        np.copyto(out, self._packed)
        return True

    def keep(self, rgba: Bytes, packed: Bytes) -> None:
        """Take a frame that was converted in full as the one before the next."""
        if self._pause:
            self._pause -= 1
            return
        np.copyto(self._before, rgba.view(np.uint32)[..., 0])
        np.copyto(self._packed, packed)
        self._is_kept = True

    def _rest(self) -> None:
        """Neither keep nor compare for a while, for longer each time in a row."""
        self._pause = min(2**self._misses, LONGEST_PAUSE) - 1
        self._misses += 1

    def _convert_tiles(self, now: Tiled, before: Tiled, places: Places) -> None:
        count = len(places[0])
        tiles = now.read(places)
        before.write(places, tiles)
        self._strip[:, :count] = tiles
        rgba = self._strip.view(np.uint8).reshape(TILE_PX[1], _STRIP_TILES * TILE_PX[0], 4)
        opaque = rgba if self._blender is None else self._blender.opaque(rgba)
        planes = self._swscale.planes(opaque)
        for packed, plane in zip(self._planes, planes, strict=True):
            samples = plane.view(self._sample).reshape(len(plane), _STRIP_TILES, -1)
            packed.write(places, samples[:, :count])
