"""Reads videos back, with colours computed here and not by the library under test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

BITS = 16


@dataclass(frozen=True, slots=True)
class Video:
    """What a video says about itself, and what decoding it gives.

    Parameters
    ----------
    size
        (width, height) in pixels.
    rate
        Frames per second as the container tells it.
    times_s
        When each frame is shown, in seconds.
    codec, codec_tag, pixel_format
        As FFmpeg names them.
    primaries, transfer, matrix, range
        The stream's colour tags by the numbers of ITU-T H.273, and FFmpeg's
        number of the range: 1 limited, 2 full.
    frames
        ``(height, width, 3) uint8`` RGB of each frame.
    """

    size: tuple[int, int]
    rate: Fraction
    times_s: tuple[Fraction, ...]
    codec: str
    codec_tag: str
    pixel_format: str
    primaries: int
    transfer: int
    matrix: int
    range: int
    frames: tuple[Pixels, ...]

    @property
    def numbers(self) -> list[int]:
        """The numbers that `numbered_rgba` put into the frames, in order."""
        return [read_number(frame) for frame in self.frames]


def read_video(path: str | os.PathLike[str]) -> Video:
    """Decode the whole video at `path`, whatever its suffix."""
    with av.open(os.fspath(path)) as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        context = stream.codec_context
        return Video(
            size=(context.width, context.height),
            rate=Fraction(stream.average_rate or 0),
            times_s=tuple(frame.pts * frame.time_base for frame in decoded),
            codec=context.name,
            codec_tag=context.codec_tag,
            pixel_format=decoded[0].format.name,
            primaries=int(context.color_primaries),
            transfer=int(context.color_trc),
            matrix=int(context.colorspace),
            range=int(context.color_range),
            frames=tuple(to_rgb(frame) for frame in decoded),
        )


def to_rgb(frame: Any) -> Pixels:
    """``(height, width, 3) uint8`` RGB of a decoded frame, by BT.709 as its tags say."""
    name = frame.format.name
    planes = [_samples(frame, index) for index in range(min(3, len(frame.planes)))]
    if name in ("bgra", "bgr0"):
        return packed_samples(frame)[..., 2::-1]
    if name == "argb":
        return packed_samples(frame)[..., 1:]
    if name in ("rgba", "rgb24"):
        return packed_samples(frame, 4 if name == "rgba" else 3)[..., :3]
    if name == "gbrp":
        green, blue, red = planes
        return np.stack([red, green, blue], axis=-1).astype(np.uint8)
    depth_scale = 4.0 if "10" in name else 1.0
    luma, *chroma = [plane.astype(float) / depth_scale for plane in planes]
    is_full = int(frame.color_range) == 2
    y = luma / 255 if is_full else (luma - 16) / 219
    if not chroma:
        return _to_bytes(np.stack([y, y, y], axis=-1))
    cb, cr = ((_spread(c, y.shape) - 128) / (255 if is_full else 224) for c in chroma)
    # ITU-R BT.709-6, items 3.2 and 3.3: Kr = 0.2126, Kb = 0.0722.
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return _to_bytes(np.stack([red, green, blue], axis=-1))


def packed_samples(frame: Any, count: int = 4) -> Pixels:
    """``(height, width, count) uint8`` of a frame whose samples stand together."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : count * frame.width].reshape(frame.height, frame.width, count)


def _samples(frame: Any, index: int) -> NDArray[Any]:
    plane = frame.planes[index]
    kind = np.uint16 if "10" in frame.format.name else np.uint8
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows).view(kind)[:, : plane.width]


def _spread(chroma: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Chroma repeated to the luma's size."""
    tall, wide = -(-shape[0] // chroma.shape[0]), -(-shape[1] // chroma.shape[1])
    return chroma.repeat(tall, axis=0).repeat(wide, axis=1)[: shape[0], : shape[1]]


def _to_bytes(share: NDArray[Any]) -> Pixels:
    return np.clip(np.rint(share * 255), 0, 255).astype(np.uint8)


def solid_rgba(size: tuple[int, int], colour: tuple[int, ...]) -> Pixels:
    """A frame of one colour; (red, green, blue) is opaque."""
    frame = np.empty((size[1], size[0], 4), np.uint8)
    frame[:] = colour if len(colour) == 4 else (*colour, 255)
    return frame


def numbered_rgba(size: tuple[int, int], number: int) -> Pixels:
    """A frame whose eight by two blocks, black or white, are the bits of `number`."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8).reshape(2, 8)
    rows = np.arange(size[1]) * 2 // size[1]
    columns = np.arange(size[0]) * 8 // size[0]
    gray = bits[rows][:, columns] * 255
    frame = solid_rgba(size, (0, 0, 0))
    frame[..., :3] = gray[..., None]
    return frame


def read_number(rgb: Pixels) -> int:
    """The number in a decoded frame of `numbered_rgba`, from the middle of each block."""
    height, width = rgb.shape[:2]
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, 8)
        middle = rgb[(2 * row + 1) * height // 4, (2 * column + 1) * width // 16]
        number |= int(middle.mean() > 127) << bit
    return number
