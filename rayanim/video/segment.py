"""One segment of a film as packets: what a render actor hands on when it encodes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One packet of a segment.

    Attributes
    ----------
    data
        What the encoder made.
    pts
        The frame's position within the segment.
    is_keyframe
        True where decoding can begin.
    """

    data: bytes
    pts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """A segment's packets in the order of decoding.

    Attributes
    ----------
    n_frames
        Frames in it.
    header
        The codec's headers (FFmpeg's extradata).
    packets
        Its packets.
    """

    n_frames: int
    header: bytes
    packets: tuple[EncodedPacket, ...]
