"""Folders of images, one for each frame: their pixels, and how they appear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numbered import FPS, Numbered, numbered_frame
from PIL import Image

import rayanim
from rayanim.errors import OutputError
from rayanim.storage.image_folder import ImageFolder, is_image_pattern

N_FRAMES = 30


def render(thing: Any, outfile: Any, **options: Any) -> rayanim.Report:
    return rayanim.produce(thing, FPS, outfile=outfile, **{"progress": False, **options})


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


class Sine(rayanim.Animator):
    def __init__(self, stop: Path | None = None) -> None:
        self.stop = stop

    def setup(self) -> Any:
        figure, axes = plt.subplots(figsize=(2, 1), dpi=50)
        (self.line,) = axes.plot(np.arange(10))
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        if self.stop is not None and self.stop.exists() and frame_idx == 20:
            raise RuntimeError("stopped here")
        self.line.set_ydata(np.arange(10) * frame_idx / 30)


@pytest.mark.parametrize("transparent", [False, True])
def test_the_pixels_are_those_of_savefig(tmp_path: Path, transparent: bool) -> None:
    """Also those of alpha."""
    save: dict[str, Any] = {"transparent": transparent}
    report = render(
        Sine(), tmp_path / "a" / "%03d.png", n_frames=5, dpi="figure", savefig_params=save
    )
    sine = Sine()
    figure = sine.setup()
    for number in range(5):
        sine.update(number, None)
        figure.savefig(tmp_path / "expected.png", dpi="figure", **save)
        expected = pixels(tmp_path / "expected.png")
        assert (pixels(tmp_path / "a" / f"{number:03d}.png") == expected).all()
    assert names(tmp_path / "a") == [f"{number:03d}.png" for number in range(5)]
    assert (report.frames, report.codec, report.pixel_format) == (5, "png", "rgba")
    assert report.file_bytes == sum(each.stat().st_size for each in (tmp_path / "a").iterdir())


def test_jpegs_and_images_without_alpha(tmp_path: Path) -> None:
    """Transparent pixels get the background."""
    clear = np.zeros((48, 64, 4), np.uint8)
    render([clear] * 2, tmp_path / "a" / "%d.jpg", background="#ff0000")
    assert np.abs(pixels(tmp_path / "a" / "1.jpg").astype(int) - (255, 0, 0)).max() < 3
    render([clear] * 2, tmp_path / "b" / "%d.png", background="red", pixel_format="rgb24")
    assert (pixels(tmp_path / "b" / "0.png") == (255, 0, 0)).all()


@pytest.mark.parametrize("form", ["text", "generator"])
def test_a_folder_alone_gets_names_of_six_digits(tmp_path: Path, form: str) -> None:
    """From a list, and from a generator, which goes through one encoder."""
    frames = [numbered_frame(number) for number in range(N_FRAMES)]
    render(frames if form == "text" else iter(frames), f"{tmp_path}/frames/")
    assert names(tmp_path / "frames") == [f"{number:06d}.png" for number in range(N_FRAMES)]
    assert (pixels(tmp_path / "frames" / "000029.png") == frames[29]).all()


def test_actors_write_the_same_images(tmp_path: Path, on_ray: Any) -> None:
    """Byte for byte."""
    for folder, options in (("a", {"engine": "local"}), ("b", {"engine": "ray", "workers": 2})):
        render(Numbered(N_FRAMES), tmp_path / folder / "%04d.png", segment_frames=6, **options)
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert names(tmp_path / "a") == names(tmp_path / "b")


def test_images_are_resumed_and_appear_together(tmp_path: Path) -> None:
    """Until then, what was there stands."""
    stop, folder = tmp_path / "stop", tmp_path / "frames"
    options = {"n_frames": N_FRAMES, "engine": "local", "segment_frames": 6}
    render(Sine(), folder / "%04d.png", n_frames=40)
    stop.touch()
    with pytest.raises(RuntimeError, match="stopped here"):
        render(Sine(stop), folder / "%04d.png", **options)
    assert len(names(folder)) == 40
    assert names(tmp_path) == ["frames", "frames.parts", "stop"]
    stop.unlink()
    report = render(Sine(stop), folder / "%04d.png", **options, resume=True)
    assert report.resumed_frames == 18
    assert names(folder) == [f"{number:04d}.png" for number in range(N_FRAMES)]
    assert names(tmp_path) == ["frames"]


def test_what_else_is_in_the_folder_stays(tmp_path: Path) -> None:
    """Images of a longer video go."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("notes.txt", "shot_99.png", "other_1.png"):
        (folder / name).write_text("mine")
    render([numbered_frame(number) for number in range(3)], folder / "shot_%d.png")
    expected = ["notes.txt", "other_1.png", "shot_0.png", "shot_1.png", "shot_2.png"]
    assert names(folder) == expected
    assert (folder / "notes.txt").read_text() == "mine"


def test_images_may_be_protected(tmp_path: Path) -> None:
    """As a video may be."""
    frames = [numbered_frame(1)]
    render(frames, tmp_path / "a" / "%d.png", overwrite=False)
    with pytest.raises(OutputError, match="has such images"):
        render(frames, tmp_path / "a" / "%d.png", overwrite=False)
    render(frames, tmp_path / "a" / "other_%d.png", overwrite=False)


def test_places_that_cannot_be(tmp_path: Path) -> None:
    """Each is refused in one sentence, before work starts."""
    (tmp_path / "file").write_text("")
    (tmp_path / "b.part").mkdir()
    (tmp_path / "b.part" / "mine").write_text("")
    frames = [numbered_frame(1)]
    for outfile, words in (
        ("%d.png", "a folder of their own, such as 'frames/%d.png'"),
        ("s3://bucket/frames/%d.png", "a folder of this machine"),
        (tmp_path / "file" / "%d.png", "is a file"),
        (tmp_path / "b" / "%d.png", "b.part' stands where"),
        (tmp_path / "b" / "%d.xyz", "No video format"),
    ):
        with pytest.raises(OutputError, match=words):
            render(frames, outfile)
    assert (tmp_path / "b.part" / "mine").exists()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("%04d.png", True), ("a_%d.jpg", True), ("100%.mp4", False), ("a.mp4", False), ("%s", False)],
)
def test_names_with_a_number(name: str, is_one: bool) -> None:
    """Those of FFmpeg and of Python."""
    assert is_image_pattern(name) == is_one


def test_an_old_part_is_taken_away(tmp_path: Path) -> None:
    """One that a killed job has left."""
    (tmp_path / "a.part").mkdir()
    (tmp_path / "a.part" / "7.png").write_text("")
    with ImageFolder(tmp_path / "a" / "%d.png").part() as part:
        assert not part.exists()
        part.mkdir()
        (part / "0.png").write_text("new")
    assert names(tmp_path / "a") == ["0.png"]
