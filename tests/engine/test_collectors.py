"""What takes the frames of a segment: as they are, or encoded."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rayanim.engine.draw import Collector, EncodedFrames, RawFrames
from rayanim.errors import EncodeError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.encode import SegmentEncoder

SPEC = make_spec(".mp4", VideoSettings(preset="ultrafast"), (64, 48), Fraction(30))


def frame(number: int) -> np.ndarray:
    return np.full(SPEC.frame_bytes, 16 + number, np.uint8)


def fill(collector: Collector[object], numbers: range) -> None:
    for number in numbers:
        collector.buffer()[:] = frame(number)
        collector.add()


def test_raw_frames_are_kept_in_order() -> None:
    """One row each."""
    collector = RawFrames(SPEC, 5)
    fill(collector, range(5))
    payload = collector.finish()
    assert payload.shape == (5, SPEC.frame_bytes)
    assert payload[:, 0].tolist() == [16, 17, 18, 19, 20]


def test_frames_are_encoded_as_one_encoder_does_it() -> None:
    """One by one as they are drawn, or all in one go."""
    encoder = SegmentEncoder(SPEC)
    encoder.encode(np.stack([frame(number) for number in range(12)]))
    collector = EncodedFrames(SPEC)
    fill(collector, range(12))
    assert collector.finish() == encoder.finish()


def test_an_aborted_encoder_takes_no_more() -> None:
    """Its memory is freed."""
    collector = EncodedFrames(SPEC)
    fill(collector, range(2))
    collector.abort()
    with pytest.raises(EncodeError, match="closed"):
        collector.add()
