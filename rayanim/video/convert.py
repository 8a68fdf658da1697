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

Places: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]

_RGBA_BYTES = 4


class FrameConverter:
    """Converts RGBA frames to the encoder's pixel format, in order, reusing its buffers.

    The matrix is BT.709; ``yuv`` formats have limited range, ``gray`` and ``gbrp``
    full range. If a frame resembles the one before, only the difference is
    converted, to the same bytes. Not thread-safe.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = spec
        self._canvas = _canvas(spec)
        drawn_size = spec.source_size if self._canvas is None else spec.size
        self._blender = None if spec.has_alpha else Blender(drawn_size, spec.background)
        self._swscale = Swscale(spec.layout, spec.size)
        self._partial = PartialConverter(spec) if PartialConverter.suits(spec) else None

    def convert(self, rgba: Bytes, out: Bytes) -> None:
        """Convert the next frame into `out`."""
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
        """`rgba` padded or cropped; libswscale does any scaling."""
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


class FramePacker:
    """Converts each frame for all outputs of a run: once for those of the same pixels."""

    def __init__(self, spec: StreamSpec) -> None:
        outputs, places = spec.outputs, {each.start: each for each in spec.places}
        users: dict[int, list[StreamSpec]] = {}
        for each, place in zip(outputs, spec.places, strict=True):
            users.setdefault(place.start, []).append(each)
        stills = [each.frame for each in outputs if each.frame is not None] if spec.others else []
        # Where each image of one frame has its sign, and its frame.
        self._stills = list(enumerate(stills, spec.frame_bytes - len(stills)))
        self._parts = [
            (places[start], FrameConverter(each[0]), _only_frames(each))
            for start, each in users.items()
        ]

    def pack(self, rgba: Bytes, out: Bytes, number: int) -> None:
        """Convert frame `number` into `out`, (frame_bytes,) uint8."""
        for place, converter, frames in self._parts:
            if frames is None or number in frames:
                converter.convert(rgba, out[place])
            else:
                out[place] = 0
        for at, frame in self._stills:
            out[at] = number == frame


def _only_frames(outputs: list[StreamSpec]) -> set[int] | None:
    """The frames of which these outputs need the pixels; None for all."""
    frames = {each.frame for each in outputs}
    return None if None in frames else frames  # type: ignore[return-value]


def _canvas(spec: StreamSpec) -> Bytes | None:
    """A buffer for padded or cropped pixels, or None if neither is needed."""
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


MOST = 0.35
"""Share of changed tiles beyond which a full conversion is about as fast."""

LONGEST_PAUSE = 64
"""Frames at most until frames are compared again after they differed too much."""

# Tiles are converted side by side in a strip of this many: 1536x16 pixels take 2.3 ns
# per pixel, one tile 3.5 ns; the longer a strip, the less of it is used.
_STRIP_TILES = 48


class PartialConverter:
    """Converts only the tiles that differ from the frame before, found by comparing pixels.

    Keeps one frame as drawn and one as converted: 12 MB for 1920x1080 in
    ``yuv420p``. The bytes are those of a full conversion, because each block of
    pixels that shares chroma samples is converted independently.
    """

    def __init__(self, spec: StreamSpec) -> None:
        width, height = spec.size
        layout = spec.layout
        tile_width, tile_height = TILE_PX
        strip_size = (_STRIP_TILES * tile_width, tile_height)
        self._finder = TileFinder(spec.size)
        self._before = np.empty((height, width * _RGBA_BYTES), np.uint8)
        self._packed = np.empty(spec.frame_bytes, np.uint8)
        # Opaque, so that the unused rest needs no blending.
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
        """Whether frames of `spec` are at least as large as a tile, and not scaled."""
        is_large = spec.size[0] >= TILE_PX[0] and spec.size[1] >= TILE_PX[1]
        return is_large and (spec.odd_size != "scale" or spec.size == spec.source_size)

    def convert(self, rgba: Bytes, out: Bytes) -> bool:
        """Convert `rgba` into `out`; False, with `out` untouched, if too much has changed."""
        if not self.is_kept:
            return False
        pixels = rgba.reshape(self._before.shape)
        tops, lefts = self._finder.find(pixels, self._before)
        # A failure from here on leaves an incomplete frame, which the next must not use.
        self.is_kept = False
        if len(tops) > MOST * self._finder.count:
            self._pause_comparing()
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
        """Keep a frame that was converted in full, to compare the next one with it."""
        if self._pause:
            self._pause -= 1
            return
        np.copyto(self._before, rgba.reshape(self._before.shape))
        np.copyto(self._packed, packed)
        self.is_kept = True

    def _pause_comparing(self) -> None:
        """Stop keeping and comparing frames for a while, each time in a row for longer."""
        self._pause = min(2**self._misses, LONGEST_PAUSE) - 1
        self._misses += 1

    def _convert_tiles(self, now: Tiled, before: Tiled, places: Places) -> None:
        now.read(places, self._strip)
        before.write(places, self._strip)
        rgba = self._strip.reshape(len(self._strip), -1, _RGBA_BYTES)
        opaque = rgba if self._blender is None else self._blender.opaque(rgba)
        for packed, plane in zip(self._planes, self._swscale.planes(opaque), strict=True):
            packed.write(places, plane)


TILE_PX = (32, 16)
"""(width, height) of a tile, multiples of every chroma step.

Smaller tiles follow a moving line more closely, but cost more to find and to copy.
"""

_FLAGS_PER_WORD = 8


class TileFinder:
    """Compares images of one size, tile by tile."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        width, height = size
        tile_width, tile_height = TILE_PX
        down, across = -(-height // tile_height), -(-width // tile_width)
        # Two pixels are compared at a time if the width is even.
        self._pair = 1 if width % 2 else 2
        self._differs = np.zeros((down * tile_height, across * tile_width // self._pair), np.bool_)
        words = tile_width // self._pair // _FLAGS_PER_WORD
        self._words = self._differs.view(np.uint64).reshape(down, tile_height, across, words)
        self.count = down * across

    def find(self, rgba: Bytes, before: Bytes) -> Places:
        """Upper left corners of the tiles that differ, as (rows, columns).

        Corners are multiples of the tile size, except for tiles at the lower and right
        edge, which are moved to lie within the image.
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
        # A row of a tile is one element, which numpy copies at once. The elements
        # overlap: there is one for each place where a tile can be.
        self._piece = np.dtype((np.void, across * pixel_bytes))
        shape = (down, rows - down + 1, row_bytes // pixel_bytes - across + 1)
        strides = (row_bytes, row_bytes, pixel_bytes)
        self._places = np.ndarray(shape, self._piece, plane.data, strides=strides)

    def read(self, places: Places, tiles: Bytes) -> None:
        """Copy the tiles at `places` side by side into `tiles`."""
        tops, lefts = self._scaled(places)
        tiles.view(self._piece)[:, : len(tops)] = self._places[:, tops, lefts]

    def write(self, places: Places, tiles: Bytes) -> None:
        """Copy the first of `tiles`, side by side as in `read`, to `places`."""
        tops, lefts = self._scaled(places)
        self._places[:, tops, lefts] = tiles.view(self._piece)[:, : len(tops)]

    def _scaled(self, places: Places) -> Places:
        step_x, step_y = self._step
        return (places[0] // step_y, places[1] // step_x)


# In a pixel read as one number, red is the lowest byte and alpha the highest.
_PIXEL = np.dtype("<u4")
_OPAQUE = 0xFF000000
_RED_AND_BLUE = 0x00FF00FF

# Pixels that are blended at a time: four arrays of 64 kB fit into a core's cache.
_BLOCK_PX = 16384


class Blender:
    """Blends images over a background colour, reusing its buffers."""

    def __init__(self, size: tuple[int, int], background: tuple[int, int, int]) -> None:
        self._size = size
        red, green, blue = background
        self._red_and_blue = red | blue << 16
        self._green = green
        self._flat: NDArray[np.uint32] | None = None
        self._scratch: NDArray[np.uint32] = np.empty((3, 0), np.uint32)

    def opaque(self, rgba: Bytes) -> Bytes:
        """`rgba` itself if every pixel is opaque, otherwise a reused buffer with the blend."""
        pixels = rgba.reshape(-1).view(_PIXEL)
        if pixels.min() >= _OPAQUE:
            return rgba
        flat = self._buffer()
        for start in range(0, len(pixels), _BLOCK_PX):
            block = slice(start, start + _BLOCK_PX)
            self._blend_block(pixels[block], flat[block])
        return flat.view(np.uint8).reshape(rgba.shape)

    def _buffer(self) -> NDArray[np.uint32]:
        if self._flat is None:
            width, height = self._size
            self._flat = np.empty(width * height, _PIXEL)
            self._scratch = np.empty((3, _BLOCK_PX), np.uint32)
        return self._flat

    def _blend_block(self, pixels: NDArray[np.uint32], flat: NDArray[np.uint32]) -> None:
        if pixels.min() >= _OPAQUE:
            flat[:] = pixels
        elif pixels.max() < 1 << 24:
            flat[:] = self._red_and_blue | self._green << 8 | _OPAQUE
        else:
            self._blend(pixels, flat)

    def _blend(self, pixels: NDArray[np.uint32], flat: NDArray[np.uint32]) -> None:
        # With x = c*a + b*(255 - a) <= 65025 and t = x + 128, x / 255 rounded to
        # the nearest integer is (t + (t >> 8)) >> 8, which does not overflow 16 bits.
        # So red and blue are computed together, as the two halves of 32 bits.
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

# A chroma sample is the mean of its 2x2 pixels and of no others. BITEXACT gives the
# rounding of the C code on every CPU and costs next to nothing here (4.2 instead of
# 4.1 ms per 1920x1080 frame); ACCURATE_RND would add 2 to 10 ms and changed no bit
# of noise in any of the formats.
_SAME_SIZE_FLAGS = _SWS_AREA | _SWS_BITEXACT
_RESIZE_FLAGS = _SWS_BICUBIC | _SWS_BITEXACT | _SWS_ACCURATE_RND | _SWS_FULL_CHROMA_INPUT

# One thread: an actor has one core, and PyAV from 17 on would use all of them.
_THREADS: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class Swscale:
    """Converts images by libswscale, which is set up once for one size.

    If the size stays the same, each block of pixels that shares chroma samples is
    converted independently of the others.
    """

    def __init__(self, layout: PixelFormat, size: tuple[int, int]) -> None:
        self._layout = layout
        self._size = size
        self._reformatter = VideoReformatter()
        # libswscale 9 converts to "gray" by BT.601; the luma of yuv420p is right.
        self._target = "yuv420p" if layout.name == "gray" else layout.name

    def planes(self, rgba: Bytes) -> list[Bytes]:
        """The planes of `rgba`, each (rows, bytes of a row) uint8, in new memory."""
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
    """The planes of `frame`, each (rows, bytes of a row) uint8 without row padding."""
    shapes = layout.plane_shapes(size)
    return [
        _plane_rows(frame, index, rows)[:, :row_bytes]
        for index, (rows, row_bytes) in enumerate(shapes)
    ]


def unpack(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> av.VideoFrame:
    """Make a frame from `packed`, sharing its memory where PyAV can."""
    width, height = size
    # from_numpy_buffer supports few planar formats, and rounds the height of yuv420p
    # down to a multiple of 4 (PyAV 15.0 to 18.1).
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
