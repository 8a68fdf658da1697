"""Animated PNG and WebP: of each frame an image of the rectangle that has changed.

Pillow encodes the images; what holds them together is written here, after the PNG
specification (third edition, 2025) and Google's "WebP Container Specification".
"""

from __future__ import annotations

import functools
import io
import os
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from rayanim.video.convert import Bytes
from rayanim.video.encode import EncodedPacket, EncodedSegment
from rayanim.video.images import ChangesEncoder, TimedJoiner, following
from rayanim.video.spec import StreamSpec

_PLACE = struct.Struct("<4I")
"""What stands before each image: left, top, width and height in pixels."""

Times: TypeAlias = tuple[Fraction, Fraction]
"""From when to when an image is shown, in seconds."""

_MOST = 0xFFFF

_PNG_BEGINS = b"\x89PNG\r\n\x1a\n"


class Rectangle(NamedTuple):
    """A part of a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int


class RectangleSegmentEncoder(ChangesEncoder):
    """Encodes one segment."""

    def _packet(self, packed: Bytes) -> EncodedPacket:
        image = changed_image(packed, self._last, self._spec)
        self._keep(packed.copy())
        return EncodedPacket(image, self._frames, not self._frames)


def changed_image(packed: Bytes, before: Bytes | None, spec: StreamSpec) -> bytes:
    """The image of what has changed since the frame before, behind where it stands."""
    width, height = spec.size
    shape = (height, width, spec.layout.sample_bytes)
    pixels = packed.reshape(shape)
    place = Rectangle(0, 0, width, height)
    if before is not None:
        place = changed_rectangle(pixels, before.reshape(shape))
    left, top = place.left, place.top
    part = np.ascontiguousarray(pixels[top : top + place.height, left : left + place.width])
    file = io.BytesIO()
    image = Image.fromarray(part)
    options = dict(spec.options)
    if spec.container == "apng":
        image.save(file, "PNG")
    else:
        chosen = {name: int(options[name]) for name in ("lossless", "quality", "method")}
        image.save(file, "WEBP", exact=True, **chosen)
    return _PLACE.pack(*place) + file.getvalue()


def changed_rectangle(pixels: Bytes, before: Bytes) -> Rectangle:
    """The smallest one with all pixels that differ, from an even row and column on.

    WebP's offsets are even. Where nothing differs it is one of a pixel.
    """
    differs = (pixels != before).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return Rectangle(0, 0, 1, 1)
    left, top = int(columns[0]) & ~1, int(rows[0]) & ~1
    return Rectangle(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


class RectangleJoiner(TimedJoiner):
    """Writes one animation."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        super().__init__(spec, path)
        self._last: Bytes | None = None
        with self._explaining():
            # Closed by `finish` or `abort`.
            file = io.BytesIO() if path is None else Path(path).open("w+b")  # noqa: SIM115
            self._file: BinaryIO = file
            self._writer = (_Apng if spec.container == "apng" else _Webp)(spec, self._file)

    def _write(self, image: bytes, end: int) -> None:
        number, clock = self._frames - 1, self._clock
        times_s = clock.at(number) * clock.tick, end * clock.tick
        place = Rectangle(*_PLACE.unpack_from(image))
        self._writer.add(number, times_s, place, image[_PLACE.size :])

    def _packets(self, segment: EncodedSegment) -> tuple[EncodedPacket, ...]:
        changed = functools.partial(changed_image, spec=self._spec)
        packets, self._last = following(segment, self._last, changed)
        return packets

    def _close(self) -> int:
        self._writer.finish(self._frames)
        self._file.flush()
        size_bytes = self._file.seek(0, os.SEEK_END)
        self._file.close()
        return size_bytes

    def _discard(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        super()._discard()


class _Apng:
    """An animated PNG; the file's first image is the animation's, too."""

    def __init__(self, spec: StreamSpec, file: BinaryIO) -> None:
        self._spec = spec
        self._file = file
        self._sequence = 0
        self._count_at = 0

    def add(self, number: int, times_s: Times, place: Rectangle, image: bytes) -> None:
        """Write an image; (section 11.3.6) fcTL before each, fdAT in the place of IDAT."""
        chunks = list(_png_chunks(image))
        if not number:
            self._file.write(_PNG_BEGINS)
            self._write(b"IHDR", chunks[0][1])
            self._count_at = self._file.tell()
            self._write(b"acTL", bytes(8))
        left, top, width, height = place
        numbers = (self._next(), width, height, left, top)
        self._write(b"fcTL", struct.pack(">5I2H2B", *numbers, *_delay(*times_s), 0, 0))
        for kind, data in chunks:
            if kind == b"IDAT" and not number:
                self._write(kind, data)
            elif kind == b"IDAT":
                self._write(b"fdAT", struct.pack(">I", self._next()) + data)

    def finish(self, n_frames: int) -> None:
        """Write the end, and the count of frames."""
        self._write(b"IEND", b"")
        self._file.seek(self._count_at)
        self._write(b"acTL", struct.pack(">2I", n_frames, self._spec.loop))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _write(self, kind: bytes, data: bytes) -> None:
        checksum = zlib.crc32(kind + data)
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


def _delay(begin_s: Fraction, end_s: Fraction) -> tuple[int, int]:
    """Seconds as two numbers of 16 bits, of which the first is divided by the second."""
    delay_s = end_s - begin_s
    if max(delay_s.numerator, delay_s.denominator) > _MOST:
        delay_s = delay_s.limit_denominator(max(1, min(_MOST, int(_MOST / delay_s))))
    return min(_MOST, delay_s.numerator), delay_s.denominator


def _png_chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG_BEGINS)
    while at < len(image):
        (size,) = struct.unpack_from(">I", image, at)
        yield image[at + 4 : at + 8], image[at + 8 : at + 8 + size]
        at += size + 12


_HAS_ANIMATION, _HAS_ALPHA = 0x02, 0x10
_DO_NOT_BLEND = 0x02


class _Webp:
    """An animated WebP."""

    def __init__(self, spec: StreamSpec, file: BinaryIO) -> None:
        self._spec = spec
        self._file = file
        width, height = spec.size
        flags = _HAS_ANIMATION | (_HAS_ALPHA if spec.has_alpha else 0)
        file.write(b"RIFF" + bytes(4) + b"WEBP")
        self._write(b"VP8X", bytes([flags, 0, 0, 0]) + _three(width - 1) + _three(height - 1))
        self._write(b"ANIM", struct.pack("<IH", 0, spec.loop))

    def add(self, number: int, times_s: Times, place: Rectangle, image: bytes) -> None:
        """Write an image, at its time in whole milliseconds."""
        begins_ms, ends_ms = (round(1000 * at_s) for at_s in times_s)
        left, top, width, height = place
        lasts_ms = min(ends_ms - begins_ms, 2**24 - 1)
        header = b"".join(map(_three, (left // 2, top // 2, width - 1, height - 1, lasts_ms)))
        parts = b"".join(
            each for kind, each in _riff_chunks(image) if kind in (b"ALPH", b"VP8 ", b"VP8L")
        )
        self._write(b"ANMF", header + bytes([_DO_NOT_BLEND]) + parts)

    def finish(self, n_frames: int) -> None:
        """Write the file's size."""
        size = self._file.tell()
        self._file.seek(4)
        self._file.write(struct.pack("<I", size - 8))

    def _write(self, kind: bytes, data: bytes) -> None:
        self._file.write(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2))


def _three(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _riff_chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind of each chunk, and the whole chunk."""
    at = 12
    while at < len(image):
        (size,) = struct.unpack_from("<I", image, at + 4)
        end = at + 8 + size + size % 2
        yield image[at : at + 4], image[at:end]
        at = end
