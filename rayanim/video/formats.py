"""Which classes encode a stream, and join it: FFmpeg's encoder and muxer, or those of a format."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import av
import numpy as np

from rayanim.errors import EncodeError
from rayanim.video.convert import Bytes
from rayanim.video.encode import (
    EncodedSegment,
    PacketEncoder,
    SegmentEncoder,
    VideoEncoder,
    why_not_joinable,
)
from rayanim.video.gif import GifJoiner, GifSegmentEncoder
from rayanim.video.images import ImageJoiner, ImageSegmentEncoder, StillJoiner
from rayanim.video.join import Joiner
from rayanim.video.rectangles import RectangleJoiner, RectangleSegmentEncoder
from rayanim.video.spec import IMAGES, STILL, StreamSpec, gop_frames, segment_lengths

Path: TypeAlias = str | os.PathLike[str] | None


MadeT_co = TypeVar("MadeT_co", covariant=True)


class AnyEncoder(Protocol[MadeT_co]):
    """Encodes frames, in order."""

    def encode(self, frames: Bytes) -> None:
        """Encode the next frames, ``(n, frame_bytes)`` uint8."""

    def finish(self) -> MadeT_co:
        """Encode what is left; the segment, or the bytes of the finished file."""

    def abort(self) -> None:
        """Close without finishing and remove what was made; no effect after `finish`."""


AnySegmentEncoder: TypeAlias = AnyEncoder[EncodedSegment]
AnyFileEncoder: TypeAlias = AnyEncoder[int]


class AnyJoiner(Protocol):
    """Writes one video from its segments."""

    def add(self, segment: EncodedSegment) -> None:
        """Write the next segment."""

    def turn(self) -> None:
        """The segments that follow have the same frames in reverse."""

    def finish(self) -> int:
        """Close what is written, and return its size in bytes."""

    def abort(self) -> None:
        """Close without finishing and remove what is written; no effect after `finish`."""


class Classes(NamedTuple):
    """What encodes a format's segments, and what joins them."""

    segment_encoder: type[PacketEncoder]
    joiner: type[Any]


BY_FFMPEG = Classes(SegmentEncoder, Joiner)

OWN = {
    "gif": Classes(GifSegmentEncoder, GifJoiner),
    "apng": Classes(RectangleSegmentEncoder, RectangleJoiner),
    "webp": Classes(RectangleSegmentEncoder, RectangleJoiner),
    IMAGES: Classes(ImageSegmentEncoder, ImageJoiner),
    STILL: Classes(ImageSegmentEncoder, StillJoiner),
}
"""Formats that FFmpeg does not make alone, by the container's name."""


def segment_encoder(spec: StreamSpec, n_frames: int | None = None) -> AnySegmentEncoder:
    """An encoder for one segment; of several outputs, for one of `n_frames`."""
    if spec.others:
        from rayanim.video.outputs import OutputsSegmentEncoder

        return OutputsSegmentEncoder(spec, n_frames)
    return PingPongSegmentEncoder(spec) if spec.is_ping_pong else _segment_encoder(spec)


def _segment_encoder(spec: StreamSpec) -> AnySegmentEncoder:
    return OWN.get(spec.container, BY_FFMPEG).segment_encoder(spec)


def joiner_of(spec: StreamSpec, path: Path, *others: Path) -> AnyJoiner:
    """What joins segments to the file at `path`; None keeps it in memory."""
    if spec.others:
        from rayanim.video.outputs import OutputsJoiner

        return OutputsJoiner(spec, path, *others)
    joiner: AnyJoiner = OWN.get(spec.container, BY_FFMPEG).joiner(spec, path)
    return joiner


def file_encoder(
    spec: StreamSpec, path: Path, *others: Path, cuts: bool = False, n_frames: int | None = None
) -> AnyFileEncoder:
    """One encoder for the whole video; with paths for the others where it has several outputs.

    With `cuts`, those that can be joined from segments are, as they would be without one that
    cannot, from those of a video of `n_frames`.
    """
    if spec.others:
        from rayanim.video.outputs import OutputsEncoder

        return OutputsEncoder(spec, path, *others, cuts=cuts, n_frames=n_frames)
    encoder: VideoEncoder | SegmentedEncoder
    if spec.container in OWN or (cuts and why_not_joinable(spec) is None):
        encoder = SegmentedEncoder(spec, path, n_frames)
    else:
        encoder = VideoEncoder(spec, path)
    return PingPongEncoder(encoder) if spec.is_ping_pong else encoder


class SegmentsEncoder:
    """Encodes one output in segments that end where they would without others.

    `n_frames` are the frames to come, None where that is not known. `open_encoder` opens
    an encoder for each segment.
    """

    def __init__(
        self,
        spec: StreamSpec,
        n_frames: int | None,
        open_encoder: Callable[[StreamSpec], AnySegmentEncoder],
    ) -> None:
        self._spec = spec
        self._open_encoder = open_encoder
        self._lengths = segment_lengths(n_frames, gop_frames(spec))
        self._encoder: AnySegmentEncoder | None = None
        self._left = 0
        self._ended: list[int] = []

    def turn(self) -> list[EncodedSegment]:
        """The last segment. The frames that follow are those so far, in reverse."""
        last = self.finish()
        self._lengths = iter(self._ended[::-1])
        return last

    def encode(self, frames: Bytes) -> list[EncodedSegment]:
        """Encode the next frames; the segments that end with them."""
        ended = []
        for at in range(len(frames)):
            if self._encoder is None:
                self._encoder, self._left = self._open_encoder(self._spec), next(self._lengths)
            self._encoder.encode(frames[at : at + 1])
            self._left -= 1
            if not self._left:
                ended += self.finish()
        return ended

    def finish(self) -> list[EncodedSegment]:
        """The last segment, if there are frames of it."""
        if self._encoder is None:
            return []
        last, self._encoder = self._encoder.finish(), None
        self._ended.append(last.n_frames)
        return [last]

    def abort(self) -> None:
        if self._encoder is not None:
            self._encoder.abort()


class SegmentedEncoder:
    """Writes one video of a format that is made of segments: `encode`, then `finish` or `abort`."""

    def __init__(self, spec: StreamSpec, path: Path, n_frames: int | None = None) -> None:
        self._joiner = joiner_of(spec, path)
        self._segments = SegmentsEncoder(spec, n_frames, _segment_encoder)

    def turn(self) -> None:
        """The frames that follow are those so far, in reverse."""
        self._join(self._segments.turn())
        self._joiner.turn()

    def encode(self, frames: Bytes) -> None:
        self._join(self._segments.encode(frames))

    def finish(self) -> int:
        self._join(self._segments.finish())
        return self._joiner.finish()

    def abort(self) -> None:
        self._segments.abort()
        self._joiner.abort()

    def _join(self, segments: list[EncodedSegment]) -> None:
        for each in segments:
            self._joiner.add(each)


KEPT_BYTES = 64 * 2**20
"""Frames that are encoded once more, compressed, in memory; more go to a temporary file.

At 1920x1080 in yuv420p one of a wave takes 0.05 MB so, one of a heat map 0.6 MB: the 250 of a
segment 14 MB, or 155 MB. Four segments at once take 256 MB of memory at most, for each output.
"""


class _KeptFrames:
    """Packed frames, compressed without loss, to be had again in reverse."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(KEPT_BYTES)  # noqa: SIM115 - `close` closes it
        self._begins = [0]

    def add(self, frames: Bytes) -> None:
        for frame in frames:
            with _explained():
                self._file.write(zlib.compress(frame.tobytes(), 1))
                self._begins.append(self._file.tell())

    def reversed(self) -> Iterator[Bytes]:
        """Each frame, (1, frame_bytes) uint8, the last one first."""
        for begin, end in reversed(list(pairwise(self._begins))):
            with _explained():
                self._file.seek(begin)
                frame = zlib.decompress(self._file.read(end - begin))
            yield np.frombuffer(frame, np.uint8)[None]

    def close(self) -> None:
        # What a full disk did not take is written once more.
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what the disk of temporary files refuses into an EncodeError."""
    try:
        yield
    except OSError as error:
        folder = tempfile.tempdir or os.environ.get("TMPDIR", "/tmp")  # noqa: S108
        raise EncodeError(
            f"The frames to show again in reverse cannot be kept in the temporary folder "
            f"{folder!r}: {error.strerror}. Free some space there, or set TMPDIR to a folder on "
            "a disk that has room."
        ) from error


class _BothWays:
    """Encodes frames, and keeps them to encode them again in reverse."""

    def __init__(self, encoder: Any) -> None:
        self._kept = _KeptFrames()
        self._encoder = encoder

    def encode(self, frames: Bytes) -> None:
        self._encoder.encode(frames)
        self._kept.add(frames)

    def abort(self) -> None:
        self._encoder.abort()
        self._kept.close()

    def _finish_back(self) -> Any:
        for frame in self._kept.reversed():
            self._encoder.encode(frame)
        made = self._encoder.finish()
        self.abort()
        return made


class PingPongSegmentEncoder(_BothWays):
    """Encodes one segment, and its frames in reverse."""

    def __init__(self, spec: StreamSpec) -> None:
        super().__init__(_segment_encoder(spec))
        self._spec = spec

    def finish(self) -> EncodedSegment:
        """The segment, with the other in it."""
        there: EncodedSegment = self._encoder.finish()
        self._encoder = _segment_encoder(self._spec)
        return replace(there, back=self._finish_back())


class PingPongEncoder(_BothWays):
    """Writes one video: its frames, then all of them in reverse."""

    def finish(self) -> int:
        self._encoder.turn()
        size_bytes: int = self._finish_back()
        return size_bytes


def frame_times(path: str | os.PathLike[str]) -> tuple[int, list[float]]:
    """The width of a video in pixels, and when each of its frames begins, in seconds.

    Raises
    ------
    EncodeError
        If FFmpeg cannot read the file.
    """
    try:
        with av.open(os.fspath(path)) as container:
            stream = container.streams.video[0]
            packets = container.demux(stream)
            times_s = [float(each.pts * each.time_base) for each in packets if each.pts is not None]
            return stream.codec_context.width, sorted(times_s)
    except (av.FFmpegError, IndexError) as error:
        raise EncodeError(f"{os.fspath(path)!r} cannot be read as a video: {error}.") from error
