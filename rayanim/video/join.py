"""Joins encoded segments, in order, into one file."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from rayanim.errors import EncodeError
from rayanim.video.encode import (
    EncodedPacket,
    EncodedSegment,
    Step,
    VideoFile,
    segment_spec,
)
from rayanim.video.spec import StreamSpec
from rayanim.video.tracks import packet_of

# How many frames decoding runs ahead of presentation if B-frames refer to B-frames,
# as in all presets of libx264 and libx265 that have B-frames. A segment of one or
# two frames has none, but uses the video's delay.
_PYRAMID_DELAY_FRAMES = 2

_START_CODE = b"\0\0\1"
# ITU-T H.264, table 7-1: supplemental enhancement information.
_SEI = 6


class Joiner(Step):
    """Writes one video: `add` its segments in order, then `finish` or `abort`.

    Nothing is encoded; an encoder is opened only because FFmpeg takes the video's
    header from it. No packets are kept.
    """

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        spec = segment_spec(spec)
        self._file = VideoFile(spec, path)
        super().__init__(spec, self._file.name)
        context = self._file.stream.codec_context
        self._header = bytes(context.extradata or b"")
        self._delay_frames = _delay_frames(self._spec.codec, context)
        # Computed once: for each packet it would take half of the time of joining.
        self._time_base = 1 / self._spec.rate
        # Where frames do not all last the same, the last one's time is known at the end.
        self._waiting: EncodedSegment | None = None

    def turn(self) -> None:
        waiting = 0 if self._waiting is None else self._waiting.n_frames
        self._file.clock.turn(self._frames + waiting)

    def add(self, segment: EncodedSegment) -> None:
        """Write the next segment."""
        self._check_open()
        self._check(segment)
        with self._explaining():
            self._write_waiting()
            self._waiting = segment
            if self._file.clock.is_even:
                self._write_waiting()

    def finish(self) -> int:
        """Write the end of the file, and return its size in bytes."""
        self._check_open()
        with self._explaining():
            self._write_waiting(is_last=True)
            if not self._frames:
                raise ValueError("there is no frame in it")
            size_bytes = self._file.close(self._frames)
        self._end()
        return size_bytes

    def _discard(self) -> None:
        self._file.discard()

    def _write_waiting(self, *, is_last: bool = False) -> None:
        segment, self._waiting = self._waiting, None
        if segment is None:
            return
        start = self._frames
        n_frames = start + segment.n_frames if is_last else None
        for packet in self._packets(segment, start):
            self._file.mux(self._timed(packet, start), n_frames)
            self._frames += 1

    def _check(self, segment: EncodedSegment) -> None:
        wrong = what_is_wrong(segment, self._delay_frames)
        if wrong is None and segment.header != self._header:
            wrong = (
                f"its header of {len(segment.header)} bytes is not the video's; was it encoded "
                "with different settings, or by a different version of FFmpeg?"
            )
        if wrong is not None:
            raise EncodeError(f"A segment cannot follow frame {self._frames}: {wrong}")

    def _packets(self, segment: EncodedSegment, start: int) -> tuple[EncodedPacket, ...]:
        if start == 0 or self._spec.codec != "libx264":
            return segment.packets
        first, *others = segment.packets
        return (replace(first, data=without_note(first.data)), *others)

    def _timed(self, packet: EncodedPacket, start: int) -> av.Packet[Any]:
        """The next packet, of a segment that starts at frame `start`, with its times."""
        timed = packet_of(packet.data)
        timed.stream = self._file.stream
        timed.time_base = self._time_base
        timed.pts = start + packet.pts
        timed.dts = self._frames - self._delay_frames
        timed.duration = 1
        timed.is_keyframe = packet.is_keyframe
        return timed


def what_is_wrong(segment: EncodedSegment, delay_frames: int) -> str | None:
    """Why the packets are not a whole segment; None if they are."""
    shown = [packet.pts for packet in segment.packets]
    if not shown or sorted(shown) != list(range(segment.n_frames)):
        return f"its {len(shown)} packets are not those of {segment.n_frames} frames."
    if shown[0] != 0 or not segment.packets[0].is_keyframe:
        return "decoding cannot start at its first packet."
    if any(index - delay_frames > pts for index, pts in enumerate(shown)):
        return f"a frame is shown more than {delay_frames} frames before it is decoded."
    return None


def without_note(packet: bytes) -> bytes:
    """An H.264 packet (Annex B) without libx264's note of its version and settings.

    libx264 starts its first packet with that note of some 700 bytes; a video needs
    only that of its first segment.
    """
    nal = packet.find(_START_CODE) + len(_START_CODE)
    if packet[nal] & 0x1F != _SEI:
        return packet
    # If the next unit's start code has four bytes, this leaves out the first zero.
    end = packet.find(_START_CODE, nal)
    return packet[end:]


def _delay_frames(codec: str, context: VideoCodecContext) -> int:
    # has_b_frames stays false for libx265, which has B-frames in every preset.
    has_b_frames = codec == "libx265" or (codec == "libx264" and context.has_b_frames)
    return _PYRAMID_DELAY_FRAMES if has_b_frames else 0
