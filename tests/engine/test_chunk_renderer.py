"""The frames of a chunk: as they are, or encoded as they are drawn."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rayanim.engine.draw import ChunkRenderer
from rayanim.engine.plan import Chunk
from rayanim.errors import FrameError
from rayanim.parameters import Batch
from rayanim.settings import RenderSettings, VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.encode import SegmentEncoder

SPEC = make_spec(".mp4", VideoSettings(preset="ultrafast"), (64, 48), Fraction(30))
CHUNK = Chunk(0, 0, 12, Batch(range(12), None), encodes=True)


class Greys:
    """Frames that become lighter; one of them may fail."""

    name = "Greys"

    def __init__(self, fails_at: int | None = None) -> None:
        self._fails_at = fails_at

    def draw(self, number: int, params: Any) -> Any:
        if number == self._fails_at:
            raise ZeroDivisionError("no such grey")
        return np.full((48, 64, 4), [*[10 * number] * 3, 255], np.uint8)


def renderer_of(source: Any) -> ChunkRenderer:
    return ChunkRenderer(source, SPEC, RenderSettings(cache=False))


def test_raw_frames_are_kept_in_order() -> None:
    """One row each."""
    frames, timings = renderer_of(Greys()).render(CHUNK)
    assert frames.shape == (12, SPEC.frame_bytes) and timings.frames == 12
    assert np.all(np.diff(frames[:, 0].astype(int)) > 0)


def test_frames_are_encoded_as_one_encoder_does_it() -> None:
    """One by one as they are drawn, or all in one go."""
    frames, _ = renderer_of(Greys()).render(CHUNK)
    encoder = SegmentEncoder(SPEC)
    encoder.encode(frames)
    segment, timings = renderer_of(Greys()).encode(CHUNK)
    assert segment == encoder.finish() and timings.encode_s > 0


def test_the_encoder_of_a_frame_that_fails_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is freed."""
    closed: list[Any] = []
    monkeypatch.setattr(SegmentEncoder, "abort", lambda self: closed.append(self))
    with pytest.raises(FrameError, match="no such grey"):
        renderer_of(Greys(fails_at=5)).encode(CHUNK)
    assert len(closed) == 1
