"""GIF: one palette for the whole video, segments encoded apart, and a file joined from them.

FFmpeg does the work: its filters ``palettegen`` and ``paletteuse`` choose the palette
and map pixels to it, its encoder leaves out of each image what has not changed, and its
muxer writes delays that follow the video's clock: 3, 3 and 4 hundredths at 30 fps.
"""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from rayanim.video.convert import Bytes
from rayanim.video.encode import EncodedPacket, EncodedSegment, open_codec
from rayanim.video.images import ChangesEncoder, following
from rayanim.video.join import Joiner
from rayanim.video.spec import StreamSpec

COLORS = 256
"""Entries of a GIF's palette."""

_OPAQUE_FROM = 128
"""The least alpha of a pixel that is opaque in a GIF; FFmpeg's default."""

NOISY_COLORS = 16_384
"""Frames with more colours are photographs, and not plots.

In those, pixels that stay as they were are encoded as transparent, which saves much.
In plots, most of which are of one colour, it costs: a wave takes 0.88 of the bytes
without it, a heat map takes 1.00.
"""

_OPAQUE = 0xFF000000

_SIDE = 16
"""A palette is an image of 16 by 16 pixels to FFmpeg."""

# One of these stands for each opaque colour that was met: 16 MB.
_ALL_COLORS = 1 << 24

_TIME_BASE = Fraction(1, 100)

_HEAD_BYTES = 13 + 3 * COLORS
"""What stands before the first image in FFmpeg's packet of it: the header and the palette."""


GRADIENT_SHARE, GRADIENT_COLORS = 0.1, 192
"""A frame of which so many pixels have none of its 128 most frequent colours shows areas
of gradients, such as a heat map or a photograph. With fewer colours those take 7 % less,
and no frame is shown worse than with a palette of its own; lines would be."""

_FREQUENT = 128


def usual_colors(frame: Bytes) -> int:
    """The most colours of a GIF with such a packed frame, where that was not chosen."""
    counts = np.sort(np.unique(frame.view("<u4"), return_counts=True)[1])
    share = counts[:-_FREQUENT].sum() / counts.sum()
    return GRADIENT_COLORS if share > GRADIENT_SHARE else COLORS


class PaletteMaker:
    """Chooses the palette of a GIF from some of its frames: `add` them, then `finish`.

    As long as the frames have no more colours than the palette may have, it has
    exactly theirs. `first` is the video's first frame.
    """

    def __init__(self, spec: StreamSpec, first: Bytes) -> None:
        self._spec = spec
        self._colors = spec.colors or usual_colors(first)
        self._met = np.zeros(_ALL_COLORS, np.bool_)
        self._is_transparent = False
        self._frames = 0
        self._graph = av.filter.Graph()
        source = _buffer(self._graph, spec.size)
        maker = self._graph.add("palettegen", f"max_colors={self._colors}")
        sink = self._graph.add("buffersink")
        source.link_to(maker)
        maker.link_to(sink)
        self._graph.configure()
        self._source, self._sink = source, sink

    def add(self, packed: Bytes) -> None:
        """Count the colours of a packed frame, (frame_bytes,) uint8."""
        pixels = packed.view("<u4")
        if self._spec.has_alpha:
            is_opaque = packed[3::4] >= _OPAQUE_FROM
            if not is_opaque.all():
                self._is_transparent = True
                pixels = pixels[is_opaque]
        self._met[pixels & 0xFFFFFF] = True
        self._source.push(_image(packed, self._spec.size, self._frames))
        self._frames += 1

    def finish(self) -> StreamSpec:
        """The spec with the palette, and with the encoder's options for such frames."""
        found: NDArray[Any] = np.flatnonzero(self._met)
        is_noisy = len(found) > NOISY_COLORS
        room = (self._spec.colors or COLORS) - self._is_transparent
        if len(found) > room:
            self._source.push(None)
            chosen = _plane(self._sink.pull(), _SIDE * 4).view("<u4").reshape(-1)
            found = np.unique(chosen[chosen >= _OPAQUE])
        else:
            found = _filled(found, room)
        # In the order in which paletteuse puts them, a transparent one last: the encoder
        # also gives it to pixels that stay as they were.
        palette = np.zeros(COLORS, "<u4")
        end = COLORS - (len(found) < COLORS)
        palette[:end] = (found[0] if len(found) else 0) | _OPAQUE
        palette[end - len(found) : end] = found | _OPAQUE
        flags = "+offsetting" + ("+" if is_noisy else "-") + "transdiff"
        options = {**dict(self._spec.options), "gifflags": flags}
        return replace(self._spec, palette=palette.tobytes().hex(), options=tuple(options.items()))


def _filled(found: NDArray[Any], room: int) -> NDArray[Any]:
    """As many colours as fit besides, spread evenly, for frames that were not sampled."""
    for side in (6, 5, 4, 3, 2):
        levels = np.linspace(0, 255, side).round().astype(int)
        cube = (levels[:, None, None] << 16 | levels[:, None] << 8 | levels).reshape(-1)
        together = np.union1d(found, cube)
        if len(together) <= room:
            return together
    return found


class PaletteMapper:
    """Gives each pixel of a frame, in order, the number of a colour of the palette.

    With error diffusion a pixel that has not changed keeps its number: only the
    rectangle that has changed is dithered.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._size = spec.size
        self._dither = spec.dither
        self._frames = 0
        self.palette = _palette_of(spec)
        graph = self._graph = av.filter.Graph()
        self._source = _buffer(graph, spec.size)
        palette = _buffer(graph, (_SIDE, _SIDE))
        mapper = graph.add("paletteuse", f"dither={spec.dither}:diff_mode=rectangle")
        self._sink = graph.add("buffersink")
        self._source.link_to(mapper, 0, 0)
        palette.link_to(mapper, 0, 1)
        mapper.link_to(self._sink)
        graph.configure()
        palette.push(_image(self.palette.reshape(-1), (_SIDE, _SIDE), 0))
        palette.push(None)

    def map(self, packed: Bytes) -> Bytes:
        """Colour numbers, (height, width) uint8, of a packed frame."""
        # It dithers in the frame's own memory, which other outputs read.
        pixels = packed if self._dither == "none" else packed.copy()
        self._source.push(_image(pixels, self._size, self._frames))
        self._frames += 1
        mapped: Any = self._sink.pull()
        if self._frames == 1 and bytes(mapped.planes[1]) != self.palette.tobytes():
            raise ValueError("paletteuse has changed the palette")
        return _plane(mapped, self._size[0])


class GifSegmentEncoder(ChangesEncoder):
    """Encodes one segment of a GIF."""

    def __init__(self, spec: StreamSpec) -> None:
        super().__init__(spec)
        with self._explaining():
            self._mapper = PaletteMapper(spec)
            self._images = _ImageEncoder(spec, self._mapper.palette)

    def _packet(self, packed: Bytes) -> EncodedPacket:
        numbers = self._mapper.map(packed)
        self._keep(numbers)
        return EncodedPacket(self._images.encode(numbers), self._frames, not self._frames)


class GifJoiner(Joiner):
    """Writes one GIF: byte for byte that of one encoder without dithering, see `following`."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        super().__init__(spec, path)
        self._palette = _palette_of(spec)
        self._last: Bytes | None = None
        self._last_image = b""

    def finish(self) -> int:
        """Write the end of the file, and return its size in bytes."""
        size_bytes = super().finish()
        clock, n_frames = self._file.clock, self._frames
        if not clock.is_even and self._file.path is not None:
            begin, end = (
                round(100 * at * clock.tick) for at in (clock.at(n_frames - 1), clock.end(n_frames))
            )
            # FFmpeg's muxer gives the last image the delay of the one before. The file ends
            # with it and a byte; the delay is in the fifth and sixth of its own.
            head_bytes = _HEAD_BYTES if self._last_image.startswith(b"GIF") else 0
            with self._file.path.open("r+b") as file:
                file.seek(size_bytes - 1 - len(self._last_image) + head_bytes + 4)
                file.write(min(end - begin, 0xFFFF).to_bytes(2, "little"))
        return size_bytes

    def _packets(self, segment: EncodedSegment, start: int) -> tuple[EncodedPacket, ...]:
        packets, self._last = following(segment, self._last, self._changed)
        self._last_image = packets[-1].data
        return packets

    def _changed(self, first: Bytes, before: Bytes) -> bytes:
        images, shape = _ImageEncoder(self._spec, self._palette), self._spec.size[::-1]
        images.encode(before.reshape(shape))
        return images.encode(first.reshape(shape))


class _ImageEncoder:
    """FFmpeg's encoder, which makes an image of each frame at once."""

    def __init__(self, spec: StreamSpec, palette: Bytes) -> None:
        self._context: VideoCodecContext = open_codec(spec)
        self._palette = np.ascontiguousarray(palette[:, ::-1])
        self._time_base = 1 / spec.rate
        self._frames = 0

    def encode(self, numbers: Bytes) -> bytes:
        """The image of a frame of colour numbers, as a change of the frame before."""
        # from_ndarray takes each colour as alpha, red, green and blue.
        frame = av.VideoFrame.from_ndarray((numbers, self._palette), format="pal8")  # type: ignore[arg-type]
        frame.pts = self._frames
        frame.time_base = self._time_base
        self._frames += 1
        (packet,) = self._context.encode(frame)
        return bytes(packet)


def _palette_of(spec: StreamSpec) -> Bytes:
    """The 256 colours, (256, 4) uint8 BGRA; grey ones where none were chosen yet."""
    if not spec.palette:
        grey = np.arange(COLORS, dtype=np.uint8)
        return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
    return np.frombuffer(bytes.fromhex(spec.palette), np.uint8).reshape(COLORS, 4)


def _buffer(graph: Any, size: tuple[int, int]) -> Any:
    """Where images go into a graph of filters."""
    width, height = size
    return graph.add_buffer(width=width, height=height, format="bgra", time_base=_TIME_BASE)


def _image(packed: Bytes, size: tuple[int, int], number: int) -> av.VideoFrame:
    width, height = size
    pixels = np.ascontiguousarray(packed).reshape(height, width, 4)
    frame = av.VideoFrame.from_numpy_buffer(pixels, format="bgra")
    frame.pts = number
    frame.time_base = _TIME_BASE
    return frame


def _plane(frame: Any, row_bytes: int) -> Bytes:
    """The first plane of a frame, (rows, row_bytes) uint8, in memory of its own."""
    plane = frame.planes[0]
    memory: NDArray[np.uint8] = np.frombuffer(plane, np.uint8)
    return memory.reshape(plane.height, plane.line_size)[:, :row_bytes].copy()
