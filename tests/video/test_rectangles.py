"""Animated WebP and PNG, reopened with Pillow and PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered import Numbered
from PIL import Image, ImageSequence

import rayanim
from rayanim.errors import EncodeError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import Bytes, FrameConverter
from rayanim.video.formats import joiner_of, segment_encoder
from rayanim.video.rectangles import changed_rectangle
from rayanim.video.spec import StreamSpec

SIZE = (65, 49)
SUFFIXES = (".webp", ".apng")


def frames_of(n_frames: int) -> Bytes:
    """Noise in which a block and a half transparent one move, and one frame that stays."""
    rng = np.random.default_rng(3)
    frames = np.repeat(rng.integers(0, 256, (1, SIZE[1], SIZE[0], 4), np.uint8), n_frames, axis=0)
    frames[..., 3] = 255
    for at, frame in enumerate(frames):
        place = at - (at > 4)
        frame[5 + place : 9 + place, 2 * place : 2 * place + 7, :3] = 10 * place
        frame[30:40, place : place + 9] = (place, 0, 200, 10 * place % 256)
    return frames


def spec_of(suffix: str, rate: Any = 30, **settings: Any) -> StreamSpec:
    return make_spec(suffix, VideoSettings(**settings), SIZE, Fraction(rate))


def write(path: Path, spec: StreamSpec, frames: Bytes, cuts: tuple[int, ...] = ()) -> bytes:
    converter = FrameConverter(spec)
    packed = np.empty((len(frames), spec.frame_bytes), np.uint8)
    for frame, out in zip(frames, packed, strict=True):
        converter.convert(frame, out)
    joiner = joiner_of(spec, path)
    for start, stop in zip((0, *cuts), (*cuts, len(packed)), strict=True):
        encoder = segment_encoder(spec)
        encoder.encode(packed[start:stop])
        joiner.add(encoder.finish())
    assert joiner.finish() == path.stat().st_size
    return path.read_bytes()


def read(path: Path) -> tuple[Bytes, list[float], Any]:
    """Frames as RGBA, the milliseconds of each, and what the file says about itself."""
    with Image.open(path) as image:
        info = dict(image.info)
        found = []
        for each in ImageSequence.Iterator(image):
            found.append((np.array(each.convert("RGBA")), each.info["duration"]))
    return np.array([pixels for pixels, _ in found]), [ms for _, ms in found], info


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_pixel_comes_back(tmp_path: Path, suffix: str) -> None:
    """Of a size that is odd, with alpha, joined from segments or not, to the same bytes."""
    frames = frames_of(12)
    spec = spec_of(suffix)
    whole = write(tmp_path / f"a{suffix}", spec, frames)
    assert write(tmp_path / f"b{suffix}", spec, frames, (1, 5, 9)) == whole
    assert (read(tmp_path / f"b{suffix}")[0] == frames).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rate", [30, "30000/1001", 7])
def test_the_clock_does_not_drift(tmp_path: Path, suffix: str, rate: Any) -> None:
    """WebP counts in milliseconds, an animated PNG in fractions."""
    write(tmp_path / f"a{suffix}", spec_of(suffix, rate), frames_of(20), (6,))
    begins_ms = np.cumsum([0, *read(tmp_path / f"a{suffix}")[1]])
    exact_ms = [float(1000 * number / Fraction(rate)) for number in range(21)]
    assert np.abs(begins_ms - exact_ms).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("loop", "plays"), [(None, 0), (1, 1), (3, 3)])
def test_how_often_it_plays(tmp_path: Path, suffix: str, loop: Any, plays: int) -> None:
    """Both count all plays, 0 for ever."""
    write(tmp_path / f"a{suffix}", spec_of(suffix, loop=loop), frames_of(2))
    assert read(tmp_path / f"a{suffix}")[2]["loop"] == plays


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_alpha_the_background_shows(tmp_path: Path, suffix: str) -> None:
    """In every pixel that is transparent."""
    frames = np.zeros((2, SIZE[1], SIZE[0], 4), np.uint8)
    spec = spec_of(suffix, pixel_format="rgb24", background="#112233")
    write(tmp_path / f"a{suffix}", spec, frames)
    assert (read(tmp_path / f"a{suffix}")[0] == (17, 34, 51, 255)).all()


def test_ffmpeg_reads_the_animated_png(tmp_path: Path) -> None:
    """With its own decoder."""
    frames = frames_of(9)
    frames[..., 3] = 255
    write(tmp_path / "a.apng", spec_of(".apng"), frames, (4,))
    with av.open(str(tmp_path / "a.apng")) as container:
        found = [each.to_ndarray(format="rgba") for each in container.decode(video=0)]
    assert (np.array(found) == frames).all()


def test_webp_with_loss_is_smaller(tmp_path: Path) -> None:
    """And near to what was drawn, where that is smooth."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    frames = np.full((4, SIZE[1], SIZE[0], 4), 255, np.uint8)
    for at, frame in enumerate(frames):
        frame[..., :3] = (128 + 100 * np.sin(x / 9 + at) * np.cos(y / 7))[..., None]
    sizes = {}
    for codec in ("webp", "webp-lossy"):
        sizes[codec] = len(write(tmp_path / "a.webp", spec_of(".webp", codec=codec), frames, (2,)))
        error = np.abs(read(tmp_path / "a.webp")[0].astype(int) - frames)
        assert error.mean() < (0.01 if codec == "webp" else 3)
    assert sizes["webp-lossy"] < sizes["webp"] / 2


def test_what_has_changed_is_found() -> None:
    """From an even row and column on; of equal frames a single pixel."""
    before = np.zeros((20, 30, 3), np.uint8)
    after = before.copy()
    assert changed_rectangle(after, before) == (0, 0, 1, 1)
    after[7, 12] = after[11, 5] = 1
    assert changed_rectangle(after, before) == (4, 6, 9, 6)


@pytest.mark.slow
@pytest.mark.usefixtures("whole_segments")
def test_actors_make_the_same_file(tmp_path: Path, on_ray: Any) -> None:
    """As one process does."""
    made = []
    for options in ({"engine": "local"}, {"engine": "ray", "workers": 2}):
        path = tmp_path / "a.apng"
        rayanim.produce(Numbered(30), 30, outfile=path, segment_frames=6, progress=False, **options)
        made.append(path.read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_removes_the_file(tmp_path: Path, suffix: str) -> None:
    """As for every other format."""
    joiner = joiner_of(spec_of(suffix), tmp_path / "a")
    joiner.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EncodeError):
        joiner.finish()
    with pytest.raises(EncodeError, match="Cannot write"):
        joiner_of(spec_of(suffix), tmp_path / "no" / "a")
