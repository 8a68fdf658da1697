"""Converts drawn RGBA pixels into the packed frames that an encoder takes."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from rayanim.errors import FrameError
from rayanim.video.spec import PixelFormat, StreamSpec

Bytes = NDArray[np.uint8]


def packed_planes(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> list[Bytes]:
    """The planes of a packed frame, each (rows, bytes of a row) uint8, sharing its memory."""
    planes = []
    offset = 0
    for rows, row_bytes in layout.plane_shapes(size):
        end = offset + rows * row_bytes
        planes.append(packed[offset:end].reshape(rows, row_bytes))
        offset = end
    return planes


def frame_planes(frame: av.VideoFrame, layout: PixelFormat, size: tuple[int, int]) -> list[Bytes]:
    """The planes of `frame`, each (rows, bytes of a row) uint8 without the rows' padding."""
    shapes = layout.plane_shapes(size)
    return [
        _plane_rows(frame, index, rows)[:, :row_bytes]
        for index, (rows, row_bytes) in enumerate(shapes)
    ]


def unpack(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> av.VideoFrame:
    """Make a frame of `packed`, sharing its memory where PyAV can."""
    width, height = size
    # from_numpy_buffer takes few planar formats, and rounds the height of
    # yuv420p down to a multiple of 4 (PyAV 15.0 to 18.1).
    if layout.name == "yuv420p" and height % 4 == 0 and width % 2 == 0:
        planes = packed.reshape(height * 3 // 2, width)
        return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
    if layout.name == "gray":
        return av.VideoFrame.from_numpy_buffer(packed.reshape(height, width), format="gray")
    return _copied(packed, layout, size)


def _copied(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(*size, layout.name)
    places = frame_planes(frame, layout, size)
    for place, plane in zip(places, packed_planes(packed, layout, size), strict=True):
        np.copyto(place, plane)
    return frame


def _plane_rows(frame: av.VideoFrame, index: int, rows: int) -> Bytes:
    """The memory of one plane as (rows, line_size), row padding included."""
    plane = frame.planes[index]
    # PyAV's stubs do not say that a plane is a buffer.
    memory: NDArray[np.uint8] = np.frombuffer(cast(Any, plane), dtype=np.uint8)
    return memory.reshape(rows, plane.line_size)


# Red is the lowest byte of a pixel read as one number, opacity the highest.
_PIXEL = np.dtype("<u4")
_OPAQUE = 0xFF000000
_RED_AND_BLUE = 0x00FF00FF

# Pixels that are blended at a time: four arrays of 64 kB stay within a core's cache.
_PIECE_PX = 16384


class Blender:
    """Makes images opaque, with kept buffers."""

    def __init__(self, size: tuple[int, int], background: tuple[int, int, int]) -> None:
        self._size = size
        red, green, blue = background
        self._red_and_blue = red | blue << 16
        self._green = green
        self._flat: NDArray[np.uint32] | None = None
        self._scratch: NDArray[np.uint32] = np.empty((3, 0), np.uint32)

    def opaque(self, rgba: Bytes) -> Bytes:
        """`rgba` itself if every pixel is opaque, else a kept buffer with the blend."""
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


class Swscale:
    """Converts image after image of one size, which saves setting libswscale up.

    The matrix is BT.709; ``yuv`` formats are in limited range, ``gray`` and
    ``gbrp`` in full range. Where the size stays the same, each block of pixels
    that shares chroma samples is converted by itself, wherever it lies.
    """

    def __init__(self, layout: PixelFormat, size: tuple[int, int]) -> None:
        self._layout = layout
        self._size = size
        self._reformatter = VideoReformatter()
        # libswscale 9 gives "gray" the luma of BT.601; that of yuv420p is right.
        self._target = "yuv420p" if layout.name == "gray" else layout.name

    def planes(self, rgba: Bytes) -> list[Bytes]:
        """The planes of `rgba`, each (rows, bytes of a row) uint8, in memory of their own."""
        width, height = self._size
        is_resized = rgba.shape[:2] != (height, width)
        is_full = self._layout.is_full_range
        frame = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(rgba, format="rgba"),
            width,
            height,
            self._target,
            dst_colorspace=Colorspace.ITU709,
            interpolation=_RESIZE_FLAGS if is_resized else _SAME_SIZE_FLAGS,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
            **_THREADS,
        )
        return frame_planes(frame, self._layout, self._size)


TILE_PX = (32, 16)
"""(width, height) of a tile; sides that any chroma step divides.

Smaller ones follow a moving line more closely, but cost more to find and to move.
"""

_FLAGS_PER_WORD = 8

Places: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]


class TileFinder:
    """Compares pictures of one size tile by tile."""

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
    """A plane whose tiles can be read and written by their corners."""

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
        """Put the tiles at `places` side by side into `tiles`."""
        tops, lefts = self._scaled(places)
        tiles.view(self._piece)[:, : len(tops)] = self._places[:, tops, lefts]

    def write(self, places: Places, tiles: Bytes) -> None:
        """Put the first of `tiles`, side by side as `read` puts them, to `places`."""
        tops, lefts = self._scaled(places)
        self._places[:, tops, lefts] = tiles.view(self._piece)[:, : len(tops)]

    def _scaled(self, places: Places) -> Places:
        step_x, step_y = self._step
        return (places[0] // step_y, places[1] // step_x)


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
        """Convert `rgba`; False, and `out` untouched, where that is better done in full."""
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


class FrameConverter:
    """Turns RGBA pixels into one packed frame after the other, with kept buffers.

    The matrix is BT.709; ``yuv`` formats are in limited range, ``gray`` and
    ``gbrp`` in full range. Of a frame that resembles the one before only what
    differs is converted, to the same bytes. Not for use from several threads at
    once.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = spec
        self._canvas = _canvas(spec)
        drawn_size = spec.source_size if self._canvas is None else spec.size
        self._blender = None if spec.has_alpha else Blender(drawn_size, spec.background)
        self._swscale = Swscale(spec.layout, spec.size)
        self._partial = PartialConverter(spec) if PartialConverter.suits(spec) else None

    def convert(self, rgba: Bytes, out: Bytes) -> None:
        """Convert one frame."""
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
