"""Closed segments encoded in threads: bounded, in any order, and every failure raised."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numbered import SIZE, numbered_frame

from rayanim.engine.local import EncoderThreads
from rayanim.engine.plan import Place
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import EncodeError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import EncodedSegment, SegmentEncoder

SPEC = make_spec(".mp4", VideoSettings(preset="ultrafast"), SIZE, Fraction(30))


class Kept:
    """A writer that keeps segments, once it may.

    Parameters
    ----------
    fail
        Index of a segment that it refuses.
    """

    def __init__(self, fail: int | None = None) -> None:
        self.fail = fail
        self.segments: dict[int, EncodedSegment] = {}
        self.may_write = threading.Event()
        self.may_write.set()

    def put(self, place: Place, payload: EncodedSegment) -> int:
        assert self.may_write.wait(60)
        if place.index == self.fail:
            raise EncodeError("no more room")
        self.segments[place.index] = payload
        return 7

    def finish(self) -> int:
        return 0


def frames(start: int, stop: int) -> Any:
    """Converted numbered frames, (stop - start, frame_bytes) uint8."""
    packed = np.empty((stop - start, SPEC.frame_bytes), np.uint8)
    converter = FrameConverter(SPEC)
    for row, number in zip(packed, range(start, stop), strict=True):
        converter.convert(numbered_frame(number), row)
    return packed


def threads_of(writer: Kept, limit_frames: int = 1000, cores: int = 4) -> tuple[Any, JobStats]:
    stats = JobStats(None)
    limit_bytes = limit_frames * SPEC.frame_bytes
    events = JobEvents(stats)
    return EncoderThreads(SPEC, writer, events, cores=cores, limit_bytes=limit_bytes), stats


def names() -> list[str]:
    return [each.name for each in threading.enumerate() if "rayanim-encoder" in each.name]


@pytest.mark.parametrize("cores", [1, 4])
def test_each_segment_is_what_one_encoder_makes_of_it(cores: int) -> None:
    """However its frames are given and whichever thread takes it; frames and bytes are counted."""
    writer = Kept()
    threads, stats = threads_of(writer, cores=cores)
    for index in range(6):
        threads.begin()
        for start in range(8 * index, 8 * index + 8, 3):
            threads.add(frames(start, min(start + 3, 8 * index + 8)))
        threads.end(Place(index, 8 * index, 8 * index + 8))
    threads.finish()
    for index in range(6):
        encoder = SegmentEncoder(SPEC)
        encoder.encode(frames(8 * index, 8 * index + 8))
        assert writer.segments[index] == encoder.finish()
    assert (stats.frames, stats.written_frames, stats.written_bytes) == (48, 48, 42)
    assert threads.queued_frames == 0
    assert threads.frame_s > 0
    assert names() == []


def test_a_dropped_segment_is_nowhere() -> None:
    """Neither written nor counted, and what waits of it is let go."""
    writer = Kept()
    threads, stats = threads_of(writer)
    threads.begin()
    threads.add(frames(0, 8))
    threads.drop()
    threads.begin()
    threads.add(frames(0, 4))
    threads.end(Place(0, 0, 4))
    threads.finish()
    assert list(writer.segments) == [0]
    assert (writer.segments[0].n_frames, stats.frames) == (4, 4)
    assert threads.queued_frames == 0


def test_dropping_twice_or_nothing_is_no_harm() -> None:
    """A failure may come between any two calls."""
    threads, _ = threads_of(Kept())
    threads.drop()
    threads.begin()
    threads.drop()
    threads.drop()
    threads.abort()
    threads.abort()
    assert names() == []


def test_what_waits_is_bounded() -> None:
    """While no segment can be written, drawing waits once there are so many frames."""
    writer = Kept()
    writer.may_write.clear()
    threads, stats = threads_of(writer, limit_frames=10, cores=1)
    given: list[int] = []

    def draw() -> None:
        for index in range(8):
            threads.begin()
            threads.add(frames(0, 8))
            given.append(index)
            threads.end(Place(index, 8 * index, 8 * index + 8))

    drawing = threading.Thread(target=draw)
    drawing.start()
    drawing.join(2)
    assert drawing.is_alive()
    # One in the thread, two on their way: the second fits as long as there is room for one frame.
    assert len(given) <= 4
    assert threads.queued_frames <= 10 + 8
    writer.may_write.set()
    drawing.join(60)
    threads.finish()
    assert (sorted(writer.segments), stats.frames) == (list(range(8)), 64)


def test_a_refused_segment_is_told_and_drawing_does_not_wait_for_it() -> None:
    """The writer's own error arrives with one of the next calls."""
    threads, _ = threads_of(Kept(fail=1), limit_frames=8, cores=1)
    with pytest.raises(EncodeError, match="no more room"):
        for index in range(100):
            threads.begin()
            threads.add(frames(0, 8))
            threads.end(Place(index, 8 * index, 8 * index + 8))
    threads.abort()
    assert names() == []


def test_a_refused_segment_is_told_at_the_end_at_the_latest() -> None:
    """`finish` waits for all, and raises for any."""
    threads, stats = threads_of(Kept(fail=0))
    threads.begin()
    threads.add(frames(0, 8))
    threads.end(Place(0, 0, 8))
    with pytest.raises(EncodeError, match="no more room"):
        threads.finish()
    threads.abort()
    assert stats.frames == 0


def test_what_ffmpeg_refuses_is_told() -> None:
    """A payload of the wrong shape ends its segment."""
    threads, _ = threads_of(Kept())
    threads.begin()
    threads.add(np.zeros((1, 10), np.uint8))
    threads.end(Place(0, 0, 1))
    with pytest.raises(EncodeError, match="must be a C-contiguous uint8 array"):
        threads.finish()
    threads.abort()


def test_aborting_writes_what_was_given_whole_and_nothing_else() -> None:
    """After Ctrl-C a job can be resumed from there."""
    writer = Kept()
    threads, _ = threads_of(writer)
    threads.begin()
    threads.add(frames(0, 8))
    threads.end(Place(0, 0, 8))
    threads.begin()
    threads.add(frames(8, 12))
    threads.abort()
    assert list(writer.segments) == [0]
    assert names() == []
