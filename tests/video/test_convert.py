"""Pixels that `FrameConverter` makes, against formulas and decoders of our own."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from video_reading import solid_rgba, to_rgb

from rayanim.errors import FrameError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter, unpack
from rayanim.video.spec import PIXEL_FORMATS

COLOURS = {
    "red": (255, 0, 0),
    "blue": (0, 0, 255),
    "half grey": (128, 128, 128),
    "C0": (31, 119, 180),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}

SUFFIX_AND_CODEC = {
    "yuva420p": (".webm", "vp9"),
    "gbrp": (".mp4", "h265"),
    "bgra": (".gif", "gif"),
    "bgr0": (".gif", "gif"),
    "rgba": ("%04d.png", "png"),
    "argb": (".mov", "qtrle"),
    "yuva444p10le": (".mov", "prores"),
    "rgb24": ("%04d.png", "png"),
}


def converter_for(pixel_format="yuv420p", size=(64, 48), **settings):
    suffix, codec = SUFFIX_AND_CODEC.get(pixel_format, (".mp4", "h264"))
    chosen = VideoSettings(codec=codec, pixel_format=pixel_format, **settings)
    spec = make_spec(suffix, chosen, size, Fraction(30))
    return spec, FrameConverter(spec)


def converted(rgba, pixel_format="yuv420p", **settings):
    """The packed frame of `rgba` and its specification."""
    size = (rgba.shape[1], rgba.shape[0])
    spec, converter = converter_for(pixel_format, size, **settings)
    out = np.full(spec.frame_bytes, 77, np.uint8)
    converter.convert(rgba, out)
    return spec, out


def decoded(rgba, pixel_format="yuv420p", **settings):
    """RGB of `rgba` after the way through the packed format."""
    spec, out = converted(rgba, pixel_format, **settings)
    frame = unpack(out, spec.layout, spec.size)
    frame.color_range = 2 if spec.layout.is_full_range else 1
    return to_rgb(frame)


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("pixel_format", [name for name in PIXEL_FORMATS if name != "gray"])
def test_colours_come_back_within_two_levels(pixel_format, colour):
    """BT.709 in the range that the stream is tagged with, in every pixel format."""
    rgb = decoded(solid_rgba((64, 48), colour), pixel_format).astype(int)
    assert np.abs(rgb - colour).max() <= 2


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_gray_is_the_luma_of_bt709(colour):
    """Gray holds the weighted sum of BT.709 in full range."""
    _spec, out = converted(solid_rgba((64, 48), colour), "gray")
    luma = np.dot(colour, (0.2126, 0.7152, 0.0722))
    assert np.abs(out.astype(float) - luma).max() <= 0.6


def test_luma_of_noise_is_rounded_to_the_nearest_level():
    """Each luma sample is the formula's value, rounded."""
    rgba = np.random.default_rng(5).integers(0, 256, (48, 64, 4), np.uint8)
    rgba[..., 3] = 255
    _spec, out = converted(rgba)
    luma = 16 + 219 / 255 * (rgba[..., :3] @ np.array([0.2126, 0.7152, 0.0722]))
    assert np.abs(out[: 64 * 48].reshape(48, 64) - luma).max() < 0.52


def test_chroma_is_the_mean_of_four_pixels():
    """A coloured pixel does not bleed beyond its own block of two by two."""
    rgba = solid_rgba((64, 48), (255, 255, 255))
    rgba[20, 30, :3] = (255, 0, 0)
    _spec, out = converted(rgba)
    cr = out[64 * 48 * 5 // 4 :].reshape(24, 32)
    assert list(zip(*np.nonzero(cr != 128), strict=True)) == [(10, 15)]


def test_ten_bits_hold_four_times_the_levels():
    """Limited range in ten bits goes from 64 to 940."""
    white = solid_rgba((64, 48), (255, 255, 255))
    black = solid_rgba((64, 48), (0, 0, 0))
    for rgba, level in ((white, 940), (black, 64)):
        _spec, out = converted(rgba, "yuv420p10le")
        assert set(out.view(np.uint16)[: 64 * 48]) == {level}


def test_padding_repeats_the_edge():
    """The added row and column have the colours of the last ones."""
    rgba = np.zeros((47, 65, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:, -1] = (255, 255, 255, 255)
    rgba[-1, :] = (0, 0, 255, 255)
    spec, out = converted(rgba, odd_size="pad")
    luma = out[: 66 * 48].reshape(48, 66)
    assert spec.size == (66, 48)
    assert (luma[:46, 64:] == 235).all()
    assert (luma[46] == luma[47]).all()
    assert (luma[47] == luma[46, 0]).all()
    assert (luma[:46, :64] == 16).all()


def test_cropping_drops_the_last_row_and_column():
    """What is left is what was there, pixel for pixel."""
    rgba = np.random.default_rng(1).integers(0, 256, (47, 65, 4), np.uint8)
    rgba[..., 3] = 255
    _spec, cropped = converted(rgba, odd_size="crop")
    _spec, even = converted(np.ascontiguousarray(rgba[:46, :64]))
    assert (cropped == even).all()


def test_scaling_fills_the_larger_frame():
    """Scaled frames show the whole picture, edge to edge."""
    rgba = solid_rgba((65, 47), (0, 0, 0))
    rgba[:, 33:, :3] = 255
    rgb = decoded(rgba, odd_size="scale")
    assert rgb.shape == (48, 66, 3)
    assert rgb[:, :31].max() < 12
    assert rgb[:, 36:].min() > 243


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2, 2), (17, 2), (66, 50)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "gray"])
def test_small_and_odd_sizes_fill_the_whole_frame(size, pixel_format):
    """No byte of the buffer is left over, and none is wrong, at any size."""
    rgb = decoded(solid_rgba(size, (255, 255, 255)), pixel_format)
    assert (rgb >= 253).all()


def test_blending_leaves_the_callers_pixels_alone():
    """The source's array is only read, a read-only one works, and later frames are not mixed."""
    rgba = solid_rgba((64, 48), (255, 0, 0, 0))
    rgba.flags.writeable = False
    spec, converter = converter_for(background="black")
    out = np.empty(spec.frame_bytes, np.uint8)
    converter.convert(rgba, out)
    assert (out[: 64 * 48] == 16).all()
    converter.convert(solid_rgba((64, 48), (255, 255, 255)), out)
    assert (out[: 64 * 48] == 235).all()


def test_blending_covers_every_row():
    """Frames taller than one band of rows are blended to their last row."""
    rgba = solid_rgba((16, 150), (0, 0, 0, 0))
    assert (decoded(rgba, background="white") >= 253).all()


def test_alpha_is_kept_where_the_format_has_it():
    """The fourth plane is the opacity, unchanged, in full range."""
    rgba = solid_rgba((64, 48), (10, 200, 30))
    rgba[..., 3] = np.arange(64, dtype=np.uint8)
    _spec, out = converted(rgba, "yuva420p")
    assert (out[-64 * 48 :].reshape(48, 64) == np.arange(64)).all()


def test_one_converter_gives_what_a_new_one_gives():
    """Kept buffers carry nothing from one frame to the next."""
    rng = np.random.default_rng(2)
    frames = [rng.integers(0, 256, (47, 65, 4), np.uint8) for _ in range(4)]
    spec, kept = converter_for(size=(65, 47))
    for rgba in frames:
        by_kept, by_new = (np.empty(spec.frame_bytes, np.uint8) for _ in range(2))
        kept.convert(rgba, by_kept)
        FrameConverter(spec).convert(rgba, by_new)
        assert (by_kept == by_new).all()


@pytest.mark.parametrize(
    "rgba",
    [
        np.zeros((48, 64, 3), np.uint8),
        np.zeros((64, 48, 4), np.uint8),
        np.zeros((48, 64, 4), np.float32),
        np.zeros((48, 128, 4), np.uint8)[:, ::2],
    ],
    ids=["rgb", "turned", "float", "strided"],
)
def test_frames_of_another_kind_are_refused(rgba):
    """The message names the shape and type that was got."""
    spec, converter = converter_for()
    with pytest.raises(FrameError, match=r"shape \(48, 64, 4\), got"):
        converter.convert(rgba, np.empty(spec.frame_bytes, np.uint8))


def test_buffer_of_another_length_is_refused():
    """A frame is never written past the end of its buffer."""
    spec, converter = converter_for()
    with pytest.raises(FrameError, match="buffer"):
        converter.convert(solid_rgba((64, 48), (0, 0, 0)), np.empty(spec.frame_bytes - 1, np.uint8))


def test_frames_share_the_memory_of_packed_arrays():
    """The usual format reaches the encoder without a copy."""
    spec, _converter = converter_for()
    packed = np.zeros(spec.frame_bytes, np.uint8)
    frame = unpack(packed, spec.layout, spec.size)
    packed[5] = 99
    assert isinstance(frame, av.VideoFrame)
    assert np.frombuffer(frame.planes[0], np.uint8)[5] == 99
