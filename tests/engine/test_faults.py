"""Promises that other processes keep: sources, actors and encoders that fail in odd ways."""

from __future__ import annotations

import time

import pytest
from numbered import FPS, Numbered, NumberedAnimator, files_in, read_numbers

import rayanim
from rayanim.engine import distributed, encoder
from rayanim.engine.roster import Roster
from rayanim.errors import FrameError, ScriptError
from rayanim.frame_gen import FrameGenerator


def render(source, path, **options):
    options = {"engine": "ray", "progress": False, "workers": 2, **options}
    return rayanim.produce(source, FPS, outfile=path, **options)


class SlowToOpen(Numbered):
    def start(self):
        from numbered import in_actor

        if in_actor():
            time.sleep(1.5)


@pytest.mark.slow
def test_a_slow_opening_is_not_taken_for_a_missing_actor(on_ray, tmp_path, monkeypatch):
    """The limit for an actor's first sign of life does not count the user's own setup."""
    answer = Roster.answer

    def answer_and_shorten_the_limit(roster, member):
        answer(roster, member)
        monkeypatch.setattr(distributed, "ROOM_LIMIT_S", 0.5)

    monkeypatch.setattr(Roster, "answer", answer_and_shorten_the_limit)
    report = render(SlowToOpen(20), tmp_path / "video.mp4", workers=1)
    assert (report.frames, report.engine) == (20, "ray")


class CannotArrive:
    """A parameter that pickles and cannot be unpickled."""

    def __reduce__(self):
        return (_refuse, ())


def _refuse():
    raise LookupError("not here")


@pytest.mark.slow
def test_parameters_that_cannot_be_unpickled_name_the_frame(on_ray, tmp_path):
    """That is the script's fault: no actor is taken for dead, nothing is tried again."""
    with pytest.raises(FrameError, match="LookupError: not here") as caught:
        render(
            NumberedAnimator(),
            tmp_path / "video.mp4",
            param_by_frame=[0, *[CannotArrive()] * 9],
            workers=1,
        )
    assert "\x1b" not in caught.value.traceback_text
    assert files_in(tmp_path) == []


class FinishFails(Numbered):
    def finish(self):
        from numbered import in_actor

        if in_actor():
            raise RuntimeError("cannot let go")


@pytest.mark.slow
def test_a_finish_that_fails_in_an_actor_is_an_error(on_ray, tmp_path):
    """As in process: it is the user's code, and the video of before stays.

    One actor: those that still draw what another has drawn are ended without it.
    """
    with pytest.raises(ScriptError, match="cannot let go"):
        render(FinishFails(40), tmp_path / "video.mp4", workers=1)
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_an_encoder_that_never_answers_is_given_up(on_ray, tmp_path, monkeypatch, whole_segments):
    """Stopped while others draw: another goes on, nothing hangs."""
    import psutil

    stopped = []

    def stop_encoder(done, total):
        if done >= 11 and not stopped:
            children = psutil.Process().children(recursive=True)
            stopped.extend(p for p in children if p.name().startswith("ray::Enc"))
            for process in stopped:
                process.suspend()
                monkeypatch.setattr(encoder, "ENCODE_LIMIT_S", 1.0)
                monkeypatch.setattr(encoder, "FINISH_POLL_S", 0.1)

    options = {"progress": stop_encoder, "segment_frames": 8}
    report = render(Numbered(40, delay_s=0.005), tmp_path / "video.mp4", **options)
    for process in stopped:
        if process.is_running():
            process.kill()
    assert read_numbers(tmp_path / "video.mp4") == list(range(40))
    assert any("has not answered" in event for event in report.events)


@pytest.mark.slow
def test_found_settings_do_not_pass_the_bound(on_ray, tmp_path):
    """More actors found by another run are no leave to use them."""
    settings = rayanim.PerformanceSettings(num_workers=4, max_workers=2)
    report = render(
        Numbered(60, delay_s=0.005),
        tmp_path / "video.mp4",
        settings=settings,
        workers=4,
    )
    assert max(change.actors for change in report.actor_changes) == 2
    assert 1 <= report.actors_peak <= 2


def test_a_run_in_process_finds_no_number_of_actors(tmp_path):
    """Its one process says nothing of how many a longer video needs."""
    report = render(Numbered(10), tmp_path / "video.mp4", engine="local")
    assert report.settings.num_workers is None
    assert report.settings.draw_ms is not None


def test_auto_draws_in_process_what_cannot_travel(tmp_path, monkeypatch):
    """A source with a lock is drawn here, and the report says why."""
    import threading

    class Locked(FrameGenerator):
        duration, frame_size = 40_000, (64, 48)

        def __init__(self):
            self.lock = threading.Lock()

        def generate_at(self, time_ms):
            time.sleep(0.001)
            return bytes(64 * 48 * 4)

    from rayanim.engine import choose

    def always_ray(costs, frames_left, **others):
        return choose.Choice("ray", 2, None, None, "as the test has it")

    monkeypatch.setattr(choose, "choose_engine", always_ray)
    report = render(Locked(), tmp_path / "video.mp4", engine="auto")
    assert report.engine == "local"
    assert "self.lock" in report.events[0]
    assert "This process draws all frames" in report.events[0]


def test_a_busy_ray_of_the_caller_is_not_waited_for(on_ray, tmp_path, monkeypatch):
    """In automatic mode actors that could not be placed are not counted on."""
    from rayanim.engine import choose

    monkeypatch.setattr(choose, "free_ray_cpus", lambda otherwise: 0)
    report = render(Numbered(100, delay_s=0.01), tmp_path / "video.mp4", engine="auto", workers=4)
    assert report.engine == "local"
