"""Scripts that were written for either package render here after changing their import.

`seed_scripts` holds them: other drawings, but the classes, calls and keywords
of those packages' documents and users. Each is run as it stands.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
from lossless import LOSSLESS, Pixels, assert_same_pixels, draw_animator, draw_generator
from samples import sampled

from rayanim.overrides import Overrides, overriding
from rayanim.report import Report

FOLDER = Path(__file__).parent / "seed_scripts"

Namespace = dict[str, Any]


def _data_frames(names: Namespace, numbers: list[int]) -> list[Pixels]:
    frames = [(int(names["IDS"][n]), names["trace"](int(names["IDS"][n]))) for n in numbers]
    return draw_animator(names["Trace"](), frames, None)


def _act_and_scene(names: Namespace, numbers: list[int]) -> list[Pixels]:
    act = names["acts"].Act(names["LampState"](), names["LampRenderer"](), [names["_scene"]()])
    return draw_generator(act, numbers, 60)


def _scenes(names: Namespace, numbers: list[int]) -> list[Pixels]:
    scenes = [names["_there_and_back"](), names["_separate"]()]
    act = names["acts"].Act(names["Page"](), names["PageRenderer"](), scenes)
    return draw_generator(act, numbers, 20)


def _animator_class(names: Namespace, numbers: list[int]) -> list[Pixels]:
    frames = [(n, names["params"][n]) for n in numbers]
    return draw_animator(names["SpiralAnimation"](), frames, None)


def _animator_streamed(names: Namespace, numbers: list[int]) -> list[Pixels]:
    frames = [(n, int(names["frame_ids"][n])) for n in numbers]
    return draw_animator(names["Recording"](80, colour="tab:blue"), frames, 60)


@dataclass(frozen=True)
class Script:
    """What a script is to make, and how the same is drawn without rayanim's engine."""

    videos: tuple[str, ...]
    size: tuple[int, int]
    rate: int
    n_frames: int
    draw: Callable[[Namespace, list[int]], list[Pixels]]
    chosen: range | None = None
    """Frames that are rendered where the whole video is long."""

    @property
    def numbers(self) -> list[int]:
        return list(range(self.n_frames) if self.chosen is None else self.chosen)


SCRIPTS = {
    "animator_class": Script(("spiral.mp4",), (120, 90), 30, 12, _animator_class),
    "animator_streamed": Script(("videos/recording.mp4",), (180, 96), 30, 14, _animator_streamed),
    "animator_data_frames": Script(("trace.mp4",), (120, 90), 30, 30, _data_frames),
    "settings_kept": Script(
        ("bar.mp4", "bar_again.mp4"),
        (40, 30),
        20,
        30,
        lambda names, numbers: draw_generator(names["_fg"](), numbers, 20),
    ),
    "act_and_scene": Script(
        ("out/video.mp4",), (96, 54), 60, 600, _act_and_scene, range(0, 600, 50)
    ),
    "frame_generator": Script(
        ("out/video.mp4",),
        (80, 46),
        60,
        1200,
        lambda names, numbers: draw_generator(names["_fg"](), numbers, 60),
        range(0, 1200, 100),
    ),
    "transforms": Script(
        ("clock.mp4", "clock_again.mp4"),
        (64, 64),
        30,
        36,
        lambda names, numbers: draw_generator(names["build"](), numbers, 30),
    ),
    "scenes": Script(("scenes.mp4",), (64, 48), 20, 44, _scenes),
}


def run_script(name: str, **arguments: Any) -> tuple[Namespace, list[Report]]:
    """Run a script as a user does, in the working folder."""
    reports: list[Report] = []
    chosen = SCRIPTS[name].chosen
    if chosen is not None:
        arguments["frames"] = f"{chosen[0]}-{chosen[-1]}x{chosen.step}"
    overrides = Overrides(arguments={"progress": False, **arguments}, on_report=reports.append)
    with overriding(overrides):
        names = runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return names, reports


def assert_videos_are_right(name: str, names: Namespace) -> None:
    """Count, size, rate and every pixel of the videos that a script made."""
    script = SCRIPTS[name]
    drawn = script.draw(names, script.numbers)
    for video in script.videos:
        with av.open(video) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == script.size
            assert stream.average_rate == script.rate
        assert_same_pixels(video, drawn)


def test_every_script_is_known() -> None:
    """No script goes without a test."""
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize(
    "name",
    sampled(
        SCRIPTS, ["animator_class", "act_and_scene", "frame_generator", "transforms", "scenes"]
    ),
)
def test_video_equals_serial_drawing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the engine's own choice the videos hold the very pixels of serial drawing."""
    monkeypatch.chdir(tmp_path)

    names, reports = run_script(name, **LOSSLESS)

    assert [report.frames for report in reports] == [len(SCRIPTS[name].numbers)] * len(reports)
    assert_videos_are_right(name, names)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["act_and_scene", "animator_streamed", "scenes", "transforms"])
def test_actors_draw_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_ray: Any
) -> None:
    """On two render actors, whose order is not fixed, they do as well."""
    monkeypatch.chdir(tmp_path)

    names, reports = run_script(name, engine="ray", workers=2, **LOSSLESS)

    assert {report.engine for report in reports} == {"ray"}
    assert_videos_are_right(name, names)


@pytest.mark.parametrize("name", [name for name, each in SCRIPTS.items() if each.chosen])
def test_whole_video_has_the_frames_it_should(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any option, a long video has every frame that its times ask for."""
    monkeypatch.chdir(tmp_path)
    reports: list[Report] = []
    with overriding(Overrides(arguments={"progress": False}, on_report=reports.append)):
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")

    for video in SCRIPTS[name].videos:
        with av.open(video) as container:
            assert sum(1 for _ in container.decode(video=0)) == SCRIPTS[name].n_frames
