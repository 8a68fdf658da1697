"""Take the frames of one segment as they are drawn: as they are, or into an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rayanim.video.segment import EncodedSegment
    from rayanim.video.spec import StreamSpec

Frame = npt.NDArray[np.uint8]
"""(frame_bytes,) uint8: one planar frame, packed as `StreamSpec` says."""

RawPayload = npt.NDArray[np.uint8]
"""(frames, frame_bytes) uint8: such frames, one after the other."""

Collected = TypeVar("Collected")
Given = TypeVar("Given", covariant=True)


class Collector(Protocol[Given]):
    """Takes the frames of one segment, in order."""

    def buffer(self) -> Frame:
        """Where the next frame is to be put, (frame_bytes,) uint8."""

    def add(self) -> None:
        """The frame is there."""

    def finish(self) -> Given:
        """What the frames came to."""

    def abort(self) -> None:
        """Let go of what was collected."""


class RawFrames:
    """Keeps frames as they are.

    Parameters
    ----------
    spec
        How they are packed.
    n_frames
        How many there will be.
    """

    def __init__(self, spec: StreamSpec, n_frames: int) -> None:
        self._frames = np.empty((n_frames, spec.frame_bytes), np.uint8)
        self._count = 0

    def buffer(self) -> Frame:
        frame: Frame = self._frames[self._count]
        return frame

    def add(self) -> None:
        self._count += 1

    def finish(self) -> RawPayload:
        return self._frames

    def abort(self) -> None:
        self._count = 0


class EncodedFrames:
    """Encodes frames into a closed segment, in the thread that draws them.

    Parameters
    ----------
    spec
        The stream.
    done
        Frames of the segment that were drawn before, its first.

    Raises
    ------
    EncodeError
        If FFmpeg refuses the stream or a frame.
    """

    def __init__(self, spec: StreamSpec, done: RawPayload | None = None) -> None:
        from rayanim.video.segment import SegmentEncoder

        self._encoder = SegmentEncoder(spec)
        # One frame at a time: 250 of them in 1920x1080 would take 775 MB.
        self._frame = np.empty((1, spec.frame_bytes), np.uint8)
        if done is not None:
            self._encoder.encode(done)

    def buffer(self) -> Frame:
        frame: Frame = self._frame[0]
        return frame

    def add(self) -> None:
        self._encoder.encode(self._frame)

    def finish(self) -> EncodedSegment:
        return self._encoder.finish()

    def abort(self) -> None:
        self._encoder.abort()


class Remembering(Generic[Given]):
    """Hands frames on to a collector, and keeps the first few.

    Parameters
    ----------
    inner
        The collector.
    count
        How many frames are kept.

    Attributes
    ----------
    kept
        Copies of them.
    """

    def __init__(self, inner: Collector[Given], count: int) -> None:
        self._inner = inner
        self._count = count
        self.kept: list[Frame] = []

    def buffer(self) -> Frame:
        return self._inner.buffer()

    def add(self) -> None:
        if len(self.kept) < self._count:
            self.kept.append(self._inner.buffer().copy())
        self._inner.add()

    def finish(self) -> Given:
        return self._inner.finish()

    def abort(self) -> None:
        self._inner.abort()
