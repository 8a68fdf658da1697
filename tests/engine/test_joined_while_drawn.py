"""On Ray the encoder actor joins the video while it is drawn, whoever put the parts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numbered import FPS, Numbered

import rayanim
from rayanim.errors import FrameError
from rayanim.progress.base import ProgressState

N_FRAMES = 96
"""Twelve segments."""


class Noise(Numbered):
    """Numbered frames with a rim of noise, which no codec makes small.

    `folder` is where the video is. A file ``stop`` in it names a frame that raises;
    with one called ``wait`` the last segment waits until the video grows.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(N_FRAMES)
        self.folder = folder

    def generate_at(self, time_ms: float) -> np.ndarray:
        number = round(time_ms * FPS / 1000)
        stop = self.folder / "stop"
        if stop.exists() and number == int(stop.read_text()):
            raise RuntimeError("stopped here")
        if number == N_FRAMES - 1 and (self.folder / "wait").exists():
            self._wait_for(self.folder / "video.mp4.part")
        frame = super().generate_at(time_ms).copy()
        noise = np.random.default_rng(number)
        for edge in (frame[:8], frame[-8:]):
            edge[..., :3] = noise.integers(0, 256, edge[..., :3].shape)
        return frame

    def _wait_for(self, video: Path) -> None:
        for _ in range(300):
            if video.exists() and video.stat().st_size:
                return
            time.sleep(0.1)
        raise RuntimeError("nothing is joined")


class KillsEncoder:
    """Progress that kills the encoder actor, once, when so many frames are done."""

    def __init__(self, after: int) -> None:
        self.after = after

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        pass

    def update(self, state: ProgressState) -> None:
        if state.done >= self.after:
            self.after = 10**9
            for process in psutil.Process().children(recursive=True):
                if process.name().startswith("ray::Enc"):
                    process.kill()

    def message(self, text: str) -> None:
        pass

    def finish(self, state: ProgressState) -> None:
        pass

    def fail(self) -> None:
        pass


def render(video: Path, **options: Any) -> rayanim.Report:
    options = {"engine": "ray", "workers": 2, "progress": False, "crf": 10, **options}
    options["segment_frames"] = 8
    return rayanim.produce(Noise(video.parent), FPS, outfile=video, **options)


def begin(video: Path, frames: int) -> None:
    """Leave the parts of so many frames, as a job does that fails."""
    (video.parent / "stop").write_text(str(frames))
    with pytest.raises(FrameError, match="stopped here"):
        render(video, engine="local")
    (video.parent / "stop").unlink()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The video as one process makes it."""
    path = tmp_path_factory.mktemp("expected") / "video.mp4"
    render(path, engine="local")
    return path.read_bytes()


@pytest.mark.slow
def test_the_video_grows_while_it_is_drawn(
    on_ray: Any, tmp_path: Path, expected: bytes, whole_segments: None
) -> None:
    """Its last segment is drawn only once others are in the file."""
    video = tmp_path / "video.mp4"
    begin(video, 24)
    (tmp_path / "wait").touch()
    report = render(video, resume=True)
    assert report.resumed_frames == 24
    assert video.read_bytes() == expected


@pytest.mark.slow
def test_another_encoder_actor_joins_from_the_parts(
    on_ray: Any, tmp_path: Path, expected: bytes, whole_segments: None
) -> None:
    """Those that the dead one put, and those of an earlier job."""
    video = tmp_path / "video.mp4"
    begin(video, 40)
    report = render(video, resume=True, progress=KillsEncoder(56))
    assert report.resumed_frames == 40
    assert any("encoder actor died" in event for event in report.events)
    assert video.read_bytes() == expected
