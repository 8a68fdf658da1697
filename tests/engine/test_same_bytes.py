"""One SHA-256 for a video, whoever draws it, how often, and whatever goes wrong meanwhile."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered import FPS, Numbered, in_actor, numbered_frame, read_numbers

import rayanim
from rayanim.errors import FrameError

N_FRAMES = 48
"""Six segments."""

FORMATS: dict[str, dict[str, Any]] = {
    "video.mp4": {},
    "h265.mp4": {"codec": "h265", "preset": "ultrafast"},
    "video.mkv": {},
    "video.mov": {},
    "vp9.webm": {"codec": "vp9"},
    "av1.webm": {"codec": "av1", "preset": "12"},
}


class Random(Numbered):
    """Numbered frames with a corner of random numbers; what can go wrong is asked for.

    Parameters
    ----------
    slow
        A frame that takes long in the first actor that draws it.
    stop
        A frame that raises, once.
    """

    def __init__(
        self,
        n_frames: int = N_FRAMES,
        scratch: Path | None = None,
        kill: tuple[int, ...] = (),
        slow: int | None = None,
        stop: int | None = None,
    ) -> None:
        super().__init__(n_frames, kill=kill, scratch=scratch)
        self.slow = slow
        self.stop = stop

    def generate_at(self, time_ms: float) -> np.ndarray:
        number = round(time_ms * FPS / 1000)
        frame = super().generate_at(time_ms).copy()
        frame[:6, :6, :3] = random.randrange(256)
        frame[:6, 6:8, :3] = np.random.randint(0, 256, (6, 2, 3))
        if number == self.slow and in_actor() and self._is_first("slow"):
            time.sleep(100)
        if number == self.stop and self._is_first("stop"):
            raise RuntimeError("stopped here")
        return frame

    def _is_first(self, what: str) -> bool:
        try:
            (self.scratch / what).touch(exist_ok=False)  # type: ignore[operator]
        except FileExistsError:
            return False
        return True


def render(thing: Any, path: Path, **options: Any) -> rayanim.Report:
    return rayanim.produce(thing, FPS, outfile=path, **{"progress": False, **options})


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SHA-256 of each video as one process draws it."""
    folder = tmp_path_factory.mktemp("expected")
    for name, options in FORMATS.items():
        render(Random(), folder / name, engine="local", **options)
    return {name: sha(folder / name) for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_actors_make_the_video_of_one_process(
    on_ray: Any, tmp_path: Path, expected: dict[str, str], name: str
) -> None:
    """In every container and codec."""
    report = render(Random(), tmp_path / name, engine="ray", workers=1, **FORMATS[name])
    assert (report.engine, report.transport, report.frames) == ("ray", "segments", N_FRAMES)
    assert sha(tmp_path / name) == expected[name]


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_actors(
    on_ray: Any, tmp_path: Path, expected: dict[str, str], workers: Any
) -> None:
    """Two, four; one is above."""
    render(Random(), tmp_path / "video.mp4", engine="ray", workers=workers)
    assert sha(tmp_path / "video.mp4") == expected["video.mp4"]


def test_a_second_run_and_automatic_mode(tmp_path: Path, expected: dict[str, str]) -> None:
    """Twice the same, wherever the job is drawn."""
    for name in ("video.mp4", "vp9.webm"):
        render(Random(), tmp_path / name, **FORMATS[name])
        assert sha(tmp_path / name) == expected[name]


def test_another_process(tmp_path: Path, expected: dict[str, str]) -> None:
    """With another hash seed, time zone and working folder."""
    paths = filter(None, [*sys.path, str(Path(__file__).parent)])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
    }
    code = (
        "from test_same_bytes import *\n"
        "for name in FORMATS: render(Random(), Path(name), engine='local', **FORMATS[name])"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=100)
    assert {name: sha(tmp_path / name) for name in FORMATS} == expected


def test_killed_actors(on_ray: Any, tmp_path: Path, expected: dict[str, str]) -> None:
    """What they had drawn is drawn again, with the same random numbers."""
    source = Random(scratch=tmp_path, kill=(12, 33))
    report = render(source, tmp_path / "video.mp4", engine="ray", workers=2)
    assert sum("drawn again" in event for event in report.events) == 2
    assert sha(tmp_path / "video.mp4") == expected["video.mp4"]


def test_stragglers_are_drawn_by_another_too(
    on_ray: Any, tmp_path: Path, expected: dict[str, str]
) -> None:
    """An actor that sleeps for ever does not keep the video, and nothing is in it twice."""
    source = Random(scratch=tmp_path, slow=20)
    report = render(source, tmp_path / "video.mp4", engine="ray", workers=2)
    assert any("another one draws them, too" in event for event in report.events)
    assert report.elapsed_s < 90
    assert sha(tmp_path / "video.mp4") == expected["video.mp4"]


@pytest.mark.parametrize("name", ["video.mp4", "av1.webm"])
def test_a_resumed_video(tmp_path: Path, expected: dict[str, str], name: str) -> None:
    """Parts of two jobs join to the video of one."""
    source = Random(scratch=tmp_path, stop=30)
    options = {"engine": "local", **FORMATS[name]}
    with pytest.raises(FrameError, match="stopped here"):
        render(source, tmp_path / name, **options)
    report = render(source, tmp_path / name, resume=True, **options)
    assert report.resumed_frames == 24
    assert sha(tmp_path / name) == expected[name]


def test_one_encoder_for_all_frames_gives_one_video_too(on_ray: Any, tmp_path: Path) -> None:
    """In `frames` transport as well the bytes are the settings' and the source's."""
    videos = {"local.mp4": {"engine": "local"}, "ray.mp4": {"engine": "ray", "workers": 2}}
    for name, options in videos.items():
        report = render(Random(), tmp_path / name, transport="frames", **options)
        assert report.transport == "frames"
    assert sha(tmp_path / "local.mp4") == sha(tmp_path / "ray.mp4")


def test_the_seed_makes_another_video(tmp_path: Path, expected: dict[str, str]) -> None:
    """And the caller's own generators go on where they were."""
    random.seed(3)
    np.random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tolist()
    render(Random(), tmp_path / "video.mp4", engine="local", seed=1)
    assert sha(tmp_path / "video.mp4") != expected["video.mp4"]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_segments_are_part_of_the_settings(tmp_path: Path, expected: dict[str, str]) -> None:
    """Their length decides where keyframes are, and so the bytes; not the pixels' numbers."""
    render(lambda number: numbered_frame(number), tmp_path / "a.mp4", n_frames=20, segment_frames=5)
    render(lambda number: numbered_frame(number), tmp_path / "b.mp4", n_frames=20)
    assert sha(tmp_path / "a.mp4") != sha(tmp_path / "b.mp4")
    assert read_numbers(tmp_path / "a.mp4") == read_numbers(tmp_path / "b.mp4") == list(range(20))
