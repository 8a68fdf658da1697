"""Segments and manifests to test with."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rayanim.storage.output import DiskTarget
from rayanim.storage.segments import Manifest
from rayanim.storage.store import DiskFolder
from rayanim.video.encode import EncodedPacket, EncodedSegment
from rayanim.video.spec import StreamSpec

SPEC = StreamSpec(
    source_size=(641, 480),
    size=(642, 480),
    rate=Fraction(30000, 1001),
    container="mp4",
    codec="libx264",
    pixel_format="yuv420p",
    options=(("crf", "23"), ("preset", "medium")),
)


def beside(video: Path) -> DiskFolder:
    """Where the parts of a video lie."""
    return DiskTarget(video).parts


def segment(index: int = 0, n_frames: int = 3) -> EncodedSegment:
    """A segment whose packets hold new lines, text of a part, and nothing at all."""
    contents = [b"\nrayanim part 1 \n%d" % index, b"", b"\x00\xff" * (index + 1), b"\n"]
    packets = [
        EncodedPacket(contents[at % 4], pts, at == 0)
        for at, pts in enumerate([0, *range(n_frames - 1, 0, -1)][:n_frames])
    ]
    return EncodedSegment(n_frames, b"\x01extra\ndata", tuple(packets))


def manifest(**changes: Any) -> Manifest:
    """A manifest as a job would make it."""
    values: dict[str, Any] = {
        "rayanim": "0.2.0",
        "libraries": {"av": "18.1.0", "libavcodec": "62.28.102"},
        "n_frames": 300,
        "segment_frames": "30",
        "stream": dataclasses.asdict(SPEC),
        "seed": 0,
        "sequential": False,
        "source": "ab12",
        "values": {"speed": "12ab", "lock": None},
        "source_name": "Wäve \udc80",
        "first_frame": "cd34",
    }
    return Manifest(**{**values, **changes})


def sealed(values: dict[str, Any]) -> str:
    """A manifest's text with these values and the digest that goes with them."""
    digest = blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=32).hexdigest()
    return json.dumps({"digest": digest, **values}, indent=1) + "\n"
