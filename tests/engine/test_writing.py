"""Both ways to a file: in order through one encoder, or segment files that are joined."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered import SIZE, numbered_frame, read_numbers

from rayanim.engine.plan import Place
from rayanim.engine.writing import FrameWriter, SegmentWriter
from rayanim.errors import EncodeError, PartsError
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
        place = Place(index, 5 * index, 5 * index + 5, "cd")
        written_bytes = writer.put(place, encoded(5 * index, 5 * index + 5))
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


def test_one_encoder_writes_the_frames_that_it_is_given(tmp_path: Path) -> None:
    """In another process, too."""
    writer = pickle.loads(pickle.dumps(FrameWriter(SPEC, tmp_path / "video.mp4")))
    writer.open()
    assert writer.put(Place(0, 0, 4), frames(0, 4)) == 0
    writer.put(Place(1, 4, 6), frames(4, 6))
    with pytest.raises(EncodeError, match="6 frames were encoded where the video has 7"):
        writer.finish(7)
    assert writer.finish(6) == (tmp_path / "video.mp4").stat().st_size
    assert read_numbers(tmp_path / "video.mp4") == list(range(6))


def test_frames_out_of_order_are_an_error(tmp_path: Path) -> None:
    """The encoder would take them, and the video would be another one."""
    writer = FrameWriter(SPEC, tmp_path / "video.mp4")
    writer.open()
    writer.put(Place(0, 0, 4), frames(0, 4))
    with pytest.raises(EncodeError, match="Frame 6 came where frame 4 was expected"):
        writer.put(Place(2, 6, 8), frames(6, 8))
