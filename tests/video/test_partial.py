"""Conversion of what changed, against conversion in full."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayanim.video import convert
from rayanim.video.convert import LONGEST_PAUSE, FrameConverter, PartialConverter
from rayanim.video.spec import PIXEL_FORMATS, StreamSpec

SIZE = (200, 120)


def spec_for(source_size=SIZE, pixel_format="yuv420p", odd_size="pad"):
    """A specification; sides are cropped or filled up to whole chroma samples."""
    steps = PIXEL_FORMATS[pixel_format].chroma_step
    sides = zip(source_size, steps, strict=True)
    if odd_size == "crop":
        size = tuple(max(step, side // step * step) for side, step in sides)
    else:
        size = tuple(-(-side // step) * step for side, step in sides)
    return StreamSpec(
        source_size,
        size,
        Fraction(30),
        "mp4",
        "libx264",
        pixel_format,
        odd_size=odd_size,
        background=(10, 100, 50),
    )


def noise(size=SIZE, opaque=True):
    rgba = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 4), np.uint8)
    if opaque:
        rgba[..., 3] = 255
    return rgba


def in_full(spec, rgba):
    out = np.full(spec.frame_bytes, 77, np.uint8)
    FrameConverter(spec).convert(rgba, out)
    return out


def with_one_before(spec, rgba):
    """A converter that has seen `rgba`, and its frame."""
    converter = PartialConverter(spec)
    packed = in_full(spec, rgba)
    converter.keep(rgba, packed)
    return converter, packed


BOX = st.tuples(*[st.floats(0, 1)] * 2, st.integers(1, 60), st.integers(1, 40), st.integers(0, 255))


@given(
    size=st.tuples(st.integers(2, 150), st.integers(2, 80)),
    pixel_format=st.sampled_from(sorted(PIXEL_FORMATS)),
    odd_size=st.sampled_from(["pad", "crop", "scale"]),
    opaque=st.booleans(),
    changes=st.lists(st.lists(BOX, max_size=3), min_size=1, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_frames_are_those_of_a_full_conversion(size, pixel_format, odd_size, opaque, changes):
    """Bit for bit, whatever changed, in every format and size, padded, cropped or scaled."""
    spec = spec_for(size, pixel_format, odd_size)
    kept = FrameConverter(spec)
    rgba = noise(size, opaque)
    out = np.full(spec.frame_bytes, 77, np.uint8)
    kept.convert(rgba, out)
    for boxes in changes:
        for along, down, width, height, level in boxes:
            left, top = int(along * (size[0] - 1)), int(down * (size[1] - 1))
            rgba[top : top + height, left : left + width, : 3 if opaque else 4] = level
        kept.convert(rgba, out)
        assert (out == in_full(spec, rgba)).all()


@pytest.mark.parametrize("pixel_format", sorted(PIXEL_FORMATS))
def test_each_corner_is_looked_at(pixel_format):
    """A change of one level in one pixel of any corner or edge is converted."""
    spec = spec_for(pixel_format=pixel_format)
    before = noise()
    for x, y in ((0, 0), (199, 0), (0, 119), (199, 119), (31, 15), (32, 16), (192, 60)):
        converter, _packed = with_one_before(spec, before)
        rgba = before.copy()
        rgba[y, x, :3] ^= 128
        out = np.zeros(spec.frame_bytes, np.uint8)
        assert converter.convert(rgba, out)
        assert (out == in_full(spec, rgba)).all()


def test_changes_of_opacity_alone_are_seen():
    """A pixel that becomes transparent shows the background."""
    spec = spec_for()
    rgba = noise()
    converter, packed = with_one_before(spec, rgba)
    rgba[50, 60, 3] = 0
    out = np.zeros(spec.frame_bytes, np.uint8)
    assert converter.convert(rgba, out)
    assert (out == in_full(spec, rgba)).all()
    assert not (out == packed).all()


def test_more_tiles_than_a_strip_holds():
    """Several strips, the last one filled in part, are all converted."""
    spec = spec_for((1000, 602))
    rgba = noise((1000, 602))
    converter, _packed = with_one_before(spec, rgba)
    rgba[100:300, 37:911] ^= 3
    rgba[..., 3] = 255
    out = np.zeros(spec.frame_bytes, np.uint8)
    assert converter.convert(rgba, out)
    assert (out == in_full(spec, rgba)).all()


def test_only_changed_tiles_are_converted():
    """What did not change comes from the frame before, not from a new conversion."""
    spec = spec_for()
    rgba = noise()
    converter = PartialConverter(spec)
    converter.keep(rgba, np.full(spec.frame_bytes, 99, np.uint8))
    rgba[20, 40, :3] ^= 255
    out = np.zeros(spec.frame_bytes, np.uint8)
    assert converter.convert(rgba, out)
    luma = out[: 200 * 120].reshape(120, 200)
    assert (luma[16:32, 32:64] != 99).any()
    luma[16:32, 32:64] = 99
    assert (luma == 99).all()


def test_unlike_frames_are_left_to_a_full_conversion_for_longer_and_longer():
    """Videos in which everything moves are compared in few frames, one in 64 in the end."""
    spec = spec_for()
    converter = PartialConverter(spec)
    out = np.zeros(spec.frame_bytes, np.uint8)
    rgba = noise()
    compared = []
    for number in range(400):
        if converter.is_kept:
            compared.append(number)
        rgba = rgba ^ np.uint8(1)
        assert not converter.convert(rgba, out)
        converter.keep(rgba, out)
    gaps = np.diff(compared)
    assert list(gaps[:7]) == [1, 2, 4, 8, 16, 32, 64]
    assert set(gaps[6:]) == {LONGEST_PAUSE}


def test_a_failure_half_way_leaves_nothing_to_build_on(monkeypatch):
    """After an error the next frame is converted in full."""
    spec = spec_for()
    rgba = noise()
    converter, _packed = with_one_before(spec, rgba)
    rgba[20, 40, :3] ^= 255
    out = np.zeros(spec.frame_bytes, np.uint8)

    def fail(_self, _rgba):
        raise MemoryError

    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(convert.Swscale, "planes", fail)
        converter.convert(rgba, out)
    assert not converter.convert(rgba, out)


@pytest.mark.parametrize(
    ("size", "odd_size", "expected"),
    [
        ((32, 16), "pad", True),
        ((30, 16), "pad", False),
        ((31, 16), "pad", True),
        ((64, 14), "pad", False),
        ((200, 121), "scale", False),
        ((200, 120), "scale", True),
    ],
)
def test_small_and_scaled_frames_are_converted_in_full(size, odd_size, expected):
    """A tile must fit in, and the encoded pixels be the drawn ones."""
    assert PartialConverter.suits(spec_for(size, odd_size=odd_size)) is expected
