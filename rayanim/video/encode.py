"""Encodes packed frames, in order, into one file."""

from __future__ import annotations

import errno
import gc
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rayanim.errors import EncodeError
from rayanim.video.convert import Bytes, unpack
from rayanim.video.spec import CODECS, StreamSpec


def reason_for(error: Exception, retry: Callable[[], object]) -> str:
    """FFmpeg's words for `error`, with the lines it logs when `retry` fails again.

    PyAV leaves FFmpeg's log off, because its callbacks from codec threads can
    block each other. So only a failure that has happened is tried once more
    with the log of this thread on; the log's level is put back afterwards.

    Meanwhile the garbage collector rests. An encoder that it freed would wait
    for its threads while holding the interpreter, which they need to log.
    """
    words = str(getattr(error, "strerror", None) or error)
    with _no_garbage_collection(), _log_on(), av.logging.Capture() as logs:
        _try(retry)
    lines = dict.fromkeys(f"{name}: {message.strip()}" for _level, name, message in logs)
    return "; ".join([words, *lines])


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except (av.FFmpegError, OSError, ValueError):
        # Expected: it failed before, and what counts is what it logged.
        return


@contextmanager
def _log_on() -> Iterator[None]:
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    # Else the same failure, the second time, would have no reason.
    av.logging.set_skip_repeated(False)
    try:
        yield
    finally:
        av.logging.set_skip_repeated(skips)
        av.logging.set_level(level)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def quiet_svt(codec: str) -> Iterator[None]:
    """Let SVT-AV1 print errors only, unless the user has chosen its log level.

    It reads its level from the environment when an encoder is opened and has
    no option for it. ``os.putenv`` shows it the variable without a change of
    ``os.environ``.
    """
    if codec != "libsvtav1" or "SVT_LOG" in os.environ:
        yield
        return
    os.putenv("SVT_LOG", "1")
    try:
        yield
    finally:
        os.unsetenv("SVT_LOG")


# ITU-T H.273: 1 is BT.709 for primaries, transfer and matrix; matrix 0 is RGB.
_BT709 = 1
_RGB_MATRIX = 0
# FFmpeg's AVColorRange.
_LIMITED_RANGE = 1
_FULL_RANGE = 2
# FFmpeg's AV_CODEC_FLAG_GLOBAL_HEADER: the header stands once, beside the packets.
_GLOBAL_HEADER = 1 << 22

# Apple's players open H.265 only under this tag; FFmpeg's own choice is hev1.
_CODEC_TAGS = {("mp4", "libx265"): "hvc1", ("mov", "libx265"): "hvc1"}


def open_file(spec: StreamSpec, path: Path | None) -> tuple[OutputContainer, VideoStream]:
    """Open the encoder and the file, and write the file's head."""
    # bitexact: no dates and no random identifiers. FFmpeg opens the file once
    # more to put the index first, which nothing in memory allows.
    options = {"fflags": "+bitexact"}
    if spec.container in ("mp4", "mov"):
        # Else the video's length is rounded to a thousandth of a second.
        options["movie_timescale"] = str(spec.rate.numerator)
        if path is not None:
            options["movflags"] = "+faststart"
    file = io.BytesIO() if path is None else str(path)
    container = av.open(file, "w", format=spec.container, container_options=options)
    stream = _add_stream(container, spec)
    with quiet_svt(spec.codec):
        container.start_encoding()
    return container, stream


def open_codec(spec: StreamSpec) -> VideoCodecContext:
    """Open the encoder alone; its packets are those that `open_file` would write."""
    context = av.CodecContext.create(spec.codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise ValueError(f"{spec.codec} encodes no video")
    context.options = dict(spec.options)
    context.framerate = spec.rate
    context.time_base = 1 / spec.rate
    # As for a stream in any of our containers.
    context.flags |= _GLOBAL_HEADER
    _configure(context, spec)
    with quiet_svt(spec.codec):
        context.open()
    return context


def try_to_open(spec: StreamSpec) -> None:
    """Open the encoder and a file in memory, and close both."""
    # Closed at once: PyAV 15 and 16 crash if an open file in memory is left to
    # the garbage collector.
    container, _stream = open_file(spec, None)
    container.close()


def frame_of(packed: Bytes, spec: StreamSpec, position: int) -> av.VideoFrame:
    """The packed frame as FFmpeg takes it, shown at `position` in units of a frame."""
    frame = unpack(packed, spec.layout, spec.size)
    frame.pts = position
    frame.duration = 1
    frame.time_base = 1 / spec.rate
    return frame


def _add_stream(container: OutputContainer, spec: StreamSpec) -> VideoStream:
    stream = container.add_stream(
        spec.codec, rate=spec.rate, options=dict(spec.options), time_base=1 / spec.rate
    )
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{spec.codec} encodes no video")
    _configure(stream.codec_context, spec)
    tag = _CODEC_TAGS.get((spec.container, spec.codec))
    if tag is not None:
        stream.codec_context.codec_tag = tag
    return stream


def _configure(context: VideoCodecContext, spec: StreamSpec) -> None:
    context.width, context.height = spec.size
    context.pix_fmt = spec.pixel_format
    context.bit_rate = round((spec.bitrate_kbps or 0) * 1000)
    # PyAV's default, slices, nearly doubles the size of x264's files of plots.
    context.thread_type = "FRAME"
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.colorspace = _RGB_MATRIX if spec.layout.colour == "rgb" else _BT709
    context.color_range = _FULL_RANGE if spec.layout.is_full_range else _LIMITED_RANGE


FAILURES = (av.FFmpegError, OSError, ValueError)
"""What FFmpeg, PyAV and the disk raise."""


class Lifecycle:
    """The first failure ends what is going on, and every later call raises it again."""

    def __init__(self, spec: StreamSpec, name: str) -> None:
        self._spec = spec
        self._name = name
        self._failure: EncodeError | None = None
        self._is_open = True
        self.frames = 0
        """Frames that have gone in."""

    def check_open(self) -> None:
        """Raise the first failure again, or an EncodeError if all is closed already."""
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise EncodeError(f"{self._name} is closed already; open a new encoder.")

    @contextmanager
    def step(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Turn a failure inside into an EncodeError, and end with it."""
        try:
            yield
        except FAILURES as error:
            if self.end():
                give_up()
            self._failure = explained(error, self._spec, self._name, self.frames)
            raise self._failure from error

    def end(self) -> bool:
        """Let nothing follow; False if it had ended already."""
        was_open, self._is_open = self._is_open, False
        return was_open


def check_payload(payload: Bytes, spec: StreamSpec) -> None:
    """Raise an EncodeError unless `payload` is ``(n, frame_bytes) uint8``, C-contiguous."""
    is_packed = payload.dtype == np.uint8 and payload.flags.c_contiguous
    if payload.ndim != 2 or payload.shape[1] != spec.frame_bytes or not is_packed:
        raise EncodeError(
            f"A payload must be a C-contiguous uint8 array of shape (n, {spec.frame_bytes}), "
            f"got {payload.dtype} of shape {payload.shape!r}."
        )


def check_count(frames: int, packets: int) -> None:
    """Raise a ValueError if there was no frame, or not one packet for each."""
    if not frames:
        raise ValueError("there is no frame in it")
    if packets != frames:
        raise ValueError(f"it made {packets} packets of {frames} frames")


def explained(error: Exception, spec: StreamSpec, name: str, frame: int) -> EncodeError:
    """An error that says what FFmpeg or the disk refused, at which frame of what."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return EncodeError(
            f"The disk is full, or the file too large for it, at frame {frame} of "
            f"{name} ({os.strerror(number)}). Free some space or write elsewhere."
        )
    if isinstance(error, OSError) and error.strerror:
        return EncodeError(f"Cannot write {name}: {error.strerror}.")
    reason = reason_for(error, lambda: try_to_open(spec))
    return EncodeError(f"FFmpeg ({spec.codec}) failed at frame {frame} of {name}: {reason}.")


class VideoFile:
    """A container with one video stream, and the stream's encoder, opened."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path).absolute()
        self.name = "a trial in memory" if self._path is None else repr(str(self._path))
        is_new = self._path is not None and not self._path.exists()
        try:
            self._container, self.stream = open_file(spec, self._path)
        except FAILURES as error:
            if is_new:
                self._remove()
            raise explained(error, spec, self.name, 0) from error

    def mux(self, packet: av.Packet[Any]) -> None:
        """Write a packet; the container decides when."""
        self._container.mux(packet)

    def close(self) -> int:
        """Write the file's end."""
        self._container.close()
        del self._container, self.stream
        return self._path.stat().st_size if self._path else 0

    def give_up(self) -> None:
        """Remove the file, and close it if that has not been tried."""
        # Removed first: the end of an mp4 file rewrites it to put the index in
        # front, and gives up at once if the file has no name any more.
        self._remove()
        if not hasattr(self, "_container"):
            return
        try:
            self._container.close()
        except FAILURES:
            # What the end of a removed file lacks is of no matter.
            pass
        finally:
            del self._container, self.stream

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


# libx265 learns how far decoding runs ahead of showing from its third frame.
# Packets of shorter videos carry decoding times from memory it never wrote; as
# one or two frames hold no B-frame, they are decoded in the order of showing.
_X265_DELAY_FRAMES = 3


class VideoEncoder:
    """Writes one video: `encode` frames, then `finish` or `abort`.

    Memory is bounded by what the codec holds back to look ahead; with libx264 a
    process levels off at 600 MB for 1920x1080. The first failure closes and
    removes the file, and every later call raises it again.
    """

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._spec = spec
        self._file = VideoFile(spec, path)
        self._life = Lifecycle(spec, self._file.name)
        self._packets = 0

    def encode(self, payload: Bytes) -> None:
        """Encode frames; they follow those of the call before."""
        self._life.check_open()
        check_payload(payload, self._spec)
        with self._life.step(self._file.give_up):
            for packed in payload:
                self._mux(frame_of(packed, self._spec, self._life.frames))
                self._life.frames += 1

    def finish(self) -> int:
        """Encode what is held back, and close the file."""
        self._life.check_open()
        with self._life.step(self._file.give_up):
            self._mux(None)
            check_count(self._life.frames, self._packets)
            size_bytes = self._file.close()
        self._life.end()
        return size_bytes

    def abort(self) -> None:
        """Close without finishing and remove the file; nothing if it is closed already."""
        if self._life.end():
            self._file.give_up()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._file.stream.encode(frame):
            if frame is None and self._is_short_x265():
                packet.dts = packet.pts
            self._file.mux(packet)
            self._packets += 1

    def _is_short_x265(self) -> bool:
        return self._spec.codec == "libx265" and self._life.frames < _X265_DELAY_FRAMES


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One frame, encoded."""

    data: bytes
    pts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """Frames that were encoded by themselves: they refer to no other segment's."""

    n_frames: int
    header: bytes
    packets: tuple[EncodedPacket, ...]

    @property
    def data_bytes(self) -> int:
        """Bytes of all packets."""
        return sum(len(packet.data) for packet in self.packets)


def why_not_joinable(spec: StreamSpec) -> str | None:
    """Why a video cannot be joined from segments; None if it can."""
    if spec.bitrate_kbps is not None:
        return "a bit rate holds over the whole video"
    if spec.has_alpha:
        return "transparency lies beside the packets, where PyAV before 16 does not reach"
    return None


def segment_spec(spec: StreamSpec) -> StreamSpec:
    """`spec` with what its segments need: one thread, and no more keyframes than one video has.

    The bytes of a segment then depend on its pixels and the settings alone. It
    may be applied twice.
    """
    reason = why_not_joinable(spec)
    if reason is not None:
        raise EncodeError(f"The video cannot be encoded in segments: {reason}.")
    fixed = next((codec.segment_options for codec in CODECS if codec.encoder == spec.codec), ())
    options = {**dict(spec.options), "threads": "1", **dict(fixed)}
    return replace(spec, options=tuple(options.items()))


class SegmentEncoder:
    """Encodes one segment in the calling thread: `encode` frames, then `finish` or `abort`.

    The first failure ends it, and every later call raises it again. Memory: what
    the codec holds back to look ahead, and the packets so far.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = segment_spec(spec)
        self._packets: list[EncodedPacket] = []
        self._life = Lifecycle(self._spec, "a segment")
        with self._life.step(self._let_go):
            self._context = open_codec(self._spec)

    def encode(self, payload: Bytes) -> None:
        """Encode frames; they follow those of the call before."""
        self._life.check_open()
        check_payload(payload, self._spec)
        with self._life.step(self._let_go):
            for packed in payload:
                self._take(frame_of(packed, self._spec, self._life.frames))
                self._life.frames += 1

    def finish(self) -> EncodedSegment:
        """Encode what is held back, and close the encoder."""
        self._life.check_open()
        with self._life.step(self._let_go):
            self._take(None)
            check_count(self._life.frames, len(self._packets))
            header = bytes(self._context.extradata or b"")
            segment = EncodedSegment(self._life.frames, header, tuple(self._packets))
        self.abort()
        return segment

    def abort(self) -> None:
        """Close the encoder; nothing if it is closed already."""
        if self._life.end():
            self._let_go()

    def _take(self, frame: av.VideoFrame | None) -> None:
        for packet in self._context.encode(frame):
            if packet.pts is None:
                raise ValueError("it made a packet without a time")
            self._packets.append(EncodedPacket(bytes(packet), packet.pts, packet.is_keyframe))

    def _let_go(self) -> None:
        # PyAV frees an encoder, and ends its threads, when nothing refers to it.
        if hasattr(self, "_context"):
            del self._context
        self._packets = []
