"""Promises of a run on Ray: every frame once, in order, whatever dies."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import psutil
import pytest
from numbered import FPS, SIZE, Numbered, NumberedAnimator, files_in, numbered_frame, read_numbers

import rayanim
from rayanim.errors import (
    FrameError,
    NotPicklableError,
    ParametersError,
    SegmentLostError,
)

N_FRAMES = 120


def render(source, path, **options):
    options = {"engine": "ray", "workers": 2, "progress": False, **options}
    return rayanim.produce(source, FPS, outfile=path, **options)


@pytest.mark.slow
def test_frames_come_in_order_from_four_actors(on_ray, tmp_path):
    """Random delays never reorder, lose or double a frame."""
    report = render(Numbered(N_FRAMES, delay_s=0.005), tmp_path / "video.mp4", workers=4)
    assert read_numbers(tmp_path / "video.mp4") == list(range(N_FRAMES))
    assert (report.frames, report.size, report.engine) == (N_FRAMES, SIZE, "ray")
    assert report.actor_changes[0].actors == 4
    assert 1 <= report.actors_peak <= 4


@pytest.mark.slow
def test_a_frame_that_always_kills_ends_the_job_naming_its_segment(on_ray, tmp_path):
    """A poisonous frame costs three actors, then one clear error; no file is left."""
    with pytest.raises(SegmentLostError, match="3 times") as caught:
        render(Numbered(N_FRAMES, kill=(40,)), tmp_path / "video.mp4", workers=1)
    assert caught.value.start <= 40 < caught.value.stop
    assert files_in(tmp_path) == []


def kill_soon(name: str) -> bool:
    """End the first living process of the session's Ray that is called `name`; if there is one."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name().startswith(name) and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                return True
    return False


class KillsEncoder:
    """Progress that kills the encoder actor, once, after some frames."""

    killed = False

    def start(self, total, label, done=0):
        pass

    def update(self, state):
        if state.done > 20 and not self.killed:
            self.killed = kill_soon("ray::Enc")

    def message(self, text):
        pass

    def finish(self, state):
        pass

    def fail(self):
        pass


def test_a_dead_encoder_costs_nothing(on_ray, tmp_path, whole_segments):
    """What it wrote is on the disk; another one goes on, also with a generator of parameters."""
    report = render(
        NumberedAnimator(),
        tmp_path / "video.mp4",
        param_by_frame=slowly(N_FRAMES),
        workers=1,
        segment_frames=8,
        progress=KillsEncoder(),
    )
    assert read_numbers(tmp_path / "video.mp4") == list(range(N_FRAMES))
    assert any("goes on from what it had written" in event for event in report.events)


def slowly(count):
    for number in range(count):
        time.sleep(0.01)
        yield number


def test_an_error_in_an_actor_names_the_frame_and_brings_the_traceback(on_ray, tmp_path):
    """What the user's code raised in an actor arrives with its own lines."""
    with pytest.raises(FrameError, match="no frame 50 today") as caught:
        render(Numbered(N_FRAMES, fail=50), tmp_path / "video.mp4", workers=1)
    assert caught.value.frame == 50
    assert "generate_at" in caught.value.traceback_text
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_a_generator_of_parameters_is_streamed(on_ray, tmp_path):
    """Parameters are pulled as frames are handed out, not listed before."""
    ahead = []

    def parameters():
        for number in range(300):
            ahead.append(number)
            yield number

    seen = []
    render(
        NumberedAnimator(),
        tmp_path / "video.mp4",
        param_by_frame=parameters(),
        workers=2,
        segment_frames=8,
        progress=lambda done, total: seen.append((len(ahead), done, total)),
        settings=rayanim.PerformanceSettings(in_flight_bytes=40 * 64 * 48 * 3 // 2),
    )
    assert read_numbers(tmp_path / "video.mp4") == list(range(300))
    assert max(pulled - done for pulled, done, _ in seen) <= 120
    assert seen[0][2] is None


def test_parameters_that_raise_end_the_job_with_their_position(on_ray, tmp_path):
    """A generator that fails half way is told apart from drawing that fails."""

    def parameters():
        yield from range(40)
        raise OSError("disk unplugged")

    with pytest.raises(ParametersError, match="entry 40: disk unplugged"):
        render(NumberedAnimator(), tmp_path / "video.mp4", param_by_frame=parameters(), workers=1)
    assert files_in(tmp_path) == []


class HoldsLambda(NumberedAnimator):
    def __init__(self):
        self.lock = __import__("threading").Lock()


def test_what_cannot_be_pickled_is_named_before_an_actor_starts(on_ray, tmp_path):
    """The attribute at fault stands in the message."""
    with pytest.raises(NotPicklableError, match=r"self\.lock"):
        render(HoldsLambda(), tmp_path / "video.mp4", param_by_frame=range(20))


def test_what_cannot_be_pickled_is_drawn_in_process(tmp_path):
    """Nothing needs to travel where no actor is used."""
    report = render(HoldsLambda(), tmp_path / "video.mp4", param_by_frame=range(20), engine="local")
    assert (report.frames, report.engine) == (20, "local")


def test_a_job_of_one_frame_runs_on_ray(on_ray, tmp_path):
    """No actor has anything to do; the one frame was drawn at the start."""
    report = render(lambda number: numbered_frame(number), tmp_path / "video.mp4", n_frames=1)
    assert (read_numbers(tmp_path / "video.mp4"), report.frames) == ([0], 1)


@pytest.mark.slow
def test_large_frames_pass_through_a_small_window(on_ray, tmp_path):
    """Frames larger than the window go through one by one instead of not at all."""
    report = render(
        lambda number: np.full((360, 640, 4), number, np.uint8),
        tmp_path / "video.mp4",
        n_frames=6,
        workers=2,
        settings=rayanim.PerformanceSettings(in_flight_bytes=1000),
    )
    assert (report.frames, report.size) == (6, (640, 360))


@pytest.mark.slow
def test_the_next_run_starts_from_the_settings_found(on_ray, tmp_path):
    """A report's settings save to JSON, load, and are what the next run begins with."""
    first = render(Numbered(60, delay_s=0.005), tmp_path / "a.mp4", workers=2)
    first.settings.save(tmp_path / "found.json")
    loaded = rayanim.PerformanceSettings.load(tmp_path / "found.json")
    assert loaded == first.settings
    assert loaded.num_workers == 2
    assert loaded.draw_ms > 1
    second = render(Numbered(60), tmp_path / "b.mp4", settings=loaded, workers=4)
    assert second.actor_changes[0].actors == 2
