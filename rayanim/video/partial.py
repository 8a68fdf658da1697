"""Converts of a frame only what differs from the frame before."""

from __future__ import annotations

import numpy as np

from rayanim.video.blend import Blender
from rayanim.video.packing import Bytes, packed_planes
from rayanim.video.spec import StreamSpec
from rayanim.video.swscale import Swscale
from rayanim.video.tiles import TILE_PX, Places, Tiled, TileFinder

MOST = 0.35
"""Share of changed tiles beyond which a full conversion is about as quick."""

LONGEST_PAUSE = 64
"""Frames at most between two looks at whether frames resemble each other again."""

# Tiles are converted side by side in a strip of this many: 1536x16 pixels take
# 2.3 ns for a pixel, one tile 3.5 ns, but strips are filled less well the longer they are.
_STRIP_TILES = 48

_RGBA_BYTES = 4


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

    Attributes
    ----------
    is_kept
        True if there is a frame that the next one will be compared with.
    """

    def __init__(self, spec: StreamSpec) -> None:
        width, height = spec.size
        layout = spec.layout
        tile_width, tile_height = TILE_PX
        strip_size = (_STRIP_TILES * tile_width, tile_height)
        self._finder = TileFinder(spec.size)
        self._before = np.empty((height, width * _RGBA_BYTES), np.uint8)
        self._packed = np.empty(spec.frame_bytes, np.uint8)
        # Opaque: what no tile fills needs no blending.
        self._strip = np.full((tile_height, strip_size[0] * _RGBA_BYTES), 255, np.uint8)
        self._blender = None if spec.has_alpha else Blender(strip_size, spec.background)
        self._swscale = Swscale(layout, strip_size)
        planes = packed_planes(self._packed, layout, spec.size)
        self._planes = [
            Tiled(plane, layout.sample_bytes, step)
            for plane, step in zip(planes, layout.plane_steps, strict=True)
        ]
        self.is_kept = False
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
        if not self.is_kept:
            return False
        pixels = rgba.reshape(self._before.shape)
        tops, lefts = self._finder.find(pixels, self._before)
        # What fails from here on leaves half a frame, which is no ground for the next.
        self.is_kept = False
        if len(tops) > MOST * self._finder.count:
            self._rest()
            return False
        self._misses = 0
        before, now = Tiled(self._before, _RGBA_BYTES), Tiled(pixels, _RGBA_BYTES)
        for start in range(0, len(tops), _STRIP_TILES):
            some = slice(start, start + _STRIP_TILES)
            self._convert_tiles(now, before, (tops[some], lefts[some]))
        self.is_kept = True
        np.copyto(out, self._packed)
        return True

    def keep(self, rgba: Bytes, packed: Bytes) -> None:
        """Take a frame that was converted in full as the one before the next."""
        if self._pause:
            self._pause -= 1
            return
        np.copyto(self._before, rgba.reshape(self._before.shape))
        np.copyto(self._packed, packed)
        self.is_kept = True

    def _rest(self) -> None:
        """Neither keep nor compare for a while, for longer each time in a row."""
        self._pause = min(2**self._misses, LONGEST_PAUSE) - 1
        self._misses += 1

    def _convert_tiles(self, now: Tiled, before: Tiled, places: Places) -> None:
        now.read(places, self._strip)
        before.write(places, self._strip)
        rgba = self._strip.reshape(len(self._strip), -1, _RGBA_BYTES)
        opaque = rgba if self._blender is None else self._blender.opaque(rgba)
        for packed, plane in zip(self._planes, self._swscale.planes(opaque), strict=True):
            packed.write(places, plane)
