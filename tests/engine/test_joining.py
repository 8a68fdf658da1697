"""A video that is joined while its parts still come is the one that is joined of all at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numbered import SIZE, numbered_frame, read_numbers

from rayanim.engine import writing
from rayanim.engine.plan import Segment
from rayanim.engine.writing import Joining, SegmentWriter
from rayanim.errors import EncodeError, PartsError
from rayanim.settings import VideoSettings
from rayanim.storage.segments import SegmentFolder
from rayanim.storage.store import Store
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import EncodedSegment, SegmentEncoder
from rayanim.video.join import Joiner

SPEC = make_spec(".mp4", VideoSettings(preset="ultrafast"), SIZE, Fraction(30))
LENGTH = 5
LIMIT_S = 20.0


def encoded(start: int) -> EncodedSegment:
    encoder, converter = SegmentEncoder(SPEC), FrameConverter(SPEC)
    packed = np.empty((LENGTH, SPEC.frame_bytes), np.uint8)
    for row, number in zip(packed, range(start, start + LENGTH), strict=True):
        converter.convert(numbered_frame(number), row)
    encoder.encode(packed)
    return encoder.finish()


SEGMENTS = [encoded(LENGTH * index) for index in range(8)]


class Watched(Store):
    """A disk that notes which parts are read."""

    reads: ClassVar[list[str]] = []

    def read(self, address: Any, limit_bytes: int | None = None) -> bytes:
        self.reads.append(address.name)
        return super().read(address, limit_bytes)


@dataclass
class Files:
    """A folder for segment files, and a video to be."""

    path: Path
    store: SegmentFolder

    def open(self, *, joins: bool = True) -> SegmentWriter:
        writer = SegmentWriter(SPEC, self.path, self.store, joins=joins)
        writer.open()
        return writer


@pytest.fixture
def parts(tmp_path: Path) -> Files:
    (tmp_path / "parts").mkdir()
    Watched.reads.clear()
    return Files(tmp_path / "video.mp4", SegmentFolder(Watched(), tmp_path / "parts", "ab"))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Finished, failed or stopped: the thread has ended."""
    yield
    assert [each.name for each in threading.enumerate() if each.name == "rayanim-join"] == []


def joining_of(parts: Files) -> Joining:
    return Joining(SPEC, (parts.path,), parts.store)


def put(parts: Files, index: int, segment: EncodedSegment | None = None) -> None:
    parts.store.put(index, LENGTH * index, None, segment or SEGMENTS[index])


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    for _ in range(int(100 * LIMIT_S)):
        if is_so():
            return
        time.sleep(0.01)
    pytest.fail(f"it did not come to be so in {LIMIT_S} s")


def joined_at_once(tmp_path: Path, count: int) -> bytes:
    joiner = Joiner(SPEC, tmp_path / "expected.mp4")
    for segment in SEGMENTS[:count]:
        joiner.add(segment)
    joiner.finish()
    return (tmp_path / "expected.mp4").read_bytes()


@pytest.mark.parametrize("held_bytes", [0, 3000, 2**20])
@pytest.mark.parametrize("seed", range(4))
def test_any_order_gives_the_same_bytes(
    parts: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int, seed: int
) -> None:
    """Some twice, some put by others; kept in memory, in part, or read again."""
    monkeypatch.setattr(writing, "HELD_BYTES", held_bytes)
    chance = random.Random(seed)
    order = [*range(8), *chance.choices(range(8), k=3)]
    chance.shuffle(order)
    video = joining_of(parts)
    for index in order:
        put(parts, index)
        if chance.random() < 0.3:
            video.found([index])
        else:
            video.add(index, LENGTH * index, SEGMENTS[index])
    assert video.finish(40) == parts.path.stat().st_size
    assert parts.path.read_bytes() == joined_at_once(tmp_path, 8)
    assert sorted(parts.store.indices()) == list(range(8))


def test_a_part_is_joined_as_soon_as_all_before_it_are_there(parts: Files) -> None:
    """The end of the video is not waited for, nor is a gap passed over."""
    video = joining_of(parts)
    for index, frames in ((0, 5), (2, 5), (3, 5), (1, 20)):
        put(parts, index)
        video.add(index, LENGTH * index, SEGMENTS[index])
        until(lambda frames=frames: video.frames == frames)  # type: ignore[misc]
    assert video.finish(20) == parts.path.stat().st_size
    assert read_numbers(parts.path) == list(range(20))


def test_what_is_held_is_not_read_again(parts: Files) -> None:
    """What others put is."""
    video = joining_of(parts)
    for index in (0, 1, 3):
        put(parts, index)
        video.add(index, LENGTH * index, SEGMENTS[index])
    put(parts, 2)
    video.found([2])
    video.finish(20)
    assert Watched.reads == ["000002.part"]


def test_a_file_that_was_not_reported_waits_until_the_end(parts: Files) -> None:
    """One of an earlier job may be drawn anew."""
    put(parts, 1, SEGMENTS[7])
    video = joining_of(parts)
    put(parts, 0)
    video.add(0, 0, SEGMENTS[0])
    until(lambda: video.frames == LENGTH)
    put(parts, 1)
    video.finish(10)
    assert read_numbers(parts.path) == list(range(10))


def spoil(parts: Files, index: int) -> None:
    path = parts.store.path / f"00000{index}.part"
    path.write_bytes(path.read_bytes()[:-1])  # type: ignore[union-attr]


def test_a_failure_is_told_by_the_next_call_and_costs_no_part(parts: Files) -> None:
    """The video goes, what it was joined from stays."""
    writer = parts.open()
    writer.put(Segment(0, 0, 5), SEGMENTS[0])
    put(parts, 1)
    spoil(parts, 1)
    writer.found([1])

    def fails() -> bool:
        try:
            writer.put(Segment(2, 10, 15), SEGMENTS[2])
        except PartsError as error:
            return "checksum" in str(error)
        return False

    until(fails)
    assert not parts.path.exists()
    assert sorted(parts.store.indices()) == [0, 1, 2]
    with pytest.raises(PartsError, match="checksum"):
        writer.finish(15)


def test_a_video_that_cannot_be_written_is_told(parts: Files) -> None:
    """By the thread that finds out, through the one that asks."""
    nowhere = Files(parts.path / "no" / "folder.mp4", parts.store)
    writer = nowhere.open()
    put(parts, 0)
    writer.found([0])
    with pytest.raises(EncodeError, match="Cannot write"):
        writer.finish(5)


@pytest.mark.parametrize("count", [0, 3])
def test_stopping_leaves_the_parts_alone(parts: Files, count: int) -> None:
    """Before or after something was joined; twice does nothing."""
    writer = parts.open()
    for index in range(count):
        writer.put(Segment(index, LENGTH * index, LENGTH * index + LENGTH), SEGMENTS[index])
    writer.abort()
    writer.abort()
    assert not parts.path.exists()
    assert len(list(parts.store.indices())) == count


def test_stopping_after_the_end_keeps_the_video(parts: Files) -> None:
    """It is finished."""
    writer = parts.open()
    writer.put(Segment(0, 0, 5), SEGMENTS[0])
    file_bytes = writer.finish(5)
    writer.abort()
    assert parts.path.stat().st_size == file_bytes


def test_parts_that_went_once_they_were_joined_are_not_waited_for(parts: Files) -> None:
    """The video is all there."""
    video = joining_of(parts)
    for index in range(4):
        put(parts, index)
        video.add(index, LENGTH * index, SEGMENTS[index])
    until(lambda: video.frames == 20)
    parts.store.remove_from(2)
    assert video.finish(20) == parts.path.stat().st_size


def test_a_video_without_parts_is_an_error(parts: Files) -> None:
    """As everywhere: no container plays without a frame."""
    with pytest.raises(EncodeError, match="no frame"):
        parts.open().finish(0)
    assert not parts.path.exists()


def test_who_does_not_join_says_what_is_there(parts: Files) -> None:
    """So that another one joins it; at the end it joins nevertheless."""
    writer = parts.open(joins=False)
    writer.found([0])
    put(parts, 0)
    for index in (2, 1):
        writer.put(Segment(index, LENGTH * index, LENGTH * index + LENGTH), SEGMENTS[index])
    assert (writer.take_found(), writer.take_found()) == ([0, 2, 1], [])
    assert not parts.path.exists()
    writer.finish(15)
    assert read_numbers(parts.path) == list(range(15))


def test_memory_for_what_waits_is_bounded(parts: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is read from its file, and room that is free again is used."""
    monkeypatch.setattr(writing, "HELD_BYTES", 2 * max(map(writing._memory_bytes, SEGMENTS)))
    video = joining_of(parts)
    for index in range(1, 7):
        put(parts, index)
        video.add(index, LENGTH * index, SEGMENTS[index])
    put(parts, 0)
    video.found([0])
    until(lambda: video.frames == 35)
    read = len(Watched.reads)
    assert 1 + 2 <= read <= 1 + 4
    put(parts, 7)
    video.add(7, 35, SEGMENTS[7])
    until(lambda: video.frames == 40)
    assert len(Watched.reads) == read
    video.finish(40)
