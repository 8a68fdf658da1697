"""Whole GIFs: the palette, in process and on actors, and what is left when a job is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image, ImageSequence

import rayanim
from rayanim.engine.palette import positions
from rayanim.errors import ResumeError

N_FRAMES = 40
SIZE = (64, 48)


def frame_at(number: int) -> np.ndarray:
    """A page with a colour of its own, and 90 frames' worth of colours in all."""
    frame = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
    frame[8:24, 8:24, :3] = (number, 255 - number, 3 * number % 256)
    return frame


def render(thing: Any, path: Path, **options: Any) -> rayanim.Report:
    return rayanim.produce(thing, 30, outfile=path, **{"progress": False, **options})


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array([np.array(each.convert("RGB")) for each in ImageSequence.Iterator(image)])


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Fading(rayanim.Animator):
    """A field of the 64 greys of its colour map that brightens, with a state or without."""

    def __init__(self, has_state: bool = False, stop: Path | None = None) -> None:
        self.has_state = has_state
        self.stop = stop

    def setup(self) -> Any:
        figure = plt.figure(figsize=(1, 1), dpi=50)
        self.level = 0
        self.image = figure.figimage(np.zeros((50, 50)), vmin=0, vmax=1, cmap="viridis")
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        self.level = self.level + 1 if self.has_state else frame_idx
        if self.stop is not None and self.stop.exists() and frame_idx == 30:
            raise RuntimeError("stopped here")
        self.image.set_data(np.full((50, 50), self.level / N_FRAMES))


def expected_colours() -> np.ndarray:
    """What `Fading` shows, with a state it is one update further."""
    levels = np.arange(N_FRAMES + 1) / N_FRAMES
    return plt.get_cmap("viridis")(levels, bytes=True)[:, :3].astype(int)


@pytest.mark.parametrize(("n_frames", "count"), [(1, 1), (2, 2), (8, 8), (200, 12), (5000, 64)])
def test_palettes_come_from_all_parts_of_a_video(n_frames: int, count: int) -> None:
    """From its first frame to its last."""
    found = positions(n_frames)
    assert len(found) == len(set(found)) == count
    assert (found[0], found[-1]) == (0, n_frames - 1)
    distances = np.diff(found)
    assert not len(distances) or distances.max() - distances.min() <= 1


@pytest.mark.parametrize("form", ["function", "list", "generator", "array"])
def test_all_forms_of_frames(tmp_path: Path, form: str) -> None:
    """Few colours are exact, wherever the palette came from."""
    frames = [frame_at(number % 5) for number in range(N_FRAMES)]
    forms: dict[str, Callable[[], Any]] = {
        "function": lambda: lambda number: frames[number],
        "list": lambda: frames,
        "generator": lambda: (frame for frame in frames),
        "array": lambda: np.array(frames),
    }
    options = {"n_frames": N_FRAMES} if form == "function" else {}
    report = render(forms[form](), tmp_path / "a.gif", **options)
    assert (read(tmp_path / "a.gif") == np.array(frames)[..., :3]).all()
    assert (report.frames, report.codec, report.pixel_format) == (N_FRAMES, "gif", "bgra")


def test_a_list_is_looked_up_also_where_it_goes_on(tmp_path: Path) -> None:
    """A resumed job draws no frame again that lies behind it."""
    frames = [frame_at(number) for number in range(N_FRAMES)]
    options = {"segment_frames": 6, "engine": "local"}
    render(frames, tmp_path / "whole.gif", **options)
    kept = render(frames, tmp_path / "a.gif", **options, keep_parts=True)
    assert kept.frames == N_FRAMES
    for name in ("000003.part", "000005.part"):
        (tmp_path / "a.gif.parts" / name).unlink()
    (tmp_path / "a.gif").unlink()
    report = render(frames, tmp_path / "a.gif", **options, resume=True)
    assert 0 < report.resumed_frames < N_FRAMES
    assert sha(tmp_path / "a.gif") == sha(tmp_path / "whole.gif")


def test_a_generator_runs_no_further_than_its_palette_needs(tmp_path: Path) -> None:
    """What it yields may be one array that it changes."""
    shared = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)

    def frames() -> Iterator[np.ndarray]:
        for number in range(N_FRAMES):
            shared[...] = frame_at(number % 16)
            yield shared

    render(frames(), tmp_path / "a.gif")
    expected = [frame_at(number % 16)[..., :3] for number in range(N_FRAMES)]
    assert (read(tmp_path / "a.gif") == np.array(expected)).all()


@pytest.mark.parametrize(("sequential", "has_state"), [(False, False), (False, True), (True, True)])
def test_the_palette_has_the_colours_of_the_end(
    tmp_path: Path, has_state: bool, sequential: bool
) -> None:
    """Also where frames depend on those before, whether that was said or not."""
    render(Fading(has_state), tmp_path / "a.gif", n_frames=N_FRAMES, sequential=sequential, dpi=50)
    shown = read(tmp_path / "a.gif")[:, 20, 20].astype(int)
    expected = expected_colours()[has_state:][:N_FRAMES]
    drawn = positions(N_FRAMES)[1:]
    assert (shown[drawn] == expected[drawn]).all()
    assert np.abs(shown - expected).max() < 45


def test_said_or_not_the_bytes_are_the_same(tmp_path: Path) -> None:
    """A job may find out by itself that frames depend on those before."""
    for name, sequential in (("a.gif", True), ("b.gif", False)):
        render(Fading(True), tmp_path / name, n_frames=N_FRAMES, sequential=sequential)
    assert sha(tmp_path / "a.gif") == sha(tmp_path / "b.gif")


@pytest.mark.slow
def test_who_draws_makes_no_difference(tmp_path: Path, on_ray: Any, whole_segments: None) -> None:
    """Two actors that encode, and this process: the same bytes, also where frames have a state."""
    shas = set()
    for workers, engine in ((1, "local"), (2, "ray")):
        report = render(
            Fading(has_state=True),
            tmp_path / "a.gif",
            n_frames=N_FRAMES,
            engine=engine,
            workers=workers,
            segment_frames=6,
        )
        assert report.engine == engine
        shas.add(sha(tmp_path / "a.gif"))
    assert len(shas) == 1


def test_a_stopped_gif_is_resumed(tmp_path: Path) -> None:
    """To the bytes of one that was not stopped; with other colours it is refused."""
    whole, video, stop = tmp_path / "whole.gif", tmp_path / "a.gif", tmp_path / "stop"
    options = {"n_frames": N_FRAMES, "segment_frames": 6, "engine": "local"}
    render(Fading(stop=stop), whole, **options)
    stop.touch()
    with pytest.raises(RuntimeError, match="stopped here"):
        render(Fading(stop=stop), video, **options)
    with pytest.raises(ResumeError, match="colors was 0, is 16 now"):
        render(Fading(stop=stop), video, **options, resume=True, colors=16)
    stop.unlink()
    report = render(Fading(stop=stop), video, **options, resume=True)
    assert report.resumed_frames == 28
    assert sha(video) == sha(whole)


def test_the_caller_s_figure_stays_the_current_one(tmp_path: Path) -> None:
    """Copies of a source make figures of their own."""
    figure, axes = plt.subplots(figsize=(1, 1), dpi=50)

    def draw(number: int) -> Any:
        axes.set_facecolor((number / N_FRAMES, 0, 0))
        return figure

    numbers = plt.get_fignums()
    render(draw, tmp_path / "a.gif", n_frames=N_FRAMES)
    assert plt.get_fignums() == numbers
    assert plt.gcf() is figure


def test_a_frame_that_fails_is_reported_when_its_turn_comes(tmp_path: Path) -> None:
    """Choosing the palette is no reason to fail earlier, and to keep no segment."""

    def draw(number: int) -> Any:
        if number == N_FRAMES - 1:
            raise ValueError("no such frame")
        return frame_at(number)

    with pytest.raises(ValueError, match="no such frame"):
        render(draw, tmp_path / "a.gif", n_frames=N_FRAMES, segment_frames=6, engine="local")
    assert len(list((tmp_path / "a.gif.parts").glob("*.part"))) == 6
