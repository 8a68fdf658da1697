"""Frames of one pixel, of odd sizes, and of sizes that change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import rayanim
from rayanim.errors import FrameError, SettingsError
from rayanim.video.codecs import OutputFormat, output_formats
from rayanim.video.spec import PIXEL_FORMATS

FORMATS = {(each.suffix, each.codec): each for each in reversed(output_formats())}.values()
"""Each codec by the encoder that is taken for its name."""

LEAST_PX = {"libx265": 16, "libsvtav1": 4, "ffv1": 2}
"""The least side of what these encode; others encode one pixel, or the two that it becomes."""


def video(thing: Any, **settings: Any) -> rayanim.Report:
    options = {"engine": "local", "progress": False, "segment_frames": 2, **settings}
    return rayanim.produce(thing, 10, n_frames=3, **options)


def read(path: Path) -> tuple[tuple[int, int], int]:
    """Size and number of frames."""
    if path.suffix in (".gif", ".webp", ".apng"):
        with Image.open(path) as image:
            return image.size, image.n_frames
    if path.is_dir():
        files = sorted(path.iterdir())
        return Image.open(files[-1]).size, len(files)
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[-1]))
        return (frames[0].width, frames[0].height), len(frames)


@pytest.mark.parametrize("size", [(1, 1), (19, 17)], ids=str)
@pytest.mark.parametrize("made", FORMATS, ids=lambda made: f"{made.suffix} {made.codec}")
def test_sizes_follow_the_rule_of_the_format(
    made: OutputFormat, size: tuple[int, int], tmp_path: Path
) -> None:
    """One pixel and odd sides as they are, or even where colour has half the samples."""
    width, height = size
    frame = np.full((height, width, 3), 90, np.uint8)
    path = tmp_path / "frames" if "%" in made.suffix else tmp_path / f"a{made.suffix}"
    settings = {"outfile": path / made.suffix if "%" in made.suffix else path}
    if made.encoder in LEAST_PX and width == 1:
        least = LEAST_PX[made.encoder]
        with pytest.raises(SettingsError, match=f"at least {least}x{least} px, got"):
            video(lambda number: frame, codec=made.codec, **settings)
        return
    report = video(lambda number: frame, codec=made.codec, **settings)
    step_x, step_y = PIXEL_FORMATS[report.pixel_format].chroma_step
    assert report.size == (width + width % step_x, height + height % step_y)
    assert read(path) == (report.size, 3)


class Changing(rayanim.Animator):
    """A figure whose size or dpi changes at frame 2."""

    def __init__(self, change: Any) -> None:
        self.change = change

    def setup(self) -> Figure:
        self.fig = Figure((1, 1), 50)
        (self.line,) = self.fig.add_subplot().plot([0, 1])
        return self.fig

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata([0, frame_idx])
        if frame_idx == 2:
            self.change(self.fig)


def rows(number: int) -> np.ndarray:
    return np.zeros((10, 10 + 2 * (number == 2), 3), np.uint8)


@pytest.mark.parametrize(
    "thing",
    [
        Changing(lambda fig: fig.set_size_inches(2, 1)),
        Changing(lambda fig: fig.set_dpi(80)),
        lambda number: Figure((1, 1 + (number == 2)), 50),
        rows,
        [rows(number) for number in range(3)],
        lambda number: Image.fromarray(rows(number)),
    ],
    ids=["figure", "dpi", "new figures", "arrays", "list", "images"],
)
def test_a_size_that_changes_is_an_error_that_names_the_frame(thing: Any, tmp_path: Path) -> None:
    """And both sizes; no video is left."""
    with pytest.raises(FrameError, match=r"Frame 2.*\d+x\d+.*\d+x\d+") as caught:
        video(thing, outfile=tmp_path / "a.mp4")
    assert caught.value.frame == 2
    assert not (tmp_path / "a.mp4").exists()
