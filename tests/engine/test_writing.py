"""Two ways to a file: one encoder for the whole video, or segment files that are joined."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered import SIZE, numbered_frame, read_numbers

from rayanim.engine.plan import Segment
from rayanim.engine.writing import FileWriter, SegmentWriter
from rayanim.errors import PartsError
from rayanim.settings import VideoSettings
from rayanim.storage.segments import SegmentFolder
from rayanim.storage.store import Store
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import EncodedSegment, SegmentEncoder

SPEC = make_spec(".mp4", VideoSettings(preset="ultrafast"), SIZE, Fraction(30))


def frames(start: int, stop: int) -> np.ndarray:
    packed = np.empty((stop - start, SPEC.frame_bytes), np.uint8)
    converter = FrameConverter(SPEC)
    for row, number in zip(packed, range(start, stop), strict=True):
        converter.convert(numbered_frame(number), row)
    return packed


def encoded(start: int, stop: int) -> EncodedSegment:
    encoder = SegmentEncoder(SPEC)
    encoder.encode(frames(start, stop))
    return encoder.finish()


@dataclass
class Files:
    """A folder for segment files, and a video to be."""

    path: Path
    store: SegmentFolder

    def open(self) -> SegmentWriter:
        writer = SegmentWriter(SPEC, self.path, self.store)
        # As it is sent to the process that writes.
        sent: SegmentWriter = pickle.loads(pickle.dumps(writer))
        sent.open()
        return sent


@pytest.fixture
def parts(tmp_path: Path) -> Files:
    (tmp_path / "parts").mkdir()
    return Files(tmp_path / "video.mp4", SegmentFolder(Store(), tmp_path / "parts", "ab"))


def test_parts_come_in_any_order_and_are_joined_in_theirs(parts: Files) -> None:
    """Also in another process; a part that comes twice counts once."""
    writer = parts.open()
    for index in (2, 0, 1, 0):
        segment = Segment(index, 5 * index, 5 * index + 5, "cd")
        written_bytes = writer.put(segment, encoded(5 * index, 5 * index + 5))
        assert written_bytes == (parts.store.path / f"00000{index}.part").stat().st_size
    assert writer.finish(15) == parts.path.stat().st_size
    assert read_numbers(parts.path) == list(range(15))


@pytest.mark.parametrize("starts", [{0: 0, 2: 10}, {1: 5, 2: 10}])
def test_a_missing_part_is_an_error(parts: Files, starts: dict[int, int]) -> None:
    """No video is made of the others."""
    for index, start in starts.items():
        parts.store.put(index, start, None, encoded(start, start + 5))
    with pytest.raises(PartsError, match=r"parts of .* are missing"):
        parts.open().finish(10)
    assert not parts.path.exists()


@pytest.mark.parametrize("n_frames", [4, 6])
def test_a_video_of_another_length_is_an_error(parts: Files, n_frames: int) -> None:
    """The number of frames is checked: the last file may be the one that is missing."""
    parts.store.put(0, 0, None, encoded(0, 5))
    with pytest.raises(PartsError, match=f"5 frames of {n_frames}"):
        parts.open().finish(n_frames)
    assert not parts.path.exists()


@pytest.mark.parametrize("start", [4, 6])
def test_a_part_of_another_cut_is_an_error(parts: Files, start: int) -> None:
    """Frames would be lost or doubled; neither is in a video unnoticed."""
    parts.store.put(0, 0, None, encoded(0, 5))
    parts.store.put(1, start, None, encoded(5, 10))
    with pytest.raises(PartsError, match=f"begins with frame {start} .* 5 was expected"):
        parts.open().finish(10)
    assert not parts.path.exists()


def test_a_part_that_was_changed_meanwhile_is_an_error(parts: Files) -> None:
    """Each is checked once more when it is joined."""
    parts.store.put(0, 0, None, encoded(0, 5))
    path = parts.store.path / "000000.part"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(PartsError, match="checksum"):
        parts.open().finish(10)
    assert not parts.path.exists()


def test_one_encoder_writes_its_frames_into_the_file(tmp_path: Path) -> None:
    """There are no segment files, so nothing counts as written before the end."""
    writer = FileWriter(SPEC, tmp_path / "video.mp4")
    encoder = writer.encoder()
    encoder.encode(frames(0, 4))
    encoder.encode(frames(4, 6))
    assert writer.put(Segment(0, 0, 6), encoder.finish()) == 0
    assert writer.finish(6) == (tmp_path / "video.mp4").stat().st_size
    assert read_numbers(tmp_path / "video.mp4") == list(range(6))


@pytest.mark.parametrize("pieces", [[5], [2, 3], [1] * 5])
def test_a_segment_s_encoder_makes_the_same_of_any_pieces(parts: Files, pieces: list[int]) -> None:
    """Chunks are chosen by cost: the bytes must not depend on them."""
    encoder, start = SegmentWriter(SPEC, parts.path, parts.store).encoder(), 0
    for length in pieces:
        encoder.encode(frames(start, start + length))
        start += length
    assert encoder.finish() == encoded(0, 5)
