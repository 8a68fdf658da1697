"""On Ray the encoder actor joins the film while it is drawn, whoever put the parts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numbered import FPS, Numbered, in_actor, read_numbers

import rayanim
from rayanim.errors import FrameError
from rayanim.progress.protocol import ProgressState

N_FRAMES = 96
"""Twelve segments."""


class Noise(Numbered):
    """Numbered frames with a rim of noise, which no codec makes small.

    Parameters
    ----------
    film
        The film's part: where it is given, the last segment waits until something is in it.
    stop
        A frame that raises outside of actors.
    """

    def __init__(self, film: Path | None = None, stop: int | None = None) -> None:
        super().__init__(N_FRAMES)
        self.film = film
        self.stop = stop

    def generate_at(self, time_ms: float) -> np.ndarray:
        number = round(time_ms * FPS / 1000)
        if number == self.stop and not in_actor():
            raise RuntimeError("stopped here")
        if number == N_FRAMES - 1 and self.film is not None:
            self._wait_for(self.film)
        frame = super().generate_at(time_ms).copy()
        noise = np.random.default_rng(number)
        for edge in (frame[:8], frame[-8:]):
            edge[..., :3] = noise.integers(0, 256, edge[..., :3].shape)
        return frame

    def _wait_for(self, film: Path) -> None:
        for _ in range(300):
            if film.exists() and film.stat().st_size:
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


def render(thing: Any, path: Path, **options: Any) -> rayanim.Report:
    options = {"engine": "ray", "workers": 2, "progress": False, "crf": 10, **options}
    return rayanim.produce(thing, FPS, outfile=path, **options)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The film as one process makes it."""
    path = tmp_path_factory.mktemp("expected") / "film.mp4"
    render(Noise(), path, engine="local")
    return path.read_bytes()


def test_the_film_grows_while_it_is_drawn(on_ray: Any, tmp_path: Path, expected: bytes) -> None:
    """Its last segment is drawn only once others are in the file."""
    film = tmp_path / "film.mp4"
    render(Noise(film.with_name("film.mp4.part")), film)
    assert film.read_bytes() == expected


@pytest.mark.parametrize("after", [16, 48])
def test_another_encoder_actor_joins_from_the_parts(
    on_ray: Any, tmp_path: Path, expected: bytes, after: int
) -> None:
    """Those that the dead one put, and those of an earlier job."""
    film = tmp_path / "film.mp4"
    if after > 40:
        with pytest.raises(FrameError, match="stopped here"):
            render(Noise(stop=40), film, engine="local")
    report = render(Noise(), film, resume=after > 40, progress=KillsEncoder(after))
    assert report.resumed_frames == (40 if after > 40 else 0)
    assert any("encoder actor died" in event for event in report.events)
    assert film.read_bytes() == expected


def test_parts_of_both_processes_are_joined(on_ray: Any, tmp_path: Path, expected: bytes) -> None:
    """Automatic mode may draw some segments here and the others in actors."""
    film = tmp_path / "film.mp4"
    with pytest.raises(FrameError, match="stopped here"):
        render(Noise(stop=24), film, engine="local")
    render(Noise(film.with_name("film.mp4.part")), film, resume=True)
    assert film.read_bytes() == expected
    assert len(read_numbers(film)) == N_FRAMES
