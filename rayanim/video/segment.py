"""Encodes one segment of a film, to be joined with others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import av

from rayanim.errors import EncodeError
from rayanim.video.codec_tables import CODECS
from rayanim.video.lifecycle import Lifecycle, check_count, check_payload
from rayanim.video.packing import Bytes
from rayanim.video.spec import StreamSpec
from rayanim.video.stream import frame_of, open_codec


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One frame, encoded.

    Parameters
    ----------
    data
        The encoder's bytes.
    pts
        The frame's position within its segment, from 0.
    is_keyframe
        Whether decoding can start here.
    """

    data: bytes
    pts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """Frames that were encoded by themselves: they refer to no other segment's.

    Parameters
    ----------
    n_frames
        How many there are.
    header
        What decoding needs beside the packets; the same for all segments of a film.
    packets
        One for each frame, in the order of decoding.
    """

    n_frames: int
    header: bytes
    packets: tuple[EncodedPacket, ...]

    @property
    def data_bytes(self) -> int:
        """Bytes of all packets."""
        return sum(len(packet.data) for packet in self.packets)


def why_not_joinable(spec: StreamSpec) -> str | None:
    """Why a film cannot be joined from segments; None if it can."""
    if spec.bitrate_kbps is not None:
        return "a bit rate holds over the whole film"
    if spec.has_alpha:
        return "transparency lies beside the packets, where PyAV before 16 does not reach"
    return None


def segment_spec(spec: StreamSpec) -> StreamSpec:
    """`spec` with what its segments need: one thread, and no more keyframes than one film has.

    The bytes of a segment then depend on its pixels and the settings alone. It
    may be applied twice.

    Raises
    ------
    EncodeError
        If the film cannot be joined from segments.
    """
    reason = why_not_joinable(spec)
    if reason is not None:
        raise EncodeError(f"The film cannot be encoded in segments: {reason}.")
    fixed = next((codec.segment_options for codec in CODECS if codec.encoder == spec.codec), ())
    options = {**dict(spec.options), "threads": "1", **dict(fixed)}
    return replace(spec, options=tuple(options.items()))


class SegmentEncoder:
    """Encodes one segment in the calling thread: `encode` frames, then `finish` or `abort`.

    The first failure ends it, and every later call raises it again. Memory: what
    the codec holds back to look ahead, and the packets so far.

    Parameters
    ----------
    spec
        The film's; `segment_spec` is applied to it.

    Raises
    ------
    EncodeError
        If FFmpeg refuses the specification, or the film cannot be joined.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._spec = segment_spec(spec)
        self._packets: list[EncodedPacket] = []
        self._life = Lifecycle(self._spec, "a segment")
        with self._life.step(self._let_go):
            self._context = open_codec(self._spec)

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
            If FFmpeg refuses a frame.
        """
        self._life.check_open()
        check_payload(payload, self._spec)
        with self._life.step(self._let_go):
            for packed in payload:
                self._take(frame_of(packed, self._spec, self._life.frames))
                self._life.frames += 1

    def finish(self) -> EncodedSegment:
        """Encode what is held back, and close the encoder.

        Raises
        ------
        EncodeError
            If FFmpeg fails, or there was no frame.
        """
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
