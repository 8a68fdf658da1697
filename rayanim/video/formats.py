"""Which classes encode a stream, and join it: FFmpeg's encoder and muxer, or those of a format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from rayanim.video.convert import Bytes
from rayanim.video.encode import EncodedSegment, SegmentEncoder, VideoEncoder
from rayanim.video.gif import GifJoiner, GifSegmentEncoder
from rayanim.video.images import ImageJoiner, ImageSegmentEncoder
from rayanim.video.join import Joiner
from rayanim.video.rectangles import RectangleJoiner, RectangleSegmentEncoder
from rayanim.video.spec import IMAGES, StreamSpec, gop_frames

Path: TypeAlias = str | os.PathLike[str] | None


class AnySegmentEncoder(Protocol):
    """Encodes one segment."""

    def encode(self, frames: Bytes) -> None:
        """Encode the next frames, ``(n, frame_bytes)`` uint8."""

    def finish(self) -> EncodedSegment:
        """The segment."""

    def abort(self) -> None:
        """Close the encoder; no effect after `finish`."""


class AnyJoiner(Protocol):
    """Writes one video from its segments."""

    def add(self, segment: EncodedSegment) -> None:
        """Write the next segment."""

    def finish(self) -> int:
        """Close what is written, and return its size in bytes."""

    def abort(self) -> None:
        """Close without finishing and remove what is written; no effect after `finish`."""


@dataclass(frozen=True, slots=True)
class Classes:
    """What encodes the segments of a format, and what joins them to a file at a path."""

    segment_encoder: type[Any]
    joiner: type[Any]


OWN = {
    "gif": Classes(GifSegmentEncoder, GifJoiner),
    "apng": Classes(RectangleSegmentEncoder, RectangleJoiner),
    "webp": Classes(RectangleSegmentEncoder, RectangleJoiner),
    IMAGES: Classes(ImageSegmentEncoder, ImageJoiner),
}
"""Formats that FFmpeg's encoder and muxer do not make alone, by the container's name."""


def segment_encoder(spec: StreamSpec) -> AnySegmentEncoder:
    """An encoder for one segment."""
    own = OWN.get(spec.container)
    encoder: AnySegmentEncoder = SegmentEncoder(spec) if own is None else own.segment_encoder(spec)
    return encoder


def joiner_of(spec: StreamSpec, path: Path) -> AnyJoiner:
    """What joins segments to the file at `path`; None keeps it in memory."""
    own = OWN.get(spec.container)
    joiner: AnyJoiner = Joiner(spec, path) if own is None else own.joiner(spec, path)
    return joiner


def file_encoder(spec: StreamSpec, path: Path) -> VideoEncoder | SegmentedEncoder:
    """One encoder for the whole video."""
    return (SegmentedEncoder if spec.container in OWN else VideoEncoder)(spec, path)


class SegmentedEncoder:
    """Writes one video of a format that is made of segments: `encode`, then `finish` or `abort`."""

    def __init__(self, spec: StreamSpec, path: Path) -> None:
        self._spec = spec
        self._longest = gop_frames(spec)
        self._joiner = joiner_of(spec, path)
        self._encoder = segment_encoder(spec)
        self._frames = 0

    def encode(self, frames: Bytes) -> None:
        """Encode the next frames, ``(n, frame_bytes)`` uint8."""
        for at in range(len(frames)):
            if self._frames == self._longest:
                self._joiner.add(self._encoder.finish())
                self._encoder, self._frames = segment_encoder(self._spec), 0
            self._encoder.encode(frames[at : at + 1])
            self._frames += 1

    def finish(self) -> int:
        """Close the file, and return its size in bytes."""
        self._joiner.add(self._encoder.finish())
        return self._joiner.finish()

    def abort(self) -> None:
        """Close without finishing and remove the file; no effect after `finish`."""
        self._encoder.abort()
        self._joiner.abort()
