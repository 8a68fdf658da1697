"""The format of one part: an encoded segment that describes and proves itself.

A part is two lines of text and the bytes that they describe::

    rayanim part 1 9f0c...e1
    {"batch": "77ab...", "film": "c01d...", "frames": 2, "header": 45, "index": 12,
     "packets": [[5321, 0, 1], [310, 1, 0]], "start": 360}
    <45 bytes of codec headers><5321 bytes><310 bytes>

The first line ends with the BLAKE2b-256 digest of all that follows it, so that
a part that was cut short, or changed in any bit, is rejected. By hand::

    head -n 2 000012.part; tail -n +2 000012.part | b2sum -l 256

The second is one line of JSON. ``film`` is the digest of the manifest, which
ties the part to one film, and ``batch`` that of the frames' numbers and
parameters. Each packet is ``[bytes, pts, is it a keyframe]``.

Nothing is read or written here: what goes between bytes and a disk, or
another store, is the caller's. Nothing read is ever executed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from rayanim.errors import PartsError
from rayanim.video.segment import EncodedPacket, EncodedSegment

FORMAT = 1
"""Raised with every change of the two formats, so that older parts are not taken up."""

DIGEST_BYTES = 32

BEGINS = b"rayanim part "
"""How each part begins, of any format."""

_FIRST_LINE = re.compile(rb"rayanim part (\d{1,9}) ([0-9a-f]{64})")
# Longer than any first line: the rest of a foreign file is not searched for one.
_FIRST_LINE_BYTES = 100
_KEYS = {"batch", "film", "frames", "header", "index", "packets", "start"}


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What a part tells of itself.

    Attributes
    ----------
    index
        The segment's number along the film.
    start, n_frames
        Its first frame's position in the film, and how many frames it has.
    batch_digest
        Digest of the frames' numbers and parameters; None where they could
        not be told, and the part cannot be taken up again.
    film
        Digest of the film's manifest.
    file_bytes
        Size of the whole part.
    """

    index: int
    start: int
    n_frames: int
    batch_digest: str | None
    film: str
    file_bytes: int

    @property
    def stop(self) -> int:
        """Position after its last frame."""
        return self.start + self.n_frames


def part_to_bytes(
    index: int, start: int, batch_digest: str | None, segment: EncodedSegment, *, film: str = ""
) -> bytes:
    """The part of one segment.

    Parameters
    ----------
    index
        The segment's number along the film.
    start
        Position of its first frame in the film.
    batch_digest
        See `rayanim.parts.digest.batch_digest`.
    segment
        What is kept.
    film
        Digest of the film's manifest.
    """
    packets = segment.packets
    described = {
        "batch": batch_digest,
        "film": film,
        "frames": segment.n_frames,
        "header": len(segment.header),
        "index": index,
        "packets": [[len(each.data), each.pts, int(each.is_keyframe)] for each in packets],
        "start": start,
    }
    line = json.dumps(described, separators=(",", ":")).encode() + b"\n"
    body = [line, segment.header, *(each.data for each in packets)]
    return b"".join([b"rayanim part %d %s\n" % (FORMAT, _digest(*body)), *body])


def part_from_bytes(data: bytes) -> tuple[PartInfo, EncodedSegment]:
    """The inverse of `part_to_bytes`.

    Raises
    ------
    PartsError
        If `data` is no part, was cut short or changed, or has another format.
    """
    body = _checked_body(data)
    # The digest is right: what follows was written so, or made by hand.
    end = data.find(b"\n", len(data) - len(body))
    if end < 0:
        raise PartsError("it has no second line")
    content = memoryview(data)[end + 1 :]
    described = _described(data[len(data) - len(body) : end])
    sizes = [described["header"], *(packet[0] for packet in described["packets"])]
    if sum(sizes) != len(content):
        raise PartsError(f"its packets have {sum(sizes)} bytes, but {len(content)} are there")
    info = PartInfo(
        described["index"],
        described["start"],
        described["frames"],
        described["batch"],
        described["film"],
        len(data),
    )
    return info, _segment(described, content)


def _checked_body(data: bytes) -> memoryview:
    """What follows the first line, if it is what was written; a view, for it may be large."""
    end = data.find(b"\n", 0, _FIRST_LINE_BYTES)
    found = _FIRST_LINE.fullmatch(data[:end]) if end >= 0 else None
    if found is None:
        raise PartsError("it does not begin as a part does: cut short, or not rayanim's")
    if found[1] != b"%d" % FORMAT:
        raise PartsError(f"it has format {int(found[1])}, this rayanim reads format {FORMAT}")
    body = memoryview(data)[end + 1 :]
    if found[2] != _digest(body):
        raise PartsError("its checksum is wrong: it was cut short or changed")
    return body


def _digest(*pieces: bytes | memoryview) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest().encode()


def _described(line: bytes) -> dict[str, Any]:
    """The second line, every type in it as it is written."""
    try:
        described = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PartsError(f"its second line is no JSON: {error}") from None
    if not isinstance(described, dict) or described.keys() != _KEYS:
        raise PartsError(f"its second line must have {', '.join(sorted(_KEYS))}")
    counts = [described[name] for name in ("frames", "header", "index", "start")]
    is_right = (
        all(_is_count(count) for count in counts)
        and isinstance(described["film"], str)
        and isinstance(described["batch"], str | None)
        and isinstance(described["packets"], list)
        and all(_is_packet(packet) for packet in described["packets"])
    )
    if not is_right:
        raise PartsError("its second line has values of the wrong kind")
    return described


def _is_packet(packet: Any) -> bool:
    if not isinstance(packet, list) or len(packet) != 3:
        return False
    size, pts, is_keyframe = packet
    return (
        _is_count(size) and type(pts) is int and type(is_keyframe) is int and is_keyframe in (0, 1)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _segment(described: dict[str, Any], content: memoryview) -> EncodedSegment:
    at = described["header"]
    header, packets = bytes(content[:at]), []
    for size, pts, is_keyframe in described["packets"]:
        packets.append(EncodedPacket(bytes(content[at : at + size]), pts, bool(is_keyframe)))
        at += size
    return EncodedSegment(described["frames"], header, tuple(packets))
