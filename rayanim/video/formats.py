"""Which classes encode a stream, and join it: FFmpeg's encoder and muxer, or those of a format."""

from __future__ import annotations

import os
from typing import TypeAlias

from rayanim.video.convert import Bytes
from rayanim.video.encode import SegmentEncoder, VideoEncoder
from rayanim.video.gif import GifJoiner, GifSegmentEncoder
from rayanim.video.join import Joiner
from rayanim.video.spec import StreamSpec, gop_frames

Path: TypeAlias = str | os.PathLike[str] | None

AnySegmentEncoder: TypeAlias = SegmentEncoder | GifSegmentEncoder


def segment_encoder(spec: StreamSpec) -> AnySegmentEncoder:
    """An encoder for one segment."""
    return GifSegmentEncoder(spec) if spec.container == "gif" else SegmentEncoder(spec)


def joiner_of(spec: StreamSpec, path: Path) -> Joiner:
    """What joins segments to the file at `path`; None keeps it in memory."""
    return GifJoiner(spec, path) if spec.container == "gif" else Joiner(spec, path)


def file_encoder(spec: StreamSpec, path: Path) -> VideoEncoder | SegmentedEncoder:
    """One encoder for the whole video."""
    return SegmentedEncoder(spec, path) if spec.container == "gif" else VideoEncoder(spec, path)


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
