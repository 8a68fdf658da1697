"""Every example renders, and its video shows what its drawing code draws."""

from __future__ import annotations

import contextlib
import itertools
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from lossless import (
    LOSSLESS,
    Grabber,
    Pixels,
    assert_same_pixels,
    draw_animator,
    draw_function,
    draw_generator,
)
from samples import sampled

from rayanim.overrides import Overrides, overriding
from rayanim.patching import Unsaved, patched
from rayanim.report import Report
from rayanim.storage.address import Output

FOLDER = Path(__file__).parent.parent / "examples"
NUMBERS = [0, 1, 40, 85]
"""The frames that are rendered: neighbours, and some that the ones before do not lead to."""

Namespace = dict[str, Any]


def _wave(names: Namespace) -> list[Pixels]:
    frames = [(n, {"phase": 2 * np.pi * n / 90}) for n in NUMBERS]
    return draw_animator(names["Wave"](), frames, None)


def _panels(names: Namespace) -> list[Pixels]:
    return draw_animator(names["Forecasts"](), [(n, None) for n in NUMBERS], None)


def _video(names: Namespace) -> list[Pixels]:
    return draw_generator(names["video"], NUMBERS, 30)


def _function(names: Namespace) -> list[Pixels]:
    return draw_function(names["ripples"], [1000 * n / 30 for n in NUMBERS])


def _unchanged(names: Namespace) -> list[Pixels]:
    # Anew: the script's own has changed its state.
    names = runpy.run_path(names["__file__"], run_name="unchanged")
    writer = ChosenGrabber()
    with contextlib.suppress(StopIteration):
        names["ani"].save("unused", writer=writer)
    return writer.frames


class ChosenGrabber(Grabber):
    """Keeps the chosen frames, and ends with the last of them."""

    seen = -1

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        self.seen += 1
        if self.seen in NUMBERS:
            super().grab_frame(**savefig_kwargs)
        if self.seen == NUMBERS[-1]:
            raise StopIteration


@dataclass(frozen=True)
class Example:
    """What is known of an example's video."""

    size: tuple[int, int]
    n_frames: int
    draw: Callable[[Namespace], list[Pixels]]


EXAMPLES = {
    "wave": Example((640, 480), 180, _wave),
    "panels": Example((1280, 720), 300, _panels),
    "red_square": Example((640, 480), 180, _video),
    "frequency_sweep": Example((1920, 1080), 255, _video),
    "eased_scenes": Example((1280, 720), 144, _video),
    "function": Example((960, 540), 120, _function),
    "unchanged": Example((640, 480), 300, _unchanged),
}


def run_example(name: str, output: Path, **arguments: Any) -> tuple[Namespace, Report]:
    """Run an example as `rayanim run` does, with other arguments for its call."""
    reports: list[Report] = []
    overrides = Overrides(
        outputs=(Output(output),),
        arguments={"progress": False, **arguments},
        on_report=reports.append,
    )
    with overriding(overrides), patched(Unsaved()):
        names = runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert len(reports) == 1
    return names, reports[0]


def test_every_example_is_known() -> None:
    """No example goes without a test."""
    assert {path.stem for path in FOLDER.glob("*.py")} == set(EXAMPLES)


QUICK = ["wave", "eased_scenes", "function"]


@pytest.mark.parametrize("name", sampled(EXAMPLES, QUICK))
def test_video_shows_what_the_example_draws(name: str, tmp_path: Path) -> None:
    """The video has the right count, size and rate, and the very pixels of serial drawing."""
    example, video = EXAMPLES[name], tmp_path / "video.mp4"
    chosen = ",".join(map(str, NUMBERS))

    names, report = run_example(name, video, frames=chosen, workers=1, **LOSSLESS)

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == example.size
        assert stream.average_rate == 30
        decoded = [frame.to_ndarray(format="gray") for frame in container.decode(stream)]
    assert len(decoded) == report.frames == len(NUMBERS)
    assert all((a != b).any() for a, b in itertools.pairwise(decoded))
    assert_same_pixels(video, example.draw(names))


@pytest.mark.parametrize("name", sampled(EXAMPLES, QUICK))
def test_whole_video_has_the_frames_it_should(name: str, tmp_path: Path) -> None:
    """The last frame can be asked for, the one after it cannot."""
    last = EXAMPLES[name].n_frames - 1

    _, report = run_example(name, tmp_path / "video.mp4", frames=str(last), workers=1)

    assert report.frames == 1
    with pytest.raises(ValueError, match=f"no frame {last + 1}|used up|ended"):
        run_example(name, tmp_path / "video.mp4", frames=str(last + 1), workers=1)


@pytest.mark.parametrize("name", EXAMPLES)
def test_importing_an_example_renders_nothing(name: str) -> None:
    """Only running an example as a script makes a video."""
    with overriding(Overrides()) as overrides:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name=name)
    assert overrides.calls == 0


@pytest.mark.parametrize("name", sampled(["panels", "frequency_sweep", "eased_scenes"], []))
def test_actors_draw_the_same(name: str, tmp_path: Path, on_ray: Any) -> None:
    """On two actors an example's frames are those of serial drawing."""
    chosen = ",".join(map(str, NUMBERS))
    video = tmp_path / "video.mp4"

    names, report = run_example(name, video, frames=chosen, workers=2, engine="ray", **LOSSLESS)

    assert report.engine == "ray"
    assert_same_pixels(video, EXAMPLES[name].draw(names))
