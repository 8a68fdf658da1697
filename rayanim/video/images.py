"""Images, one for each frame, encoded by Pillow; PNG as by ``Figure.savefig``."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from rayanim.errors import EncodeError
from rayanim.video.convert import Bytes
from rayanim.video.encode import (
    EncodedPacket,
    EncodedSegment,
    EncoderState,
    check_count,
    check_frames,
    make_anew,
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


class ImageSegmentEncoder:
    """Encodes the images of one segment: `encode` frames, then `finish` or `abort`."""

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = spec
        self._packets: list[EncodedPacket] = []
        self._state = EncoderState(spec, "a segment")

    def encode(self, frames: Bytes) -> None:
        """Encode the next frames, ``(n, frame_bytes)`` uint8."""
        self._state.check_open()
        check_frames(frames, self._spec)
        with self._state.step(self._packets.clear):
            for packed in frames:
                self._packets.append(self._packet(packed))
                self._state.frames += 1

    def finish(self) -> EncodedSegment:
        """The segment."""
        self._state.check_open()
        with self._state.step(self._packets.clear):
            check_count(self._state.frames, len(self._packets))
        packets = tuple(self._packets)
        self.abort()
        return EncodedSegment(len(packets), b"", packets, self._ends())

    def abort(self) -> None:
        """Close the encoder; no effect after `finish`."""
        self._state.end()
        self._packets = []

    def _packet(self, packed: Bytes) -> EncodedPacket:
        """The image of the next frame."""
        image = image_of(np.ascontiguousarray(packed), self._spec)
        return EncodedPacket(image, self._state.frames, True)

    def _ends(self) -> bytes:
        """What joining needs beside the images."""
        return b""


class ImageJoiner:
    """Writes the images of segments, in order, into a folder that it makes."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._names = spec.names
        self._folder = None if path is None else Path(path)
        self._state = EncoderState(spec, "a test in memory" if path is None else repr(str(path)))
        self._bytes = 0
        self._rate = spec.rate
        self._clock = Clock(spec.rate, spec.timing)
        # The last image, which is written once more for each frame that it lasts.
        self._waiting = b""
        self._images = 0
        if self._folder is not None:
            with self._state.step(self._remove):
                make_anew(self._folder)

    def turn(self) -> None:
        """The segments that follow have the same frames in reverse."""
        with self._state.step(self._remove):
            self._write_waiting(self._clock.end(self._state.frames))
        self._clock.turn(self._state.frames)

    def add(self, segment: EncodedSegment) -> None:
        """Write the images of the next segment."""
        self._state.check_open()
        with self._state.step(self._remove):
            for packet in segment.packets:
                self._write_waiting(self._clock.at(self._state.frames))
                self._waiting = packet.data
                self._state.frames += 1

    def finish(self) -> int:
        """The bytes of all images."""
        self._state.check_open()
        if not self._state.frames:
            raise EncodeError("There is no frame to write.")
        with self._state.step(self._remove):
            self._write_waiting(self._clock.end(self._state.frames))
        self._state.end()
        return self._bytes

    def abort(self) -> None:
        """Remove the folder; no effect after `finish`."""
        if self._state.end():
            self._remove()

    def _write_waiting(self, end: int) -> None:
        """Write the image before for each frame until `end`, at least once."""
        image, self._waiting = self._waiting, b""
        if not image:
            return
        stop = max(self._images + 1, round(end * self._clock.tick * self._rate))
        for number in range(self._images, stop):
            if self._folder is not None:
                (self._folder / (self._names % number)).write_bytes(image)
            self._bytes += len(image)
        self._images = stop

    def _remove(self) -> None:
        if self._folder is not None:
            remove_written(self._folder)


class StillJoiner:
    """Writes the image of one frame into a file."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._spec = spec
        self._path = None if path is None else Path(path)
        self._state = EncoderState(spec, "a test in memory" if path is None else repr(str(path)))
        self._bytes = 0

    def add(self, segment: EncodedSegment) -> None:
        """Write the image, which is the only packet of its segment."""
        self._state.check_open()
        with self._state.step(self._remove):
            (packet,) = segment.packets
            if self._path is not None:
                self._path.write_bytes(packet.data)
            self._bytes = len(packet.data)

    def turn(self) -> None:
        """Nothing: there is one frame."""

    def finish(self) -> int:
        """The bytes of the image."""
        self._state.check_open()
        if not self._bytes:
            name = self._state.name.replace(".part'", "'")
            raise EncodeError(
                f"{name} is to show frame {self._spec.frame}, but the video has fewer frames: "
                "choose another one."
            )
        self._state.end()
        return self._bytes

    def abort(self) -> None:
        """Remove the file; no effect after `finish`."""
        if self._state.end():
            self._remove()

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
