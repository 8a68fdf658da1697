"""GIFs that are joined from segments, reopened with Pillow."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from rayanim.errors import EncodeError, SettingsError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec, probe
from rayanim.video.convert import Bytes, FrameConverter
from rayanim.video.encode import EncodedSegment
from rayanim.video.formats import file_encoder, joiner_of, segment_encoder
from rayanim.video.gif import PaletteMaker, PaletteMapper
from rayanim.video.spec import StreamSpec

SIZE = (64, 48)


def spec_of(rate: Any = 30, **settings: Any) -> StreamSpec:
    return make_spec(".gif", VideoSettings(**settings), SIZE, Fraction(rate))


def moving(n_frames: int, colours: Bytes, *, clear: bool = False) -> Bytes:
    """Frames with all `colours`, (n, 3) uint8, in which a block moves."""
    frames = np.full((n_frames, SIZE[1], SIZE[0], 4), 255, np.uint8)
    numbers = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0]) % len(colours)
    for at, frame in enumerate(frames):
        frame[..., :3] = colours[numbers]
        frame[10:20, at : at + 15, :3] = colours[at % len(colours)]
        if clear:
            frame[30:40, at : at + 9] = 0
    return frames


def colours_of(count: int) -> Bytes:
    found = np.random.default_rng(count).choice(2**24, count, replace=False)
    return np.ascontiguousarray(found.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3])


def packed_of(frames: Bytes, spec: StreamSpec) -> Bytes:
    converter = FrameConverter(spec)
    packed = np.empty((len(frames), spec.frame_bytes), np.uint8)
    for frame, out in zip(frames, packed, strict=True):
        converter.convert(frame, out)
    return packed


def with_palette(spec: StreamSpec, packed: Bytes) -> StreamSpec:
    maker = PaletteMaker(spec, packed[0])
    for frame in packed:
        maker.add(frame)
    return maker.finish()


def segment_of(spec: StreamSpec, packed: Bytes) -> EncodedSegment:
    encoder = segment_encoder(spec)
    encoder.encode(packed)
    return encoder.finish()


def write(path: Path, spec: StreamSpec, packed: Bytes, cuts: tuple[int, ...] = ()) -> bytes:
    """A GIF of segments that begin at 0 and at each of `cuts`."""
    joiner = joiner_of(spec, path)
    for start, stop in zip((0, *cuts), (*cuts, len(packed)), strict=True):
        joiner.add(segment_of(spec, packed[start:stop]))
    assert joiner.finish() == path.stat().st_size
    return path.read_bytes()


def read(path: Path) -> tuple[Bytes, list[int], Any]:
    """Frames as RGBA, the milliseconds of each, and what the file says about itself."""
    with Image.open(path) as image:
        info = dict(image.info)
        frames = [
            (np.array(each.convert("RGBA")), each.info["duration"])
            for each in ImageSequence.Iterator(image)
        ]
    return np.array([pixels for pixels, _ in frames]), [ms for _, ms in frames], info


@pytest.mark.parametrize(("count", "clear"), [(2, False), (255, True), (256, False), (1, True)])
def test_as_many_colours_as_fit_are_exact(tmp_path: Path, count: int, clear: bool) -> None:
    """With transparency, which takes an entry of the palette, or without."""
    frames = moving(12, colours_of(count), clear=clear)
    spec = spec_of()
    packed = packed_of(frames, spec)
    write(tmp_path / "a.gif", with_palette(spec, packed), packed, (5,))
    found, _, _ = read(tmp_path / "a.gif")
    opaque = frames[..., 3] == 255
    assert (found[..., 3] == frames[..., 3]).all()
    assert (found[opaque] == frames[opaque]).all()


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("count", [20, 3000])
def test_the_file_is_the_same_however_it_is_cut(tmp_path: Path, count: int, clear: bool) -> None:
    """What has not changed is left out across joins, as one encoder would leave it out."""
    spec = spec_of()
    packed = packed_of(moving(9, colours_of(count), clear=clear), spec)
    spec = with_palette(spec, packed)
    whole = write(tmp_path / "a.gif", spec, packed)
    assert write(tmp_path / "b.gif", spec, packed, (1, 2, 6)) == whole
    encoder = file_encoder(replace(spec, options=(*spec.options, ("g", "4"))), tmp_path / "c.gif")
    encoder.encode(packed)
    assert encoder.finish() == len(whole)
    assert (tmp_path / "c.gif").read_bytes() == whole


def test_a_still_picture_takes_next_to_nothing(tmp_path: Path) -> None:
    """Not even where a segment begins."""
    spec = spec_of()
    packed = packed_of(np.repeat(moving(1, colours_of(200)), 12, axis=0), spec)
    spec = with_palette(spec, packed)
    one = write(tmp_path / "a.gif", spec, packed[:1])
    twelve = write(tmp_path / "b.gif", spec, packed, (4, 8))
    assert len(twelve) - len(one) < 12 * 30


@pytest.mark.parametrize("rate", [30, 24, "30000/1001", 50, 7])
def test_the_clock_does_not_drift(tmp_path: Path, rate: Any) -> None:
    """Each frame begins within half a hundredth of its time."""
    spec = spec_of(rate)
    packed = packed_of(moving(40, colours_of(9)), spec)
    write(tmp_path / "a.gif", with_palette(spec, packed), packed, (7, 20))
    _, shown_ms, _ = read(tmp_path / "a.gif")
    begins_ms = np.cumsum([0, *shown_ms])
    exact_ms = [float(1000 * n / Fraction(rate)) for n in range(41)]
    assert np.abs(begins_ms - exact_ms).max() <= 5 + 1e-6


def test_the_delays_of_30_fps(tmp_path: Path) -> None:
    """Three, three and four hundredths."""
    spec = spec_of()
    packed = packed_of(moving(9, colours_of(9)), spec)
    write(tmp_path / "a.gif", with_palette(spec, packed), packed, (4,))
    assert read(tmp_path / "a.gif")[1] == [30, 40, 30, 30, 40, 30, 30, 40, 30]


@pytest.mark.parametrize(("loop", "repeats"), [(None, 0), (0, 0), (1, None), (2, 1), (5, 4)])
def test_how_often_it_plays(tmp_path: Path, loop: int | None, repeats: int | None) -> None:
    """A GIF counts the plays after the first; without that block it plays once."""
    spec = spec_of(loop=loop)
    packed = packed_of(moving(3, colours_of(9)), spec)
    write(tmp_path / "a.gif", with_palette(spec, packed), packed)
    assert read(tmp_path / "a.gif")[2].get("loop") == repeats


def test_a_background_shows_through_where_that_is_asked_for(tmp_path: Path) -> None:
    """Without alpha, the page is painted."""
    frames = moving(3, colours_of(9), clear=True)
    spec = spec_of(pixel_format="bgr0", background="#102030")
    packed = packed_of(frames, spec)
    write(tmp_path / "a.gif", with_palette(spec, packed), packed)
    found, _, _ = read(tmp_path / "a.gif")
    assert (found[frames[..., 3] == 0] == (16, 32, 48, 255)).all()
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize("colors", [4, 16, 256])
def test_a_palette_has_no_more_colours_than_asked_for(tmp_path: Path, colors: int) -> None:
    """The nearest of them stands for each pixel."""
    frames = moving(4, colours_of(3000))
    spec = spec_of(colors=colors)
    packed = packed_of(frames, spec)
    write(tmp_path / "a.gif", with_palette(spec, packed), packed)
    found = read(tmp_path / "a.gif")[0]
    assert 2 <= len(np.unique(found.reshape(-1, 4), axis=0)) <= colors


def test_gradients_get_fewer_colours_than_lines(tmp_path: Path) -> None:
    """Unless a number was asked for."""
    lines, field = moving(1, colours_of(300)), moving(1, colours_of(3000))
    lines[:, 5:] = 255
    for frames, settings, most in (
        (lines, {}, 256),
        (field, {}, 192),
        (field, {"colors": 250}, 250),
    ):
        spec = spec_of(**settings)
        packed = packed_of(frames, spec)
        palette = np.frombuffer(bytes.fromhex(with_palette(spec, packed).palette), "<u4")
        assert most - 8 <= len(np.unique(palette)) <= most


def test_dithering_mixes_colours(tmp_path: Path) -> None:
    """The mean of an area comes nearer to the colour that the palette lacks."""
    frames = np.full((2, SIZE[1], SIZE[0], 4), 255, np.uint8)
    frames[..., :3] = 100
    frames[:, :8, :, :3], frames[:, -8:, :, :3] = 60, 180
    means = {}
    for dither in ("none", "sierra2_4a", "floyd_steinberg"):
        spec = spec_of(dither=dither, colors=4)
        packed = packed_of(frames, spec)
        spec = with_palette(spec, packed_of(frames[:, [0, -1]].repeat(24, axis=1), spec))
        write(tmp_path / "a.gif", spec, packed)
        means[dither] = read(tmp_path / "a.gif")[0][0, 12:36, :, :3].mean()
    assert means["none"] == 60
    assert abs(means["floyd_steinberg"] - 100) < 10
    assert abs(means["sierra2_4a"] - 100) < 10


def test_colours_that_nobody_foresaw_are_not_far_off(tmp_path: Path) -> None:
    """What the palette has left is spread over all colours."""
    frames = moving(2, colours_of(30))
    spec = spec_of()
    packed = packed_of(frames, spec)
    spec = with_palette(spec, packed_of(frames[:, :1, :1].repeat(48, 1).repeat(64, 2), spec))
    write(tmp_path / "a.gif", spec, packed)
    found = read(tmp_path / "a.gif")[0]
    assert np.abs(found.astype(int) - frames).max() < 64


def test_noise_that_stands_still_is_left_out(tmp_path: Path) -> None:
    """In a photograph, most of what stands still is noise."""
    rng = np.random.default_rng(1)
    frames = np.repeat(rng.integers(0, 256, (1, 480, 640, 4), np.uint8), 3, axis=0)
    frames[..., 3] = 255
    for at, frame in enumerate(frames):
        frame[at::40, ::40, :3] = 0
    spec = make_spec(".gif", VideoSettings(), (640, 480), Fraction(30))
    packed = packed_of(frames, spec)
    spec = with_palette(spec, packed)
    segment = segment_of(spec, packed)
    assert len(segment.packets[1].data) < len(segment.packets[0].data) / 10


def test_the_palette_is_the_mappers(tmp_path: Path) -> None:
    """FFmpeg's filter would sort another one, and the numbers would mean other colours."""
    spec = replace(spec_of(), palette=np.arange(1024, dtype=np.uint8)[::-1].tobytes().hex())
    with pytest.raises(ValueError, match="changed the palette"):
        PaletteMapper(spec).map(np.zeros(spec.frame_bytes, np.uint8))


def test_a_rate_that_browsers_slow_down_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """With the remedy; above 100 fps a frame would have no time at all."""
    spec_of(50)
    assert not caplog.messages
    spec_of(60)
    assert "--fps 50" in caplog.text
    with pytest.raises(SettingsError, match="gif encodes up to 100 fps"):
        spec_of(120)


def test_a_failure_removes_the_file(tmp_path: Path) -> None:
    """As for every other format."""
    spec = spec_of()
    probe(spec)
    joiner = joiner_of(spec, tmp_path / "a.gif")
    joiner.add(segment_of(spec, packed_of(moving(2, colours_of(3)), spec)))
    joiner.abort()
    assert list(tmp_path.iterdir()) == []
    encoder = segment_encoder(spec)
    with pytest.raises(EncodeError, match="no frame"):
        encoder.finish()
    with pytest.raises(EncodeError, match="no frame"):
        encoder.encode(np.zeros((1, spec.frame_bytes), np.uint8))
