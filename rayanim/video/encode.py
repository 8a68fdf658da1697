"""Encodes packed frames, in order: a whole video into a file, or a segment into packets."""

from __future__ import annotations

import errno
import gc
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import av.logging
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rayanim.errors import EncodeError
from rayanim.video.convert import Bytes, unpack
from rayanim.video.spec import (
    CODECS,
    PLAYLIST,
    PLAYLIST_SEGMENT_S,
    StreamSpec,
    hardware_of,
    playlist_files,
)
from rayanim.video.timing import TICK, Clock
from rayanim.video.tracks import TrackWriter, open_tracks


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One frame, encoded."""

    data: bytes
    pts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """Frames that were encoded together and refer to no other segment.

    With `outputs` they were encoded for each output of a run, in one or more segments.
    """

    n_frames: int
    header: bytes
    packets: tuple[EncodedPacket, ...]
    ends: bytes = b""
    """What joining needs of the first and the last frame, beside their packets."""
    back: EncodedSegment | None = None
    """The same frames in reverse, for a video that plays forward and back."""
    outputs: tuple[tuple[EncodedSegment, ...], ...] = ()

    @property
    def data_bytes(self) -> int:
        """Bytes of all packets, and of what joining needs besides."""
        own_bytes = sum(len(packet.data) for packet in self.packets) + len(self.ends)
        return own_bytes + sum(each.data_bytes for each in self._inner)

    @property
    def n_packets(self) -> int:
        """How many there are."""
        return len(self.packets) + sum(each.n_packets for each in self._inner)

    @property
    def _inner(self) -> list[EncodedSegment]:
        of_outputs = [each for output in self.outputs for each in output]
        return of_outputs if self.back is None else [self.back, *of_outputs]


FAILURES = (av.FFmpegError, OSError, ValueError)
"""The exceptions that FFmpeg, PyAV and the disk raise."""


# libx265 sets its decoding delay at the third frame. In shorter videos packets have
# decoding times from uninitialised memory. One or two frames have no B-frames, so
# their decoding time is their presentation time.
_X265_DELAY_FRAMES = 3


class Step:
    """One step of making a video, which is open until it is finished, aborted, or fails.

    The first failure closes it and discards what it made, and every later call raises
    it again.
    """

    def __init__(self, spec: StreamSpec, name: str) -> None:
        self._spec = spec
        self._name = name
        self._failure: EncodeError | None = None
        self._is_open = True
        self._frames = 0  # taken so far

    def abort(self) -> None:
        """Close without finishing and discard what was made; no effect after `finish`."""
        if self._end():
            self._discard()

    def _discard(self) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise EncodeError(f"{self._name} is closed already; open a new encoder.")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Turn a failure inside into an EncodeError, after closing and discarding."""
        try:
            yield
        except FAILURES as error:
            self.abort()
            self._failure = explained(error, self._spec, self._name, self._frames)
            raise self._failure from error

    def _end(self) -> bool:
        """Close; False if it was closed already."""
        was_open, self._is_open = self._is_open, False
        return was_open


class FrameEncoder(Step):
    """Encodes frames: `encode`, then `finish` or `abort`."""

    def encode(self, frames: Bytes) -> None:
        """Encode the next frames, ``(n, frame_bytes)`` uint8."""
        self._check_open()
        check_frames(frames, self._spec)
        with self._explaining():
            for packed in frames:
                self._encode(packed)
                self._frames += 1

    def _encode(self, packed: Bytes) -> None:
        raise NotImplementedError


class VideoEncoder(FrameEncoder):
    """Writes one video.

    Memory is bounded by the codec's lookahead: with libx264 a process stays at
    600 MB for 1920x1080.
    """

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._file = VideoFile(spec, path)
        super().__init__(spec, self._file.name)
        self._packets = 0

    def turn(self) -> None:
        """The frames that follow are those so far, in reverse."""
        self._file.clock.turn(self._frames)

    def finish(self) -> int:
        """Encode the frames still in the codec, close the file, and return its size in bytes."""
        self._check_open()
        with self._explaining():
            self._mux(None)
            check_count(self._frames, self._packets)
            size_bytes = self._file.close(self._frames)
        self._end()
        return size_bytes

    def _discard(self) -> None:
        self._file.discard()

    def _encode(self, packed: Bytes) -> None:
        self._mux(frame_of(packed, self._spec, self._frames))

    def _mux(self, frame: av.VideoFrame | None) -> None:
        is_end = frame is None
        is_short_x265 = self._spec.codec == "libx265" and self._frames < _X265_DELAY_FRAMES
        for packet in self._file.stream.encode(frame):
            if is_end and is_short_x265:
                packet.dts = packet.pts
            self._file.mux(packet, self._frames if is_end else None)
            self._packets += 1


class PacketEncoder(FrameEncoder):
    """Encodes one segment. Memory: the encoder's, and the packets so far."""

    def __init__(self, spec: StreamSpec) -> None:
        super().__init__(spec, "a segment")
        self._packets: list[EncodedPacket] = []

    def finish(self) -> EncodedSegment:
        """Encode the frames still in the encoder, and close it."""
        self._check_open()
        with self._explaining():
            self._encode_rest()
            check_count(self._frames, len(self._packets))
            segment = self._segment()
        self.abort()
        return segment

    def _encode_rest(self) -> None:
        """Nothing, for an encoder that makes a packet of each frame at once."""

    def _segment(self) -> EncodedSegment:
        raise NotImplementedError

    def _discard(self) -> None:
        self._packets = []


class SegmentEncoder(PacketEncoder):
    """Encodes one segment by FFmpeg."""

    def __init__(self, spec: StreamSpec) -> None:
        super().__init__(segment_spec(spec))
        with self._explaining():
            self._context = open_codec(self._spec)

    def _encode(self, packed: Bytes) -> None:
        self._take(frame_of(packed, self._spec, self._frames))

    def _encode_rest(self) -> None:
        self._take(None)

    def _take(self, frame: av.VideoFrame | None) -> None:
        for packet in self._context.encode(frame):
            if packet.pts is None:
                raise ValueError("it made a packet without a time")
            self._packets.append(EncodedPacket(bytes(packet), packet.pts, packet.is_keyframe))

    def _segment(self) -> EncodedSegment:
        header = bytes(self._context.extradata or b"")
        return EncodedSegment(self._frames, header, tuple(self._packets))

    def _discard(self) -> None:
        super()._discard()
        # PyAV frees an encoder, and ends its threads, when nothing refers to it.
        if hasattr(self, "_context"):
            del self._context


def why_not_joinable(spec: StreamSpec) -> str | None:
    """Why a video cannot be joined from segments; None if it can."""
    for other in spec.others:
        if (reason := why_not_joinable(other)) is not None:
            return reason
    if hardware_of(spec.codec) is not None:
        return "a device's encoder makes other bytes on another machine"
    if spec.bitrate_kbps is not None:
        return "a bit rate holds over the whole video"
    if spec.has_alpha and spec.codec == "libvpx-vp9":
        return "transparency is stored as side data of packets, which PyAV before 16 cannot read"
    return None


def segment_spec(spec: StreamSpec) -> StreamSpec:
    """`spec` for segments: threads that leave the bytes alone; no effect on its own result.

    So the bytes of a segment depend only on its pixels and the settings.
    """
    reason = why_not_joinable(spec)
    if reason is not None:
        raise EncodeError(f"The video cannot be encoded in segments: {reason}.")
    if spec.others:
        main, *others = map(segment_spec, spec.outputs)
        return replace(main, others=tuple(others))
    fixed = next((codec.segment_options for codec in CODECS if codec.encoder == spec.codec), ())
    options = {**dict(spec.options), **dict(fixed)}
    return replace(spec, options=tuple(options.items()))


class VideoFile:
    """A container with one video stream, and the stream's encoder, opened."""

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path).absolute()
        self.name = name_of(self.path)
        self._spec = spec
        self.clock = Clock(spec.rate, spec.timing)
        """When frames are shown."""
        # Of a video with frames of different length: its times are known with the next one.
        self._last: av.Packet[Any] | None = None
        self._first = 0
        # Of a playlist: how long it is so far, and what its packets last too little in sum.
        self._end = self._owed = 0
        is_new = self.path is not None and not self.path.exists()
        try:
            if self.path is not None and spec.container == PLAYLIST:
                make_anew(self.path)
            self._container, self.stream, self._tracks = open_file(spec, self.path)
        except FAILURES as error:
            if is_new:
                self._remove()
            raise explained(error, spec, self.name, 0) from error

    def mux(self, packet: av.Packet[Any], n_frames: int | None = None) -> None:
        """Write a packet, whose times count frames; the container may buffer it.

        `n_frames` is the number of all frames, once that is known.
        """
        if self.clock.is_even:
            self._mux(packet)
            return
        timed = self._timed(packet, n_frames)
        before, self._last = self._last, timed
        if before is not None:
            self._mux(before)

    def close(self, n_frames: int) -> int:
        """Write the end of the file with so many frames, and return its size in bytes."""
        last, self._last = self._last, None
        if last is not None:
            # What is decoded last lasts until the end, whatever is shown last.
            is_by_dts = self._spec.container in _LIKE_MP4
            begin = int(last.dts or 0) - self._first if is_by_dts else int(last.pts or 0)
            if self._spec.container == PLAYLIST:
                begin = self._end - int(last.duration or 0) - self._owed
            last.duration = max(1, self.clock.end(n_frames) - begin)
            self._mux(last)
        for track in self._tracks:
            for each in track.finish(self.clock.end(n_frames) * self.clock.tick):
                self._container.mux(each)
        self._container.close()
        del self._container, self.stream
        if self.path is None:
            return 0
        files = self.path.iterdir() if self.path.is_dir() else (self.path,)
        return sum(each.stat().st_size for each in files)

    def discard(self) -> None:
        """Remove the file, and close it if that has not been tried."""
        # Removed first: closing an mp4 file rewrites it to move the index to the
        # front, and stops at once if the file is gone.
        self._remove()
        if not hasattr(self, "_container"):
            return
        try:
            self._last = None
            self._container.close()
        except FAILURES:
            # The file is removed, so an incomplete end does not matter.
            pass
        finally:
            del self._container, self.stream

    def _mux(self, packet: av.Packet[Any]) -> None:
        """Write a packet, and what belongs before it of other tracks."""
        if self._tracks and packet.dts is not None:
            time_s = packet.dts * Fraction(packet.time_base)
            for track in self._tracks:
                for each in track.until(time_s):
                    self._container.mux(each)
        self._container.mux(packet)

    def _timed(self, packet: av.Packet[Any], n_frames: int | None) -> av.Packet[Any]:
        """`packet` with its times by the clock."""
        if packet.pts is None or packet.dts is None:
            raise ValueError("it made a packet without a time")
        clock, number = self.clock, packet.pts
        decoded = clock.at(packet.dts)
        end = clock.end(n_frames) if number + 1 == n_frames else clock.at(number + 1)
        packet.pts, packet.dts = clock.at(number), decoded
        packet.duration = end - clock.at(number)
        packet.time_base = clock.tick
        if self._spec.container == PLAYLIST:
            self._share_duration(packet, end)
        if self._last is None:
            self._first = decoded
        return packet

    def _share_duration(self, packet: av.Packet[Any], end: int) -> None:
        """Have keyframes last a usual frame, and those after them what they last longer.

        Of the last segment of a playlist FFmpeg adds up what packets last, and takes the first
        one of it to last as long as the video's first.
        """
        self._end = max(self._end, end)
        owed = int(packet.duration or 0) + self._owed
        usual = self.clock.at(0) - self.clock.at(-1)
        packet.duration = usual if packet.is_keyframe else max(1, owed)
        self._owed = owed - packet.duration

    def _remove(self) -> None:
        if self.path is not None:
            remove_written(self.path)


def make_anew(folder: Path) -> None:
    """Make a folder, without what an encoder that was killed has left."""
    remove_written(folder)
    folder.mkdir()


def remove_written(path: Path) -> None:
    """Remove a file, or a folder of files."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def name_of(path: str | os.PathLike[str] | None) -> str:
    """What a file is called in messages; None is one in memory."""
    return "a test in memory" if path is None else repr(str(path))


def check_frames(frames: Bytes, spec: StreamSpec) -> None:
    """Raise an EncodeError unless `frames` is ``(n, frame_bytes) uint8``, C-contiguous."""
    is_packed = frames.dtype == np.uint8 and frames.flags.c_contiguous
    if frames.ndim != 2 or frames.shape[1] != spec.frame_bytes or not is_packed:
        raise EncodeError(
            f"Frames must be a C-contiguous uint8 array of shape (n, {spec.frame_bytes}), "
            f"got {frames.dtype} of shape {frames.shape!r}."
        )


def check_count(frames: int, packets: int) -> None:
    """Raise a ValueError unless there are frames, and one packet for each."""
    if not frames:
        raise ValueError("there is no frame in it")
    if packets != frames:
        raise ValueError(f"it made {packets} packets from {frames} frames")


def explained(error: Exception, spec: StreamSpec, name: str, frame: int) -> EncodeError:
    """An error that names the file, the frame, and the reason of FFmpeg or the disk."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return EncodeError(
            f"The disk is full, or the file is too large for it, at frame {frame} of "
            f"{name} ({os.strerror(number)}). Free some space or write elsewhere."
        )
    if isinstance(error, OSError) and error.strerror:
        return EncodeError(f"Cannot write {name}: {error.strerror}.")
    reason = reason_for(error, lambda: try_to_open(spec))
    return EncodeError(f"FFmpeg ({spec.codec}) failed at frame {frame} of {name}: {reason}.")


# ITU-T H.273: 1 is BT.709 for primaries, transfer and matrix; matrix 0 is RGB.
_BT709 = 1
_RGB_MATRIX = 0

# FFmpeg's AVColorRange.
_LIMITED_RANGE = 1
_FULL_RANGE = 2

# FFmpeg's AV_CODEC_FLAG_GLOBAL_HEADER: one header for the stream, not in the packets.
_GLOBAL_HEADER = 1 << 22

# Their files give the time from one packet to be decoded to the next.
_LIKE_MP4 = ("mp4", "mov", "avif")

# Apple's players open H.265 only with this tag; FFmpeg's default is hev1.
_CODEC_TAGS = {("mp4", "libx265"): "hvc1", ("mov", "libx265"): "hvc1"}


def open_file(
    spec: StreamSpec, path: Path | None
) -> tuple[OutputContainer, VideoStream, list[TrackWriter]]:
    """Open the encoder and the file, and write the file's header."""
    # bitexact: no dates and no random identifiers.
    options = {"fflags": "+bitexact"}
    if spec.container == "avif":
        options["loop"] = str(spec.loop)
    if spec.container == "gif":
        # Plays in all; FFmpeg counts those that follow the first.
        options["loop"] = str(-1 if spec.loop == 1 else max(0, spec.loop - 1))
    if spec.container in ("mp4", "mov"):
        # Otherwise the video's duration is rounded to a millisecond.
        unit = 1 / spec.rate if spec.timing is None else TICK
        options["movie_timescale"] = str(unit.denominator)
        if path is not None:
            # Puts the index first; FFmpeg opens the file again for that.
            options["movflags"] = "+faststart"
    if spec.container == PLAYLIST:
        segments, header = playlist_files(spec.names)
        options |= {
            "hls_playlist_type": "vod",
            "hls_segment_type": "fmp4",
            "hls_segment_filename": segments,
            "hls_fmp4_init_filename": header,
            "hls_time": str(PLAYLIST_SEGMENT_S[0]),
            "hls_flags": "independent_segments",
            "avoid_negative_ts": "disabled",
        }
        container = av.open(
            spec.names, "w", format="hls", container_options=options, io_open=_opener(path)
        )
    else:
        file = io.BytesIO() if path is None else str(path)
        container = av.open(file, "w", format=spec.container, container_options=options)
    container.metadata.update(spec.metadata)
    stream = _add_stream(container, spec)
    tracks = open_tracks(container, spec)
    with quiet_svt(spec.codec):
        container.start_encoding()
    return container, stream, tracks


def _opener(folder: Path | None) -> Callable[..., IO[bytes]]:
    """What opens the files of a playlist, by names that FFmpeg took from it."""

    def opened(name: str, flags: int, options: dict[str, str]) -> IO[bytes]:
        # Where the folder was removed, FFmpeg still closes what it has begun.
        if folder is None or not folder.is_dir():
            return io.BytesIO()
        return (folder / name).open("wb")

    return opened


def open_codec(spec: StreamSpec) -> VideoCodecContext:
    """Open the encoder without a file; its packets are those that `open_file` would write."""
    context = av.CodecContext.create(spec.codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise ValueError(f"{spec.codec} encodes no video")
    context.options = dict(spec.options)
    context.framerate = spec.rate
    context.time_base = 1 / spec.rate
    _configure(context, spec)
    with quiet_svt(spec.codec):
        context.open()
    return context


def try_to_open(spec: StreamSpec) -> None:
    """Open the encoder and a file in memory, and close both."""
    # Closed explicitly: PyAV 15 and 16 crash if the garbage collector frees an open
    # file in memory.
    container, *_ = open_file(spec, None)
    container.close()


def frame_of(packed: Bytes, spec: StreamSpec, position: int) -> av.VideoFrame:
    """The packed frame as an FFmpeg frame with number `position`."""
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
    # Which .avi files do not ask for; segments are joined behind one header.
    context.flags |= _GLOBAL_HEADER
    context.width, context.height = spec.size
    # The encoder of GIFs gets its frames after their pixels were mapped to the palette.
    device = hardware_of(spec.codec)
    own = spec.pixel_format if device is None else device.pixel_format
    context.pix_fmt = "pal8" if spec.codec == "gif" else own
    context.bit_rate = round((spec.bitrate_kbps or 0) * 1000)
    # PyAV's default, slices, nearly doubles the size of plots encoded by x264.
    context.thread_type = "FRAME"
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.colorspace = _RGB_MATRIX if spec.layout.colour == "rgb" else _BT709
    context.color_range = _FULL_RANGE if spec.layout.is_full_range else _LIMITED_RANGE


@contextmanager
def quiet_svt(codec: str) -> Iterator[None]:
    """Keep SVT-AV1, when it is opened, from what it does to the process beside encoding."""
    if codec != "libsvtav1":
        yield
        return
    with _svt_log_off(), _kept_scheduling():
        yield


@contextmanager
def _svt_log_off() -> Iterator[None]:
    """Let it print only errors, unless the user has set its log level."""
    # It reads the level from the environment when an encoder is opened, and has no
    # option for it. os.putenv sets the variable without changing os.environ.
    if "SVT_LOG" in os.environ:
        yield
        return
    os.putenv("SVT_LOG", "1")
    try:
        yield
    finally:
        os.unsetenv("SVT_LOG")


@contextmanager
def _kept_scheduling() -> Iterator[None]:
    """As root, it gives its threads, and the calling one, the highest real-time priority.

    All else on the machine would wait for them, and processes that are started
    later would inherit it.
    """
    tasks = Path("/proc/self/task")
    if not tasks.is_dir() or not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in tasks.iterdir():
            number = int(task.name)
            # It may have ended meanwhile.
            with suppress(OSError):
                if os.sched_getscheduler(number) != policy:
                    os.sched_setscheduler(number, policy, parameters)


def reason_for(error: Exception, retry: Callable[[], object]) -> str:
    """FFmpeg's message for `error`, with what it logs when `retry` fails again.

    PyAV keeps FFmpeg's log off, because callbacks from codec threads can deadlock.
    So the failed action is repeated with this thread's log on, and without garbage
    collection: an encoder freed meanwhile would wait for its threads while holding
    the GIL, which they need to log.
    """
    words = str(getattr(error, "strerror", None) or error)
    with _no_garbage_collection(), _log_on(), av.logging.Capture() as logs, suppress(*FAILURES):
        retry()  # only its log matters
    lines = dict.fromkeys(f"{name}: {message.strip()}" for _level, name, message in logs)
    return "; ".join([words, *lines])


@contextmanager
def _log_on() -> Iterator[None]:
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    # Otherwise the log of a failure that occurs twice would be empty.
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
