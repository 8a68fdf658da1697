"""What a job that was killed, stopped or failed leaves is gone on from, and nothing else is."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from numbered import FPS, SIZE, Numbered, NumberedAnimator, numbered_frame, read_numbers
from samples import sampled

import rayanim
from rayanim.errors import EncodeError, FrameError, OutputError, RedrawError, ResumeError
from rayanim.storage.segments import SegmentStore

N_FRAMES = 96
SEGMENT = 8
"""Frames of a segment: many short ones, so that there is something to resume."""

SCRIPT = f"""
import sys, time
from pathlib import Path
import numpy as np
import rayanim
from numbered import FPS, Numbered, numbered_frame

HERE = Path(__file__).parent

class Video(Numbered):
    def __init__(self, n_frames={N_FRAMES}):
        super().__init__(n_frames)

    def generate_at(self, time_ms):
        number = round(time_ms * FPS / 1000)
        with (HERE / "drawn.log").open("a") as log:
            log.write(f"{{number}}\\n")
        pause = HERE / "pause"
        if pause.exists() and number >= int(pause.read_text()):
            (HERE / "paused").touch()
            time.sleep(100)
        frame = numbered_frame(number)
        if (HERE / "noise").exists() and number >= 40:
            frame[..., :3] = np.random.default_rng(number).integers(0, 256, (48, 64, 3))
        return frame

def main(engine):
    options = {{"segment_frames": {SEGMENT}, "engine": engine, "progress": False,
               "independent": True}}
    rayanim.produce(Video(), FPS, outfile=HERE / "video.mp4", **options)

if __name__ == "__main__" and len(sys.argv) > 1 and sys.argv[1] in ("local", "ray"):
    if len(sys.argv) > 2:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    main(sys.argv[1])
"""


class Stopped(Numbered):
    """Numbered frames that stop the job where a file says so, and note what is drawn."""

    def __init__(self, scratch: Path, n_frames: int = N_FRAMES, size: Any = SIZE) -> None:
        super().__init__(n_frames)
        self.scratch: Path = scratch
        self.frame_size = size

    def generate_at(self, time_ms: float) -> Any:
        number = round(time_ms * FPS / 1000)
        note(self.scratch, number)
        frame = numbered_frame(number)
        return frame[: self.frame_size[1]]


class StoppedAnimator(NumberedAnimator):
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    def update(self, frame_idx: int, params: Any) -> None:
        note(self.scratch, frame_idx)
        super().update(frame_idx, params)


def note(scratch: Path, number: int) -> None:
    with (scratch / "drawn.log").open("a") as log:
        log.write(f"{number}\n")
    stop = scratch / "stop"
    if stop.exists() and number == int(stop.read_text()):
        raise RuntimeError("stopped here")


def drawn(folder: Path) -> list[int]:
    """The frames drawn since the last call."""
    log = folder / "drawn.log"
    numbers = [int(line) for line in log.read_text().split()] if log.exists() else []
    log.unlink(missing_ok=True)
    return numbers


def assert_drawn(folder: Path, numbers: list[int]) -> None:
    """These were drawn, each once."""
    assert sorted(drawn(folder)) == numbers


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parts_of(video: Path) -> list[str]:
    folder = video.with_name(video.name + ".parts")
    return sorted(each.name for each in folder.glob("*.part")) if folder.exists() else []


def render(thing: Any, video: Path, **options: Any) -> rayanim.Report:
    # What is drawn again is counted: no update runs for frames that are skipped.
    usual = {"engine": "local", "progress": False, "segment_frames": SEGMENT, "independent": True}
    options = {**usual, **options}
    return rayanim.produce(thing, FPS, outfile=video, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SHA-256 of an undisturbed video."""
    video = tmp_path_factory.mktemp("whole") / "video.mp4"
    render(Numbered(N_FRAMES), video)
    return sha(video)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Where a video goes; one of before is there."""
    path = tmp_path / "video.mp4"
    path.write_text("the video of before")
    return path


def stop_at(video: Path, number: int, thing: Any = None, **options: Any) -> BaseException:
    """Have a job fail at a frame, and see that the file of before stands."""
    scratch, before = video.parent, video.read_bytes()
    (scratch / "stop").write_text(str(number))
    with pytest.raises(FrameError, match="stopped here") as caught:
        render(thing or Stopped(scratch), video, **options)
    (scratch / "stop").unlink()
    assert video.read_bytes() == before
    assert not video.with_name("video.mp4.part").exists()
    drawn(scratch)
    return caught.value


# ---- killed


def script_in(folder: Path, name: str = "script.py") -> Path:
    path = folder / name
    path.write_text(SCRIPT)
    return path


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def paused_run(command: list[str], folder: Path, number: int, **popen: Any) -> Any:
    """A process that draws until frame `number`; all segments before it are on the disk."""
    (folder / "pause").write_text(str(number))
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True, **popen
    )
    expected = number // SEGMENT
    wait_for(
        lambda: (folder / "paused").exists() and len(parts_of(folder / "video.mp4")) == expected,
        process,
    )
    (folder / "pause").unlink()
    return process


def wait_for(is_so: Callable[[], bool], process: Any) -> None:
    limit_s = time.monotonic() + 90
    while not is_so():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit_s
        time.sleep(0.05)


def video_class(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location("script_of_resume", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Video


@pytest.mark.parametrize("number", [10, 86])
def test_a_driver_killed_loses_what_was_in_flight_at_most(
    video: Path, whole: str, number: int
) -> None:
    """After kill -9 at 10 and 90 % the video is the undisturbed one to the bit."""
    script = script_in(video.parent)
    process = paused_run([sys.executable, str(script), "local"], video.parent, number)
    process.kill()
    process.wait()
    assert video.read_text() == "the video of before"
    drawn(video.parent)
    told: list[tuple[int, int]] = []
    report = render(
        video_class(script)(), video, resume=True, progress=lambda *state: told.append(state)
    )
    kept = number // SEGMENT * SEGMENT
    assert sha(video) == whole
    assert (report.resumed_frames, report.frames) == (kept, N_FRAMES)
    assert_drawn(video.parent, [0, *range(kept, N_FRAMES)])
    assert min(done for done, _ in told if done) >= kept
    assert max(done for done, _ in told) == N_FRAMES
    assert [each.name for each in video.parent.glob("video*")] == ["video.mp4"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_driver_killed_on_ray_loses_what_was_in_flight_at_most(
    video: Path, whole: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At 50 %: segments that actors finished are taken up by a job in one process."""
    script = script_in(video.parent)
    command = [sys.executable, str(script), "ray"]
    process = paused_run(command, video.parent, 48, start_new_session=True)
    process.kill()
    process.wait()
    drawn(video.parent)
    report = render(video_class(script)(), video, resume=True)
    assert sha(video) == whole
    assert report.resumed_frames == 48
    assert_drawn(video.parent, [0, *range(48, N_FRAMES)])


@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM], [signal.SIGTERM]))
def test_the_command_that_is_told_goes_on(video: Path, whole: str, number: signal.Signals) -> None:
    """After Ctrl-C and SIGTERM the message's own words, run in a shell, end with the same video."""
    folder = video.parent
    script_in(folder, "my script.py")
    rayanim_in(folder)
    main = [sys.executable, "-c", "from rayanim.cli import main; main()"]
    arguments = ["run", "my script.py", "Video", "-o", "video.mp4", "--workers", "1", "-y"]
    arguments += ["--segment-frames", str(SEGMENT), "--independent"]
    process = paused_run([*main, *arguments], folder, 50)
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert video.read_text() == "the video of before"
    found = re.search(r"run:\n\s*(rayanim run .*--resume.*)", told, re.M)
    assert found is not None, told
    drawn(folder)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        found[1], shell=True, cwd=folder, env=environment(PATH=path), check=True, timeout=90
    )
    assert sha(video) == whole
    assert_drawn(folder, [0, *range(48, N_FRAMES)])
    assert parts_of(video) == []


def rayanim_in(folder: Path) -> None:
    """The command, as it is installed."""
    command = folder / "rayanim"
    command.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -c 'from rayanim.cli import main; main()' \"$@\"\n"
    )
    command.chmod(0o755)


# ---- failed


def test_a_job_that_failed_says_what_is_kept_and_how_to_go_on(video: Path, whole: str) -> None:
    """The error has a note; going on draws what is missing."""
    error = stop_at(video, 45)
    (told,) = error.__notes__
    kept = r"5 finished segments are kept in .*video\.mp4\.parts'\. They can be reused \(--resume\)"
    assert re.search(kept, told)
    report = render(Stopped(video.parent), video, resume=True)
    assert sha(video) == whole
    assert (report.resumed_frames, report.stages.draw_fps is not None) == (40, True)
    assert_drawn(video.parent, [0, *range(40, N_FRAMES)])


@pytest.mark.slow
def test_going_on_may_end_on_ray(on_ray: Any, video: Path, whole: str) -> None:
    """Actors draw only what is missing, where frames are known not to depend on each other."""
    stop_at(video, 45)
    options = {"engine": "ray", "workers": 2, "audit": 0}
    report = render(Stopped(video.parent), video, resume=True, **options)
    assert (sha(video), report.resumed_frames, report.engine) == (whole, 40, "ray")
    # Each process draws the video's first frame to compare it.
    again = [number for number in drawn(video.parent) if number]
    assert set(again) == set(range(40, N_FRAMES))
    assert max(done for done in (report.frames,)) == N_FRAMES


def test_a_job_that_is_stopped_twice_goes_on_twice(video: Path, whole: str) -> None:
    """Parts of both are there in the end."""
    stop_at(video, 20)
    stop_at(video, 70, resume=True)
    report = render(Stopped(video.parent), video, resume=True)
    assert (sha(video), report.resumed_frames) == (whole, 64)


def test_a_full_disk_keeps_what_was_finished(video: Path, tmp_path: Path) -> None:
    """A part that is not taken, then the video that is not: told, and gone on from.

    The video is joined while others are drawn, so its failure may come before the last.
    """
    script = script_in(video.parent)
    (video.parent / "noise").touch()
    command = [sys.executable, str(script), "local"]
    for limit_bytes, at_least in ((9_000, 5), (60_000, 10)):
        process = subprocess.run(
            [*command, str(limit_bytes)],
            cwd=video.parent,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert process.returncode == 1
        assert "EncodeError: The disk is full" in process.stderr
        told = re.search(r"(\d+) finished segments are kept", process.stderr)
        assert told is not None
        kept = int(told[1])
        assert at_least <= kept <= N_FRAMES // SEGMENT
        assert video.read_text() == "the video of before"
        shutil.rmtree(video.with_name("video.mp4.parts.old"), ignore_errors=True)
    drawn(video.parent)
    render(video_class(script)(), video, resume=True)
    assert_drawn(video.parent, [0, *range(kept * SEGMENT, N_FRAMES)])
    render(video_class(script)(), tmp_path / "again.mp4")
    assert sha(video) == sha(tmp_path / "again.mp4")


# ---- what is not trusted


def change_byte(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


SPOILED: dict[str, Callable[[Path], Any]] = {
    "changed": lambda part: change_byte(part, -10),
    "cut short": lambda part: part.write_bytes(part.read_bytes()[:200]),
    "empty": lambda part: part.write_bytes(b""),
    "another segment's": lambda part: shutil.copy(part.with_name("000003.part"), part),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_part_is_drawn_again(video: Path, whole: str, how: str) -> None:
    """It is named, its frames alone are drawn again, and the video is right."""
    stop_at(video, 45)
    SPOILED[how](video.with_name("video.mp4.parts") / "000002.part")
    report = render(Stopped(video.parent), video, resume=True)
    assert sha(video) == whole
    assert report.resumed_frames == 32
    assert_drawn(video.parent, [0, *range(16, 24), *range(40, N_FRAMES)])
    assert any("000002.part is not used" in event for event in report.events)


def test_a_part_of_another_video_is_drawn_again(video: Path, whole: str, tmp_path: Path) -> None:
    """Whole as it is, its video is another."""
    other = tmp_path / "other" / "video.mp4"
    other.parent.mkdir()
    render(Stopped(video.parent), other, keep_parts=True, crf=30)
    stop_at(video, 45)
    shutil.copy(other.parent / "video.mp4.parts" / "000001.part", video.parent / "video.mp4.parts")
    report = render(Stopped(video.parent), video, resume=True)
    assert sha(video) == whole
    assert any("of another video" in event for event in report.events)


@pytest.mark.parametrize("left", [0, -2])
def test_a_cut_manifest_ends_the_job(video: Path, left: int) -> None:
    """Nothing is drawn or removed; without resuming the video is made anew."""
    stop_at(video, 45)
    manifest = video.with_name("video.mp4.parts") / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:left])
    with pytest.raises(ResumeError, match=r"manifest\.json' cannot be used.*resume=True"):
        render(Stopped(video.parent), video, resume=True)
    assert video.read_text() == "the video of before"
    assert len(parts_of(video)) == 5
    render(Stopped(video.parent), video)
    assert read_numbers(video) == list(range(N_FRAMES))
    assert [each.name for each in video.parent.glob("video*")] == ["video.mp4"]


class Late(Stopped):
    """Its speed shows from the second frame on only."""

    def __init__(self, scratch: Path, speed: int) -> None:
        super().__init__(scratch)
        self.speed = speed
        self.seen: list[int] = []

    def generate_at(self, time_ms: float) -> Any:
        self.seen.append(1)
        return super().generate_at(time_ms * self.speed)


def test_another_value_of_the_source_is_another_video(video: Path, whole: str) -> None:
    """Although code and first frame are the same; nothing of the two is mixed."""
    stop_at(video, 45, Late(video.parent, 1))
    with pytest.raises(ResumeError, match="values of the source have changed: speed"):
        render(Late(video.parent, 2), video, resume=True)
    assert len(parts_of(video)) == 5
    report = render(Late(video.parent, 1), video, resume=True)
    assert (sha(video), report.resumed_frames) == (whole, 40)


def test_what_drawing_appends_to_is_no_other_value(video: Path, whole: str) -> None:
    """The same object, in the same process, is gone on with."""
    late = Late(video.parent, 1)
    stop_at(video, 45, late)
    assert len(late.seen) > 40
    report = render(late, video, resume=True)
    assert (sha(video), report.resumed_frames) == (whole, 40)
    stop_at(video, 45, late)
    late.speed = 2
    with pytest.raises(ResumeError, match="values of the source have changed: speed"):
        render(late, video, resume=True)


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "fps": ({"fps": 25}, "the number of frames was 96, is 80 now; fps was 30, is 25"),
    "codec": ({"codec": "h265"}, "codec was libx264, is libx265 now"),
    "crf": ({"crf": 30}, "crf was 24.4, is 30 now"),
    "seed": ({"seed": 1}, "seed was 0, is 1 now"),
    "frames": ({"frames": "0-89"}, "the number of frames was 96, is 90 now"),
    "segments": ({"segment_frames": 250}, "segment_frames was"),
}


@pytest.mark.parametrize("what", sampled(CHANGED, list(CHANGED)[::3]))
def test_what_has_changed_is_named(video: Path, what: str) -> None:
    """The parts stay as they are, and so does the video of before."""
    stop_at(video, 45)
    options, message = CHANGED[what]
    arguments = {"fps": FPS, "engine": "local", "progress": False, "resume": True}
    arguments["segment_frames"] = SEGMENT
    with pytest.raises(ResumeError, match=message) as caught:
        rayanim.produce(Stopped(video.parent), outfile=video, **(arguments | options))
    assert "Restore that, or leave out resume=True" in caught.value.message
    assert len(parts_of(video)) == 5
    assert video.read_text() == "the video of before"


def test_another_size_or_number_is_named(video: Path) -> None:
    """What the source tells counts as what the caller asks for."""
    stop_at(video, 45)
    with pytest.raises(ResumeError, match="the video's size was 64x48, is 64x24 now"):
        render(Stopped(video.parent, size=(64, 24)), video, resume=True)
    with pytest.raises(ResumeError, match="the number of frames was 96, is 100 now"):
        render(Stopped(video.parent, 100), video, resume=True)
    assert len(parts_of(video)) == 5


def test_a_changed_script_is_noticed(video: Path) -> None:
    """Even where the first frame looks the same."""
    script = script_in(video.parent)
    stopped = video_class(script)()
    stopped.fail = 45

    def fail(time_ms: float) -> Any:
        if round(time_ms * FPS / 1000) == 45:
            raise KeyboardInterrupt
        return type(stopped).generate_at(stopped, time_ms)

    def interrupt(done: int, total: int | None) -> None:
        if len(parts_of(video)) > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(stopped, video, progress=interrupt, segment_frames=2)
    assert parts_of(video)
    script.write_text(SCRIPT.replace("numbered_frame(number)", "numbered_frame(number + 0)"))
    with pytest.raises(ResumeError, match="the drawing code has changed"):
        render(video_class(script)(), video, resume=True, segment_frames=2)


def test_nothing_to_go_on_from_is_told(video: Path) -> None:
    """Asking for it is no reason to draw everything unasked."""
    with pytest.raises(ResumeError, match="nothing to resume"):
        render(Stopped(video.parent), video, resume=True)
    assert video.read_text() == "the video of before"


# ---- parameters


def parameters(count: int = N_FRAMES, other: int | None = None) -> Iterator[int]:
    for number in range(count):
        yield 999 if number == other else number


def test_a_generator_is_read_again_from_its_start(video: Path) -> None:
    """Its entries are compared with those that the parts were drawn from."""
    make = lambda: StoppedAnimator(video.parent)  # noqa: E731
    stop_at(video, 60, make(), param_by_frame=parameters())
    kept = len(parts_of(video)) * SEGMENT
    report = render(make(), video, param_by_frame=parameters(), resume=True)
    assert read_numbers(video) == list(range(N_FRAMES))
    assert report.resumed_frames == kept
    assert_drawn(video.parent, [0, *range(kept, N_FRAMES)])


def test_other_parameters_are_drawn_anew(video: Path) -> None:
    """The segment in which one differs, and no other; the count stays right."""
    make = lambda: StoppedAnimator(video.parent)  # noqa: E731
    stop_at(video, 60, make(), param_by_frame=list(parameters()))
    told: list[int] = []
    report = render(
        make(),
        video,
        param_by_frame=list(parameters(other=20)),
        resume=True,
        progress=lambda done, total: told.append(done),
    )
    numbers = list(range(N_FRAMES))
    numbers[20] = 999
    assert read_numbers(video) == numbers
    assert report.resumed_frames == 48
    assert_drawn(video.parent, [0, *range(16, 24), *range(56, N_FRAMES)])
    assert max(told) == report.frames == N_FRAMES
    assert any("other parameters" in event for event in report.events)


def test_a_generator_that_has_become_shorter_ends_the_video(video: Path) -> None:
    """Parts behind the new end get nowhere near it."""
    make = lambda: StoppedAnimator(video.parent)  # noqa: E731
    stop_at(video, 90, make(), param_by_frame=parameters())
    report = render(make(), video, param_by_frame=parameters(44), resume=True)
    assert read_numbers(video) == list(range(44))
    assert report.frames == 44
    assert report.resumed_frames == 40


# ---- the folder


def test_parts_are_kept_when_asked_for(video: Path, whole: str) -> None:
    """A video whose parts are all there takes its first frame to draw, and a join."""
    render(Stopped(video.parent), video, keep_parts=True)
    assert len(parts_of(video)) == N_FRAMES // SEGMENT
    video.unlink()
    drawn(video.parent)
    report = render(Stopped(video.parent), video, resume=True)
    assert (sha(video), report.frames, report.resumed_frames) == (whole, N_FRAMES, N_FRAMES)
    assert drawn(video.parent) == [0]
    assert parts_of(video) == []


def test_without_resuming_older_parts_are_put_aside_until_the_video_is_whole(
    video: Path, whole: str
) -> None:
    """A command without --resume does not cost hours of work by itself."""
    stop_at(video, 45)
    old = video.with_name("video.mp4.parts.old")
    stop_at(video, 20)
    assert (len(parts_of(video)), len(list(old.glob("*.part")))) == (2, 5)
    stop_at(video, 70)
    assert (len(parts_of(video)), len(list(old.glob("*.part")))) == (8, 5)
    report = render(Stopped(video.parent), video)
    assert any("Moved " in event for event in report.events)
    assert (sha(video), report.resumed_frames) == (whole, 0)
    assert [each.name for each in video.parent.glob("video*")] == ["video.mp4"]


def test_a_resumed_job_that_is_drawn_again_leaves_another_video_s_parts(
    video: Path, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were there before it, and it has not put them aside."""
    other, opened = video.with_name("video.mp4.parts.old"), SegmentStore.open

    def open_once(self: SegmentStore, *args: Any, **how: Any) -> Any:
        monkeypatch.setattr(SegmentStore, "open", opened)
        opened(self, *args, **how)
        raise RedrawError("Frame 3 differs")

    stop_at(video, 20)
    video.with_name("video.mp4.parts").rename(other)
    (other / "manifest.json").write_text("{}")
    stop_at(video, 45)
    monkeypatch.setattr(SegmentStore, "open", open_once)
    report = render(Stopped(video.parent), video, resume=True)
    assert (sha(video), report.resumed_frames) == (whole, 0)
    assert (parts_of(video), len(list(other.glob("*.part")))) == ([], 2)


def test_two_jobs_do_not_share_a_target(video: Path, whole: str) -> None:
    """The second ends with a message; the first is none the worse."""
    refused: list[str] = []

    def second(done: int, total: int | None) -> None:
        if done and not refused:
            with pytest.raises(OutputError) as caught:
                render(Numbered(4), video, resume=bool(done % 2))
            refused.append(caught.value.message)

    render(Stopped(video.parent), video, progress=second)
    assert "Another job is writing" in refused[0]
    assert sha(video) == whole


def test_what_stands_in_the_place_of_the_folder_is_left_alone(video: Path) -> None:
    """It is named before much is drawn."""
    in_the_way = video.with_name("video.mp4.parts")
    in_the_way.write_text("mine")
    with pytest.raises(OutputError, match="not a folder of rayanim's segments"):
        render(Stopped(video.parent), video)
    assert in_the_way.read_text() == "mine"
    assert drawn(video.parent) == [0]
    assert video.read_text() == "the video of before"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_cannot_be_written_is_told_first(video: Path) -> None:
    """Nothing is drawn."""
    video.parent.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="not writable"):
            render(Numbered(8), video)
    finally:
        video.parent.chmod(0o755)


def test_parts_that_go_while_drawing_are_an_error(video: Path) -> None:
    """The video is not made of what is left."""

    def sweep(done: int, total: int | None) -> None:
        if done > 40:
            (video.with_name("video.mp4.parts") / "000001.part").unlink(missing_ok=True)

    with pytest.raises(rayanim.RayanimError, match=r"parts of .* are missing"):
        render(Stopped(video.parent), video, progress=sweep)
    assert video.read_text() == "the video of before"


def test_a_folder_that_goes_while_drawing_is_the_error_told(video: Path) -> None:
    """And not that it cannot be counted any more."""

    def sweep(done: int, total: int | None) -> None:
        if done > 40:
            shutil.rmtree(video.with_name("video.mp4.parts"), ignore_errors=True)

    with pytest.raises(EncodeError, match="Cannot write"):
        render(Stopped(video.parent), video, progress=sweep)
    assert video.read_text() == "the video of before"


def test_the_manifest_tells_people_what_the_parts_are(video: Path) -> None:
    """It is text, and names the video."""
    stop_at(video, 45)
    found = json.loads((video.with_name("video.mp4.parts") / "manifest.json").read_text())
    assert (found["n_frames"], found["source_name"], found["seed"]) == (N_FRAMES, "Stopped", 0)
