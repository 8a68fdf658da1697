"""Converts drawn RGBA pixels into the packed frames that an encoder takes."""

from __future__ import annotations

import numpy as np

from rayanim.errors import FrameError
from rayanim.video.blend import Blender
from rayanim.video.packing import Bytes, packed_planes
from rayanim.video.partial import PartialConverter
from rayanim.video.spec import StreamSpec
from rayanim.video.swscale import Swscale


class FrameConverter:
    """Turns RGBA pixels into one packed frame after the other, with kept buffers.

    The matrix is BT.709; ``yuv`` formats are in limited range, ``gray`` and
    ``gbrp`` in full range. Of a frame that resembles the one before only what
    differs is converted, to the same bytes. Not for use from several threads at
    once.

    Parameters
    ----------
    spec
        Sizes, pixel format, background and what happens to an odd size.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = spec
        self._canvas = _canvas(spec)
        drawn_size = spec.source_size if self._canvas is None else spec.size
        self._blender = None if spec.has_alpha else Blender(drawn_size, spec.background)
        self._swscale = Swscale(spec.layout, spec.size)
        self._partial = PartialConverter(spec) if PartialConverter.suits(spec) else None

    def convert(self, rgba: Bytes, out: Bytes) -> None:
        """Convert one frame.

        Parameters
        ----------
        rgba
            ``(height, width, 4) uint8``, RGBA, C-contiguous, of ``source_size``.
            It is not written to.
        out
            ``(frame_bytes,) uint8``, C-contiguous, written in place.

        Raises
        ------
        FrameError
            If `rgba` or `out` has another shape or type.
        """
        self._check(rgba, out)
        fitted = self._fitted(rgba)
        if self._partial is None:
            self._convert_whole(fitted, out)
        elif not self._partial.convert(fitted, out):
            self._convert_whole(fitted, out)
            self._partial.keep(fitted, out)

    def _check(self, rgba: Bytes, out: Bytes) -> None:
        width, height = self._spec.source_size
        _check_array("frame", rgba, (height, width, 4))
        _check_array("buffer for the converted frame", out, (self._spec.frame_bytes,))

    def _fitted(self, rgba: Bytes) -> Bytes:
        """`rgba` padded or cropped; scaling is left to the conversion."""
        canvas = self._canvas
        if canvas is None:
            return rgba
        width = min(rgba.shape[1], canvas.shape[1])
        height = min(rgba.shape[0], canvas.shape[0])
        canvas[:height, :width] = rgba[:height, :width]
        canvas[height:, :width] = rgba[height - 1, :width]
        canvas[:, width:] = canvas[:, width - 1 : width]
        return canvas

    def _convert_whole(self, rgba: Bytes, out: Bytes) -> None:
        opaque = rgba if self._blender is None else self._blender.opaque(rgba)
        planes = self._swscale.planes(opaque)
        places = packed_planes(out, self._spec.layout, self._spec.size)
        for place, plane in zip(places, planes, strict=True):
            np.copyto(place, plane)


def _canvas(spec: StreamSpec) -> Bytes | None:
    """A buffer for padded or cropped pixels, or None where they are taken as they are."""
    if spec.size == spec.source_size or spec.odd_size == "scale":
        return None
    width, height = spec.size
    return np.empty((height, width, 4), dtype=np.uint8)


def _check_array(what: str, array: Bytes, shape: tuple[int, ...]) -> None:
    is_packed = array.dtype == np.uint8 and array.flags.c_contiguous
    if array.shape != shape or not is_packed:
        raise FrameError(
            f"The {what} must be a C-contiguous uint8 array of shape {shape!r}, "
            f"got {array.dtype} of shape {array.shape!r}."
        )
