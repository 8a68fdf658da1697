"""Encodes packed frames, in order, into one file."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from rayanim.errors import EncodeError
from rayanim.video.ffmpeg_log import quiet_svt, reason_for
from rayanim.video.packing import Bytes, unpack
from rayanim.video.spec import StreamSpec
from rayanim.video.x264_asm import steady_options

# ITU-T H.273: 1 is BT.709 for primaries, transfer and matrix; matrix 0 is RGB.
_BT709 = 1
_RGB_MATRIX = 0
# FFmpeg's AVColorRange.
_LIMITED_RANGE = 1
_FULL_RANGE = 2

# Apple's players open H.265 only under this tag; FFmpeg's own choice is hev1.
_CODEC_TAGS = {("mp4", "libx265"): "hvc1", ("mov", "libx265"): "hvc1"}

# libx265 learns how far decoding runs ahead of showing from its third frame.
# Packets of shorter films carry decoding times from memory it never wrote; as
# one or two frames hold no B-frame, they are decoded in the order of showing.
_X265_DELAY_FRAMES = 3

# What FFmpeg, PyAV and the disk raise.
_FAILURES = (av.FFmpegError, OSError, ValueError)


class VideoEncoder:
    """Writes one film: `encode` frames, then `finish` or `abort`.

    Memory is bounded by what the codec holds back to look ahead; with libx264 a
    process levels off at 600 MB for 1920x1080. The first failure closes and
    removes the file, and every later call raises it again.

    Parameters
    ----------
    spec
        Everything that decides the file's bytes except the pixels.
    path
        The file to write; its suffix says nothing here. None writes to memory,
        to try a specification.

    Raises
    ------
    EncodeError
        If the file cannot be opened, or FFmpeg refuses the specification.
    """

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._spec = spec
        # Absolute, because FFmpeg reads "a:b.mp4" as protocol and address.
        self._path = None if path is None else Path(path).absolute()
        self._time_base = 1 / spec.rate
        self._frames = 0
        self._packets = 0
        self._failure: EncodeError | None = None
        self._container, self._stream = self._opened()
        self._is_open = True

    def encode(self, payload: Bytes) -> None:
        """Encode frames; they follow those of the call before.

        Parameters
        ----------
        payload
            ``(n, frame_bytes) uint8``, C-contiguous; it may be read-only. Its
            memory is not needed after the call.

        Raises
        ------
        EncodeError
            If the disk is full, or FFmpeg refuses a frame.
        """
        self._check_open()
        self._check_payload(payload)
        try:
            for packed in payload:
                self._encode_frame(packed)
        except _FAILURES as error:
            self._fail(error)

    def finish(self) -> int:
        """Encode what is held back, and close the file.

        Returns
        -------
        int
            The file's size in bytes.

        Raises
        ------
        EncodeError
            If the disk is full, FFmpeg fails, or there was no frame.
        """
        self._check_open()
        try:
            self._mux(None)
            self._check_count()
            self._container.close()
            size_bytes = self._path.stat().st_size if self._path else 0
        except _FAILURES as error:
            self._fail(error)
        self._is_open = False
        return size_bytes

    def abort(self) -> None:
        """Close without finishing and remove the file; nothing if it is closed already."""
        if not self._is_open:
            return
        self._is_open = False
        # Removed first: the end of an mp4 file rewrites it to put the index in
        # front, and gives up at once if the file has no name any more.
        self._remove()
        try:
            self._container.close()
        except _FAILURES:
            # What the end of a removed file lacks is of no matter.
            return

    def _opened(self) -> tuple[OutputContainer, VideoStream]:
        is_new = self._path is not None and not self._path.exists()
        try:
            return _open(self._spec, self._path)
        except _FAILURES as error:
            if is_new:
                self._remove()
            self._failure = self._explained(error)
            raise self._failure from error

    def _encode_frame(self, packed: Bytes) -> None:
        frame = unpack(packed, self._spec.layout, self._spec.size)
        frame.pts = self._frames
        frame.duration = 1
        frame.time_base = self._time_base
        self._mux(frame)
        self._frames += 1

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if frame is None and self._is_short_x265():
                packet.dts = packet.pts
            self._container.mux(packet)
            self._packets += 1

    def _is_short_x265(self) -> bool:
        return self._spec.codec == "libx265" and self._frames < _X265_DELAY_FRAMES

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise EncodeError(f"{self._name()} is closed already; open a new encoder.")

    def _check_payload(self, payload: Bytes) -> None:
        frame_bytes = self._spec.frame_bytes
        is_packed = payload.dtype == np.uint8 and payload.flags.c_contiguous
        if payload.ndim != 2 or payload.shape[1] != frame_bytes or not is_packed:
            raise EncodeError(
                f"A payload must be a C-contiguous uint8 array of shape (n, {frame_bytes}), "
                f"got {payload.dtype} of shape {payload.shape!r}."
            )

    def _check_count(self) -> None:
        if not self._frames:
            raise ValueError("there is no frame in it")
        if self._packets != self._frames:
            raise ValueError(f"it made {self._packets} packets of {self._frames} frames")

    def _fail(self, error: Exception) -> NoReturn:
        self._failure = self._explained(error)
        self.abort()
        raise self._failure from error

    def _explained(self, error: Exception) -> EncodeError:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return EncodeError(
                f"The disk is full, or the file too large for it, at frame {self._frames} of "
                f"{self._name()} ({os.strerror(number)}). Free some space or write elsewhere."
            )
        if isinstance(error, OSError) and error.strerror:
            return EncodeError(f"Cannot write {self._name()}: {error.strerror}.")
        reason = reason_for(error, lambda: _try_to_open(self._spec))
        return EncodeError(
            f"FFmpeg ({self._spec.codec}) failed at frame {self._frames} of {self._name()}: "
            f"{reason}."
        )

    def _name(self) -> str:
        return "a trial in memory" if self._path is None else repr(str(self._path))

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _open(spec: StreamSpec, path: Path | None) -> tuple[OutputContainer, VideoStream]:
    """Open the encoder and the file, and write the file's head."""
    # bitexact: no dates and no random identifiers. FFmpeg opens the file once
    # more to put the index first, which nothing in memory allows.
    options = {"fflags": "+bitexact"}
    if spec.container in ("mp4", "mov"):
        # Else the film's length is rounded to a thousandth of a second.
        options["movie_timescale"] = str(spec.rate.numerator)
        if path is not None:
            options["movflags"] = "+faststart"
    file = io.BytesIO() if path is None else str(path)
    container = av.open(file, "w", format=spec.container, container_options=options)
    stream = _add_stream(container, spec)
    with quiet_svt(spec.codec):
        container.start_encoding()
    return container, stream


def _try_to_open(spec: StreamSpec) -> None:
    # Closed at once: PyAV 15 and 16 crash if an open file in memory is left to
    # the garbage collector.
    container, _stream = _open(spec, None)
    container.close()


def _add_stream(container: OutputContainer, spec: StreamSpec) -> VideoStream:
    width, height = spec.size
    stream = container.add_stream(
        spec.codec,
        rate=spec.rate,
        options={**dict(spec.options), **steady_options(spec.codec)},
        time_base=1 / spec.rate,
    )
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{spec.codec} encodes no video")
    context = stream.codec_context
    context.width, context.height = width, height
    context.pix_fmt = spec.pixel_format
    context.bit_rate = round((spec.bitrate_kbps or 0) * 1000)
    # PyAV's default, slices, nearly doubles the size of x264's files of plots.
    context.thread_type = "FRAME"
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.colorspace = _RGB_MATRIX if spec.layout.colour == "rgb" else _BT709
    context.color_range = _FULL_RANGE if spec.layout.is_full_range else _LIMITED_RANGE
    tag = _CODEC_TAGS.get((spec.container, spec.codec))
    if tag is not None:
        context.codec_tag = tag
    return stream
