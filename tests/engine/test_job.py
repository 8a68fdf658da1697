"""One video: drawn here, then by actors, and what is counted of it."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from numbered import FPS, Numbered, read_numbers

import rayanim
from rayanim.engine.distributed import RayRun
from rayanim.engine.local import SpaceWatch
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import RayanimError
from rayanim.events import FramesRejected, JobResumed, SegmentStored
from rayanim.settings import PerformanceSettings


def test_a_resumed_job_counts_its_own_rate() -> None:
    """What was there is done, and took this job no time."""
    stats = JobStats(100)
    stats.apply(JobResumed(frames=60, written_bytes=6000))
    state = stats.state()
    assert (state.done, state.fps, state.eta_s) == (60, None, None)
    assert (stats.written_frames, stats.written_bytes) == (60, 6000)
    stats.apply(FramesRejected(frames=20, written_bytes=2000))
    assert (stats.state().done, stats.resumed_frames, stats.written_bytes) == (40, 40, 4000)
    assert stats.state().fps is None


def test_the_space_for_a_resumed_video_is_that_of_all_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts that are missing, and what is not joined of the video."""
    asked: list[int] = []
    monkeypatch.setattr(
        "rayanim.storage.store.check_space", lambda folder, needed_bytes: asked.append(needed_bytes)
    )
    stats = JobStats(1000)
    video = tmp_path / "video.mp4.part"
    watch = SpaceWatch([video], JobEvents(stats))
    watch.check()
    stats.apply(JobResumed(frames=600, written_bytes=60_000))
    watch.check()
    video.write_bytes(bytes(30_000))
    SpaceWatch([video], JobEvents(stats)).check()
    assert asked == [1, 100_000 + 40_000, 1, 70_000 + 40_000]


def test_the_space_of_several_outputs_is_that_of_each_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments are on the first one's; what is to come is shared out like what is joined."""
    video, small, images = (
        tmp_path / "here" / "video.mp4.part",
        tmp_path / "there" / "small.gif.part",
        tmp_path / "here" / "images.part",
    )
    for each in (small.parent, images):
        each.mkdir(parents=True)
    device_of = {video.parent: 1, small.parent: 2}
    real = Path.stat
    monkeypatch.setattr(
        Path,
        "stat",
        lambda path, **options: (
            SimpleNamespace(st_dev=device_of[path]) if path in device_of else real(path, **options)
        ),
    )
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(
        "rayanim.storage.store.check_space",
        lambda folder, needed_bytes: asked.append((folder.name, needed_bytes)),
    )
    stats = JobStats(1000)
    stats.apply(JobResumed(frames=600, written_bytes=60_000))
    watch = SpaceWatch([video, small, images], JobEvents(stats))
    asked.clear()
    watch.check()
    assert asked == [("here", 100_000 + 40_000), ("there", 0)]
    for path, size_bytes in ((video, 20_000), (small, 10_000), (images / "1.png", 10_000)):
        path.write_bytes(bytes(size_bytes))
    asked.clear()
    SpaceWatch([video, small, images], JobEvents(stats)).check()
    assert asked[-2:] == [("here", 45_000 + 40_000), ("there", 15_000)]


@pytest.mark.slow
def test_segments_that_do_not_divide_the_video_give_the_same_frames(
    on_ray: Any, tmp_path: Path
) -> None:
    """Here and on Ray."""
    for engine in ("local", "ray"):
        report = rayanim.produce(
            Numbered(48),
            FPS,
            outfile=tmp_path / f"{engine}.mp4",
            engine=engine,
            workers=2,
            segment_frames=7,
            progress=False,
        )
        assert report.frames == 48
        assert read_numbers(tmp_path / f"{engine}.mp4") == list(range(48))
    assert (tmp_path / "local.mp4").read_bytes() == (tmp_path / "ray.mp4").read_bytes()


def test_jobs_leave_no_thread_and_no_open_file(tmp_path: Path) -> None:
    """Whole, failed or stopped."""

    def stop(done: int, total: int | None) -> None:
        if done > 20:
            raise KeyboardInterrupt

    def one(**options: Any) -> None:
        source = Numbered(48, fail=options.pop("fail", None))
        options = {"engine": "local", "progress": False, **options}
        rayanim.produce(source, FPS, outfile=tmp_path / "video.mp4", **options)

    one()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(3):
        one(keep_parts=True)
        with pytest.raises(RayanimError):
            one(fail=30)
        with pytest.raises(KeyboardInterrupt):
            one(progress=stop)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


class LateRay:
    """A Ray that is started, and never there in time."""

    stopped = 0

    def __init__(self, num_cpus: int, store_bytes: int) -> None:
        self.ready = False

    def start(self) -> None:
        pass

    def wait(self) -> None:
        pass

    def stop(self) -> None:
        LateRay.stopped += 1


def test_a_video_that_is_done_before_ray_is_there_was_drawn_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says so, and the Ray that was started is stopped."""
    monkeypatch.setattr("rayanim.engine.choose.LocalRay", LateRay)
    monkeypatch.setattr(LateRay, "stopped", 0)
    report = rayanim.produce(
        Numbered(40),
        FPS,
        outfile=tmp_path / "video.mp4",
        workers=2,
        settings=PerformanceSettings(draw_ms=5000.0),
        progress=False,
    )
    assert LateRay.stopped == 1
    assert (report.engine, report.frames) == ("local", 40)
    assert "before actors would have been quicker" in report.engine_reason
    assert read_numbers(tmp_path / "video.mp4") == list(range(40))


class NoRay(LateRay):
    """A Ray that does not start."""

    ready = True

    def __init__(self, num_cpus: int, store_bytes: int) -> None:
        pass

    def wait(self) -> None:
        raise rayanim.FarmStartError("Ray did not start: no shared memory.")


@pytest.mark.parametrize("transport", ["segments", "frames"])
def test_where_ray_does_not_start_this_process_draws_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """It is told; whoever asks for Ray gets the error."""
    monkeypatch.setattr("rayanim.engine.choose.LocalRay", NoRay)
    video = tmp_path / "video.mp4"
    options: dict[str, Any] = {
        "workers": 2,
        "settings": PerformanceSettings(draw_ms=5000.0),
        "progress": False,
        "transport": transport,
    }
    report = rayanim.produce(Numbered(40), FPS, outfile=video, **options)
    assert (report.engine, report.engine_reason) == ("local", "Ray did not start")
    assert any("no shared memory. This process draws" in event for event in report.events)
    assert read_numbers(video) == list(range(40))
    with pytest.raises(rayanim.FarmStartError, match="no shared memory"):
        rayanim.produce(Numbered(40), FPS, outfile=video, engine="ray", **options)
    assert read_numbers(video) == list(range(40))


def test_where_no_actor_starts_this_process_draws_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_ray: Any
) -> None:
    """The frames are drawn again; with `engine="ray"` the error is raised."""

    def fails(self: RayRun) -> int:
        raise rayanim.FarmStartError("No render actor started within 120 s.")

    monkeypatch.setattr(RayRun, "run", fails)
    video = tmp_path / "video.mp4"
    options: dict[str, Any] = {"workers": 2, "progress": False}
    settings = PerformanceSettings(draw_ms=5000.0)
    report = rayanim.produce(Numbered(40), FPS, outfile=video, settings=settings, **options)
    assert report.engine == "local"
    assert any("drawn again, in this process" in event for event in report.events)
    assert read_numbers(video) == list(range(40))
    with pytest.raises(rayanim.FarmStartError, match="No render actor"):
        rayanim.produce(Numbered(40), FPS, outfile=video, engine="ray", **options)


def test_heavy_first_frames_are_told_and_end_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A title of noise before a still video; when a tenth of it bears that out, the job ends."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: (10**12, 0, 5 * 10**6))
    stats = JobStats(1000)
    stats.apply(SegmentStored(segment=0, start=0, stop=60, written_bytes=600_000))
    SpaceWatch([tmp_path / "video.mp4.part"], JobEvents(stats)).check()
    assert "If all frames are like the first ones: The disk" in stats.events[0]
    stats.apply(SegmentStored(segment=1, start=60, stop=100, written_bytes=400_000))
    with pytest.raises(rayanim.OutputError, match="Free some space"):
        SpaceWatch([tmp_path / "video.mp4.part"], JobEvents(stats)).check()
