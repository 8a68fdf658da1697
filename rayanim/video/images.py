"""Images, one for each frame, encoded by Pillow; PNG as by ``Figure.savefig``."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from rayanim.errors import EncodeError
from rayanim.video.convert import Bytes
from rayanim.video.encode import (
    EncodedPacket,
    EncodedSegment,
    PacketEncoder,
    Step,
    make_anew,
    name_of,
    remove_written,
)
from rayanim.video.spec import StreamSpec
from rayanim.video.timing import Clock

JPEG_QUALITY = 95
"""Thin lines show blocks below that."""


def image_of(packed: Bytes, spec: StreamSpec) -> bytes:
    """The image file of a packed frame."""
    width, height = spec.size
    pixels = packed.reshape(height, width, spec.layout.sample_bytes)
    if spec.pixel_format == "bgra":
        pixels = pixels[..., [2, 1, 0, 3]]
    file = io.BytesIO()
    if spec.codec == "mjpeg":
        Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    else:
        Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class ImageSegmentEncoder(PacketEncoder):
    """Encodes the images of one segment."""

    def _encode(self, packed: Bytes) -> None:
        self._packets.append(self._packet(packed))

    def _segment(self) -> EncodedSegment:
        return EncodedSegment(self._frames, b"", tuple(self._packets), self._ends())

    def _packet(self, packed: Bytes) -> EncodedPacket:
        """The image of the next frame."""
        image = image_of(np.ascontiguousarray(packed), self._spec)
        return EncodedPacket(image, self._frames, True)

    def _ends(self) -> bytes:
        """What joining needs beside the images."""
        return b""


class ChangesEncoder(ImageSegmentEncoder):
    """Makes of each frame but the first an image of what has changed.

    To join it, the pixels of its first and its last frame are kept: see `following`.
    """

    def __init__(self, spec: StreamSpec) -> None:
        super().__init__(spec)
        self._first: Bytes | None = None
        self._last: Bytes | None = None

    def _keep(self, pixels: Bytes) -> None:
        """These are the next frame's, in memory of their own."""
        self._last = pixels
        self._first = pixels if self._first is None else self._first

    def _ends(self) -> bytes:
        ends = [each.tobytes() for each in (self._first, self._last) if each is not None]
        return zlib.compress(b"".join(ends), 1)


def following(
    segment: EncodedSegment, before: Bytes | None, changed: Callable[[Bytes, Bytes], bytes]
) -> tuple[tuple[EncodedPacket, ...], Bytes]:
    """The images of a segment behind frame `before`, and the pixels of its last frame.

    Its first image is encoded again, as what has `changed` since. So the file is that of
    one encoder, however the video is cut.
    """
    first, last = np.frombuffer(zlib.decompress(segment.ends), np.uint8).reshape(2, -1)
    if before is None:
        return segment.packets, last
    image, *others = segment.packets
    return (replace(image, data=changed(first, before), is_keyframe=False), *others), last


class OwnJoiner(Step):
    """Joins segments without FFmpeg's muxer; None as the path keeps nothing."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        super().__init__(spec, name_of(path))
        self._path = None if path is None else Path(path)

    def _discard(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class TimedJoiner(OwnJoiner):
    """Writes each image with the time until which it is shown, which is known with the next."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        super().__init__(spec, path)
        self._clock = Clock(spec.rate, spec.timing)
        self._waiting = b""

    def turn(self) -> None:
        with self._explaining():
            self._write_waiting(self._clock.end(self._frames))
        self._clock.turn(self._frames)

    def add(self, segment: EncodedSegment) -> None:
        """Write the images of the next segment."""
        self._check_open()
        with self._explaining():
            for packet in self._packets(segment):
                self._write_waiting(self._clock.at(self._frames))
                self._waiting = packet.data
                self._frames += 1

    def finish(self) -> int:
        """Write the end, and return the bytes of all that was written."""
        self._check_open()
        if not self._frames:
            raise EncodeError("There is no frame to write.")
        with self._explaining():
            self._write_waiting(self._clock.end(self._frames))
            size_bytes = self._close()
        self._end()
        return size_bytes

    def _packets(self, segment: EncodedSegment) -> tuple[EncodedPacket, ...]:
        return segment.packets

    def _write_waiting(self, end: int) -> None:
        image, self._waiting = self._waiting, b""
        if image:
            self._write(image, end)

    def _write(self, image: bytes, end: int) -> None:
        """Write the image before, which is shown until `end`."""
        raise NotImplementedError

    def _close(self) -> int:
        """The bytes of all that was written."""
        raise NotImplementedError


class ImageJoiner(TimedJoiner):
    """Writes images into a folder that it makes, each again for every frame that it lasts."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        super().__init__(spec, path)
        self._bytes = self._images = 0
        if self._path is not None:
            with self._explaining():
                make_anew(self._path)

    def _write(self, image: bytes, end: int) -> None:
        stop = max(self._images + 1, round(end * self._clock.tick * self._spec.rate))
        for number in range(self._images, stop):
            if self._path is not None:
                (self._path / (self._spec.names % number)).write_bytes(image)
            self._bytes += len(image)
        self._images = stop

    def _close(self) -> int:
        return self._bytes

    def _discard(self) -> None:
        if self._path is not None:
            remove_written(self._path)


class StillJoiner(OwnJoiner):
    """Writes the image of one frame into a file."""

    _bytes = 0

    def add(self, segment: EncodedSegment) -> None:
        """Write the image, which is the only packet of its segment."""
        self._check_open()
        with self._explaining():
            (packet,) = segment.packets
            if self._path is not None:
                self._path.write_bytes(packet.data)
            self._bytes = len(packet.data)

    def turn(self) -> None:
        """Nothing: there is one frame."""

    def finish(self) -> int:
        """The bytes of the image."""
        self._check_open()
        if not self._bytes:
            name = self._name.replace(".part'", "'")
            raise EncodeError(
                f"{name} is to show frame {self._spec.frame}, but the video has fewer frames: "
                "choose another one."
            )
        self._end()
        return self._bytes
