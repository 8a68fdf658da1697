"""An encoder for each segment, in threads: bounded, in any order, and every failure raised."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered import SIZE, numbered_frame, read_numbers

from rayanim.engine.local import MAX_THREADS, Encoders
from rayanim.engine.plan import ENDLESS, Chunk, Segment
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.engine.writing import FileWriter
from rayanim.errors import EncodeError
from rayanim.events import Event, SegmentEncoded, SegmentStored
from rayanim.parameters import Batch
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import EncodedSegment, SegmentEncoder

SPEC = make_spec(".mp4", VideoSettings(preset="ultrafast"), SIZE, Fraction(30))


class Kept:
    """A writer that keeps segments, once it may, and refuses the one of index `fail`."""

    def __init__(self, fail: int | None = None) -> None:
        self.fail = fail
        self.segments: dict[int, EncodedSegment] = {}
        self.places: list[Segment] = []
        self.may_write = threading.Event()
        self.may_write.set()

    def encoder(self, n_frames: int | None = None) -> SegmentEncoder:
        return SegmentEncoder(SPEC)

    def put(self, segment: Segment, encoded: EncodedSegment) -> int:
        assert self.may_write.wait(60)
        if segment.index == self.fail:
            raise EncodeError("no more room")
        self.segments[segment.index] = encoded
        self.places.append(segment)
        return 7


class Noted:
    """A listener that keeps all events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def apply(self, event: Event) -> None:
        self.events.append(event)


def frames(start: int, stop: int) -> Any:
    """Converted numbered frames, (stop - start, frame_bytes) uint8."""
    packed = np.empty((stop - start, SPEC.frame_bytes), np.uint8)
    converter = FrameConverter(SPEC)
    for row, number in zip(packed, range(start, stop), strict=True):
        converter.convert(numbered_frame(number), row)
    return packed


def segment(index: int, length: int = 8) -> Segment:
    return Segment(index, length * index, length * index + length)


def chunk(start: int, stop: int, of: Segment) -> Chunk:
    return Chunk(start, start, stop, Batch(range(start, stop), None), of)


def add(encoders: Encoders, start: int, stop: int, of: Segment, **options: Any) -> None:
    encoders.add(chunk(start, stop, of), frames(start, stop), **options)


def add_whole(encoders: Encoders, index: int) -> None:
    of = segment(index)
    add(encoders, of.start, of.stop, of)
    encoders.end(of)


def encoders_of(
    writer: Any, *listeners: Any, limit_frames: int = 1000, cores: int = 4
) -> tuple[Encoders, JobStats]:
    stats = JobStats(None)
    limit_bytes = limit_frames * SPEC.frame_bytes
    events = JobEvents(stats, *listeners)
    return Encoders(SPEC, writer, events, cores=cores, limit_bytes=limit_bytes), stats


def names() -> list[str]:
    return [each.name for each in threading.enumerate() if "rayanim-encoder" in each.name]


def expected(index: int) -> EncodedSegment:
    encoder = SegmentEncoder(SPEC)
    encoder.encode(frames(8 * index, 8 * index + 8))
    return encoder.finish()


@pytest.mark.parametrize("cores", [1, 4])
def test_each_segment_is_what_one_encoder_makes_of_it(cores: int) -> None:
    """However its frames are given and whichever thread takes it; frames and bytes are counted."""
    writer = Kept()
    encoders, stats = encoders_of(writer, cores=cores)
    for index in range(6):
        of = segment(index)
        for start in range(of.start, of.stop, 3):
            add(encoders, start, min(start + 3, of.stop), of)
        encoders.end(of)
    encoders.finish()
    assert writer.segments == {index: expected(index) for index in range(6)}
    assert sorted(writer.places, key=lambda each: each.index) == [segment(n) for n in range(6)]
    assert (stats.frames, stats.written_frames, stats.written_bytes) == (48, 48, 42)
    assert encoders.queued_frames == 0
    assert encoders.frame_s is not None and encoders.frame_s > 0
    assert names() == []


def test_segments_may_be_fed_by_turns() -> None:
    """As actors draw them; each encoder gets its own frames."""
    writer = Kept()
    encoders, _ = encoders_of(writer)
    for step in range(0, 8, 2):
        for index in range(3):
            of = segment(index)
            add(encoders, of.start + step, of.start + step + 2, of)
    for index in (2, 0, 1):
        encoders.end(segment(index))
    encoders.finish()
    assert writer.segments == {index: expected(index) for index in range(3)}


def test_more_segments_than_threads_wait_for_their_turn() -> None:
    """The first ones end, so that the others begin."""
    writer = Kept()
    encoders, stats = encoders_of(writer, cores=1)
    assert encoders.width == 1
    for index in range(3):
        add(encoders, 8 * index, 8 * index + 8, segment(index))
    for index in range(3):
        encoders.end(segment(index))
    encoders.finish()
    assert (list(writer.segments), stats.frames) == ([0, 1, 2], 24)


@pytest.mark.parametrize(("cores", "width"), [(0, 1), (2, 2), (64, MAX_THREADS)])
def test_as_many_encoders_as_cores_up_to_a_limit(cores: int, width: int) -> None:
    """Each costs the memory of an encoder."""
    assert encoders_of(Kept(), cores=cores)[0].width == width


def test_what_frames_hold_is_freed_once_they_are_encoded() -> None:
    """Each chunk once, by the thread that asks, and not before the encoder has them."""
    freed: list[tuple[int, str]] = []

    def free(done: Chunk, encode_s: float, wait_s: float) -> None:
        freed.append((done.start, threading.current_thread().name))

    noted = Noted()
    encoders, stats = encoders_of(Kept(), noted)
    of = segment(0)
    for start in (0, 4):
        add(encoders, start, start + 4, of, when_encoded=free)
    encoders.end(of)
    encoders.finish()
    assert freed == [(0, "MainThread"), (4, "MainThread")]
    taken = [event for event in noted.events if isinstance(event, SegmentEncoded)]
    assert [(each.segment, each.start, each.stop) for each in taken] == [(0, 0, 4), (0, 4, 8)]
    (kept,) = (event for event in noted.events if isinstance(event, SegmentStored))
    assert (kept.segment, kept.start, kept.stop, kept.by_actor) == (0, 0, 8, False)
    assert stats.encode_s == pytest.approx(sum(each.encode_s for each in [*taken, kept]))


def test_waiting_for_the_end_of_a_segment_is_no_encoding() -> None:
    """Its last frames may come long before it is known that they are the last."""
    noted = Noted()
    encoders, _ = encoders_of(Kept(), noted)
    of = segment(0)
    add(encoders, 0, 8, of)
    while not any(isinstance(event, SegmentEncoded) for event in noted.events):
        encoders.settle()
    threading.Event().wait(1.0)
    encoders.end(of)
    encoders.finish()
    (kept,) = (event for event in noted.events if isinstance(event, SegmentStored))
    assert kept.encode_s < 0.9


def test_what_waits_is_bounded() -> None:
    """While no segment can be written, drawing waits once there are so many frames."""
    writer = Kept()
    writer.may_write.clear()
    encoders, stats = encoders_of(writer, limit_frames=10, cores=1)
    given: list[int] = []

    def draw() -> None:
        for index in range(8):
            encoders.wait_for_room()
            add_whole(encoders, index)
            given.append(index)

    drawing = threading.Thread(target=draw)
    drawing.start()
    drawing.join(2)
    assert drawing.is_alive()
    # One in the thread, two on their way: the second fits as long as there is room for one frame.
    assert len(given) <= 3
    assert encoders.queued_frames <= 10 + 8
    writer.may_write.set()
    drawing.join(60)
    encoders.finish()
    assert (sorted(writer.segments), stats.frames) == (list(range(8)), 64)


def test_a_refused_segment_is_told_and_drawing_does_not_wait_for_it() -> None:
    """The writer's own error arrives with one of the next calls."""
    encoders, _ = encoders_of(Kept(fail=1), limit_frames=8, cores=1)
    with pytest.raises(EncodeError, match="no more room"):
        for index in range(100):
            encoders.wait_for_room()
            add_whole(encoders, index)
    encoders.abort()
    assert names() == []


def test_a_refused_segment_is_told_at_the_end_at_the_latest() -> None:
    """`finish` waits for all, and raises for any."""
    encoders, stats = encoders_of(Kept(fail=0))
    add_whole(encoders, 0)
    with pytest.raises(EncodeError, match="no more room"):
        encoders.finish()
    encoders.abort()
    assert stats.written_frames == 0


def test_what_ffmpeg_refuses_is_told() -> None:
    """Frames of the wrong shape end their segment."""
    encoders, _ = encoders_of(Kept())
    encoders.add(chunk(0, 1, segment(0)), np.zeros((1, 10), np.uint8))
    encoders.end(segment(0))
    with pytest.raises(EncodeError, match="must be a C-contiguous uint8 array"):
        encoders.finish()
    encoders.abort()


@pytest.mark.parametrize(("given", "stop"), [([(4, 8)], 8), ([(0, 4), (6, 8)], 8), ([(0, 4)], 8)])
def test_frames_that_are_missing_or_out_of_order_are_an_error(
    given: list[tuple[int, int]], stop: int
) -> None:
    """The encoder would take them, and the video would be another one."""
    writer = Kept()
    encoders, _ = encoders_of(writer)
    for start, end in given:
        add(encoders, start, end, segment(0))
    encoders.end(Segment(0, 0, stop))
    with pytest.raises(EncodeError, match="was expected"):
        encoders.finish()
    encoders.abort()
    assert writer.segments == {}


def test_aborting_writes_what_was_given_whole_and_nothing_else() -> None:
    """After Ctrl-C a job can be resumed from there; also where one thread has yet to begin it."""
    writer = Kept()
    encoders, _ = encoders_of(writer, cores=1)
    add(encoders, 16, 20, segment(2))
    add_whole(encoders, 0)
    encoders.abort()
    encoders.abort()
    assert list(writer.segments) == [0]
    assert names() == []


def test_aborting_does_not_wait_for_frames_of_a_segment_that_is_dropped() -> None:
    """There may be hundreds of them, of a codec that takes a second for each."""
    begun, may_go_on, encoded = threading.Event(), threading.Event(), []

    class Slow(SegmentEncoder):
        def encode(self, frames: Any) -> None:
            begun.set()
            assert may_go_on.wait(60)
            encoded.append(len(frames))

    writer = Kept()
    writer.encoder = lambda n_frames: Slow(SPEC)  # type: ignore[method-assign]
    encoders, _ = encoders_of(writer)
    for start in range(0, 8, 2):
        add(encoders, start, start + 2, segment(0))
    assert begun.wait(60)
    aborting = threading.Thread(target=encoders.abort)
    aborting.start()
    while encoders._incoming:
        aborting.join(0.01)
    may_go_on.set()
    aborting.join(60)
    assert (encoded, writer.segments, names()) == ([2], {}, [])


def test_aborting_before_anything_is_no_harm() -> None:
    """A failure may come between any two calls."""
    encoders, _ = encoders_of(Kept())
    encoders.abort()
    assert names() == []


def test_one_encoder_writes_the_whole_video(tmp_path: Path) -> None:
    """Of a stream that cannot be joined: one segment without an end that is known before."""
    path = tmp_path / "video.mp4"
    writer = FileWriter(SPEC, path)
    encoders, stats = encoders_of(writer)
    whole = Segment(0, 0, ENDLESS)
    for start in range(0, 60, 3):
        add(encoders, start, start + 3, whole)
    encoders.end(Segment(0, 0, 60))
    encoders.finish()
    assert writer.finish(stats.frames) == path.stat().st_size
    assert read_numbers(path) == list(range(60))
    assert stats.frames == 60


@pytest.mark.parametrize("whole_frames", [0, 20])
def test_an_unfinished_file_is_removed(tmp_path: Path, whole_frames: int) -> None:
    """Stopped at once or in the midst of it."""
    encoders, _ = encoders_of(FileWriter(SPEC, tmp_path / "video.mp4"))
    if whole_frames:
        add(encoders, 0, whole_frames, Segment(0, 0, ENDLESS))
    encoders.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """By the thread that finds out, through the one that draws."""
    encoders, _ = encoders_of(FileWriter(SPEC, tmp_path / "no" / "video.mp4"))
    add(encoders, 0, 8, Segment(0, 0, ENDLESS))
    encoders.end(Segment(0, 0, 8))
    with pytest.raises(EncodeError, match="Cannot write"):
        encoders.finish()
    encoders.abort()
