"""Converts drawn RGBA pixels into the packed frames that an encoder takes."""

from __future__ import annotations

import sys
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from rayanim.errors import FrameError
from rayanim.video.packing import Bytes, pack
from rayanim.video.spec import StreamSpec

# libswscale's flags (libswscale/swscale.h). PyAV 15 names only some of them.
_SWS_BICUBIC = 0x4
_SWS_AREA = 0x20
_SWS_FULL_CHROMA_INPUT = 0x4000
_SWS_ACCURATE_RND = 0x40000
_SWS_BITEXACT = 0x80000

# The mean of 2x2 pixels is a chroma sample: no bleeding beyond them. BITEXACT
# gives the rounding of the C code on every CPU and costs nothing here (4.2 ms
# instead of 4.1 ms per 1920x1080 frame); ACCURATE_RND would add 2 to 10 ms and
# changed no bit of noise in any of the formats.
_SAME_SIZE_FLAGS = _SWS_AREA | _SWS_BITEXACT
_RESIZE_FLAGS = _SWS_BICUBIC | _SWS_BITEXACT | _SWS_ACCURATE_RND | _SWS_FULL_CHROMA_INPUT

# One thread: an actor has one core, and PyAV 17 and later would take them all.
_THREADS: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}

# Rows that are blended at a time: at 1920 px, 64 rows of 16-bit samples in two
# buffers are 2 MB, which stays within a core's cache.
_BAND_ROWS = 64


class FrameConverter:
    """Turns RGBA pixels into one packed frame after the other, with kept buffers.

    The matrix is BT.709; ``yuv`` formats are in limited range, ``gray`` and
    ``gbrp`` in full range. Not for use from several threads at once.

    Parameters
    ----------
    spec
        Sizes, pixel format, background and what happens to an odd size.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = spec
        self._reformatter = VideoReformatter()
        self._blender = None if spec.has_alpha else _Blender(spec.source_size, spec.background)
        self._padded = _canvas(spec.size) if _pads(spec) else None
        # libswscale 9 gives "gray" the luma of BT.601; that of yuv420p is right.
        self._target = "yuv420p" if spec.pixel_format == "gray" else spec.pixel_format

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
        opaque = rgba if self._blender is None else self._blender.opaque(rgba)
        frame = self._reformatted(self._fitted(opaque))
        pack(frame, self._spec.layout, self._spec.size, out)

    def _check(self, rgba: Bytes, out: Bytes) -> None:
        width, height = self._spec.source_size
        _check_array("frame", rgba, (height, width, 4))
        _check_array("buffer for the converted frame", out, (self._spec.frame_bytes,))

    def _fitted(self, rgba: Bytes) -> Bytes:
        """`rgba` padded or cropped; scaling is left to the conversion."""
        width, height = self._spec.size
        if self._padded is not None:
            source_width, source_height = self._spec.source_size
            self._padded[:source_height, :source_width] = rgba
            self._padded[source_height:, :source_width] = rgba[-1:]
            self._padded[:, source_width:] = self._padded[:, source_width - 1 : source_width]
            return self._padded
        return rgba[:height, :width] if self._spec.odd_size == "crop" else rgba

    def _reformatted(self, rgba: Bytes) -> av.VideoFrame:
        width, height = self._spec.size
        frame = av.VideoFrame.from_numpy_buffer(rgba, format="rgba")
        resized = rgba.shape[:2] != (height, width)
        is_full = self._spec.layout.is_full_range
        return self._reformatter.reformat(
            frame,
            width,
            height,
            self._target,
            dst_colorspace=Colorspace.ITU709,
            interpolation=_RESIZE_FLAGS if resized else _SAME_SIZE_FLAGS,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
            **_THREADS,
        )


class _Blender:
    """Lays transparent pixels over a colour."""

    def __init__(self, size: tuple[int, int], background: tuple[int, int, int]) -> None:
        self._size = size
        self._background = np.array([*background, 255], dtype=np.uint16)
        self._flat: Bytes | None = None
        self._scratch: NDArray[np.uint16] = np.empty((0, 0, 0, 4), dtype=np.uint16)

    def opaque(self, rgba: Bytes) -> Bytes:
        """`rgba` itself if every pixel is opaque, else a kept buffer with the blend."""
        if _is_opaque(rgba):
            return rgba
        if self._flat is None:
            self._flat = _canvas(self._size)
            self._scratch = np.empty((2, _BAND_ROWS, self._size[0], 4), dtype=np.uint16)
        for start in range(0, len(rgba), _BAND_ROWS):
            band = slice(start, start + _BAND_ROWS)
            self._blend(rgba[band], self._flat[band])
        return self._flat

    def _blend(self, rgba: Bytes, flat: Bytes) -> None:
        # With x = c*a + b*(255 - a) <= 65025 and t = x + 128, x / 255 rounded
        # to the nearest integer is (t + (t >> 8)) >> 8, without overflow of
        # 16 bits. The fourth channel is ignored by formats without alpha.
        total, share = self._scratch[:, : len(rgba)]
        alpha = rgba[..., 3:]
        np.multiply(rgba, alpha, out=total, dtype=np.uint16)
        np.subtract(255, alpha, out=share, dtype=np.uint16)
        np.multiply(share, self._background, out=share)
        total += share
        total += 128
        np.right_shift(total, 8, out=share)
        total += share
        total >>= 8
        np.copyto(flat, total, casting="unsafe")


def _is_opaque(rgba: Bytes) -> bool:
    if sys.byteorder == "little":
        # Alpha is the highest byte of a pixel read as one number: one pass of
        # 0.3 ms at 1920x1080, a strided minimum takes ten times that.
        return int(rgba.view(np.uint32).min()) >= 0xFF000000
    return int(rgba[..., 3].min()) == 255


def _pads(spec: StreamSpec) -> bool:
    return spec.odd_size == "pad" and spec.size != spec.source_size


def _canvas(size: tuple[int, int]) -> Bytes:
    width, height = size
    return np.empty((height, width, 4), dtype=np.uint8)


def _check_array(what: str, array: Bytes, shape: tuple[int, ...]) -> None:
    is_packed = array.dtype == np.uint8 and array.flags.c_contiguous
    if array.shape != shape or not is_packed:
        raise FrameError(
            f"The {what} must be a C-contiguous uint8 array of shape {shape!r}, "
            f"got {array.dtype} of shape {array.shape!r}."
        )
