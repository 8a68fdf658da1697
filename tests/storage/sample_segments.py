"""Segments, manifests and jobs to test with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rayanim.storage.output import Target
from rayanim.storage.segments import Manifest, SegmentFolder, SegmentStore
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


def segment(index: int = 0, n_frames: int = 3) -> EncodedSegment:
    """A segment whose packets hold new lines, text of a segment file, and nothing at all."""
    contents = [b"\nrayanim segment 2 \n%d" % index, b"", b"\x00\xff" * (index + 1), b"\n"]
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


class EndedError(Exception):
    """What a job ended of."""


@dataclasses.dataclass
class Job:
    """What a test looks at while its job goes on."""

    segment_store: SegmentStore
    store: SegmentFolder
    log: list[str]

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(str(self.store.path))

    @property
    def finished(self) -> list[int]:
        """The segments that it found."""
        return sorted(self.segment_store.finished)


@contextlib.contextmanager
def job(video: Path, *, resume: bool = False, keep: bool = False, **changes: Any) -> Iterator[Job]:
    """A job of which the video is whole at the end of the context, unless that raises."""
    target = Target(video)
    log: list[str] = []

    def note(text: str) -> None:
        # The manifest has such a value in each job.
        if "could not be compared" not in text:
            log.append(text)

    with target.claimed(), SegmentStore(target, object, resume=resume, keep=keep) as segment_store:
        yield Job(segment_store, segment_store.begin(manifest(**changes), note), log)


@contextlib.contextmanager
def ending_job(video: Path, *, resume: bool = False, **changes: Any) -> Iterator[Job]:
    """A job that ends before its video is whole."""
    with contextlib.suppress(EndedError), job(video, resume=resume, **changes) as one:
        yield one
        raise EndedError


def ended_job(video: Path, indices: tuple[int, ...] = (0, 1, 4), **changes: Any) -> Path:
    """The folder of a job that ended with these segments."""
    with ending_job(video, **changes) as one:
        for index in indices:
            one.store.put(index, 30 * index, f"{index}a", segment(index))
    return one.path


def killed_job(video: Path, count: int, **changes: Any) -> None:
    """As a job that puts `count` segments and is killed."""
    target = Target(video)
    with target.claimed():
        segment_store = SegmentStore(target, object).__enter__()
        store = segment_store.begin(manifest(**changes), lambda _: None)
        for index in range(count):
            store.put(index, 30 * index, None, segment(index))
