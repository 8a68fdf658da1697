"""One SHA-256 for a video, whoever draws it, how often, and whatever goes wrong meanwhile."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered import FPS, Numbered, NumberedAnimator, in_actor, numbered_frame, read_numbers
from samples import sampled

import rayanim
from rayanim.engine.chunks import ChunkSizes
from rayanim.engine.job import Handover
from rayanim.engine.plan import SegmentPlan
from rayanim.errors import EncodeError, FrameError

N_FRAMES = 48

SEGMENT = 8
"""Frames of a segment: many short ones, so that each way to draw them comes up."""

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

    Frame `slow` takes long in the first actor that draws it, and frame `stop` raises, once.
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
    options = {"progress": False, "segment_frames": SEGMENT, **options}
    return rayanim.produce(thing, FPS, outfile=path, **options)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SHA-256 of each video as one process draws it."""
    folder = tmp_path_factory.mktemp("expected")
    for name, options in FORMATS.items():
        render(Random(), folder / name, engine="local", **options)
    return {name: sha(folder / name) for name in FORMATS}


LENGTHS: dict[str, Callable[[ChunkSizes, SegmentPlan], int | None]] = {
    "chunks": lambda sizes, plan: 3,
    "segments": lambda sizes, plan: None if plan.is_between else 3,
}


@pytest.fixture
def drawn_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Actors draw chunks for the driver's encoders, or encode whole segments."""
    monkeypatch.setattr(ChunkSizes, "next_length", LENGTHS[request.param])
    return str(request.param)


both_ways = pytest.mark.parametrize("drawn_in", sampled(LENGTHS, ["chunks"]), indirect=True)


@pytest.mark.parametrize("name", sampled(FORMATS, ["video.mp4"]))
def test_actors_make_the_video_of_one_process(
    on_ray: Any, tmp_path: Path, expected: dict[str, str], name: str
) -> None:
    """In every container and codec; one actor draws."""
    report = render(Random(), tmp_path / name, engine="ray", workers=1, **FORMATS[name])
    assert (report.engine, report.transport, report.frames) == ("ray", "segments", N_FRAMES)
    assert sha(tmp_path / name) == expected[name]


@both_ways
def test_two_actors_make_the_same_video(
    on_ray: Any, tmp_path: Path, expected: dict[str, str], drawn_in: str
) -> None:
    """In chunks and in whole segments."""
    render(Random(), tmp_path / "video.mp4", engine="ray", workers=2)
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


@both_ways
def test_killed_actors(
    on_ray: Any, tmp_path: Path, expected: dict[str, str], drawn_in: str
) -> None:
    """What they had drawn is drawn again, with the same random numbers."""
    source = Random(scratch=tmp_path, kill=(20,))
    report = render(source, tmp_path / "video.mp4", engine="ray", workers=2)
    assert sum("drawn again" in event for event in report.events) == 1
    assert sha(tmp_path / "video.mp4") == expected["video.mp4"]


@pytest.mark.slow
def test_stragglers_are_drawn_by_another_too(
    on_ray: Any, tmp_path: Path, expected: dict[str, str]
) -> None:
    """An actor that sleeps for ever does not keep the video, and nothing is in it twice."""
    source = Random(scratch=tmp_path, slow=20)
    report = render(source, tmp_path / "video.mp4", engine="ray", workers=2)
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


@pytest.mark.slow
def test_a_resumed_video_on_ray(on_ray: Any, tmp_path: Path, expected: dict[str, str]) -> None:
    """Segments that are missing anywhere are drawn, and no others."""
    missing = (0, 2, 5)
    video = tmp_path / "video.mp4"
    render(Random(), video, engine="local", keep_parts=True)
    for index in missing:
        (tmp_path / "video.mp4.parts" / f"00000{index}.part").unlink()
    report = render(Random(), video, resume=True, engine="ray", workers=2)
    assert report.resumed_frames == N_FRAMES - SEGMENT * len(missing)
    assert (report.frames, sha(video)) == (N_FRAMES, expected["video.mp4"])


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has actors go on after so many frames."""

    def after(frames: int) -> None:
        is_due = Handover.is_due

        def is_due_then(self: Handover, drawn_frames: int) -> bool:
            return drawn_frames >= frames and is_due(self, drawn_frames)

        monkeypatch.setattr(Handover, "is_due", is_due_then)

    return after


@pytest.mark.parametrize(
    ("drawn_in", "after"),
    sampled([("chunks", 13), ("segments", 13), ("segments", 48)], [("segments", 48)]),
    indirect=["drawn_in"],
)
def test_actors_go_on_anywhere(
    on_ray: Any,
    tmp_path: Path,
    expected: dict[str, str],
    drawn_in: str,
    handed_over: Callable[[int], None],
    after: int,
) -> None:
    """In the midst of a segment, or when nothing is left; the count never passes the video's."""
    handed_over(after)
    told: list[int] = []
    report = render(
        Random(),
        tmp_path / "video.mp4",
        engine="ray",
        workers=2,
        progress=lambda done, total: told.append(done),
    )
    assert (report.engine, report.frames) == ("ray", N_FRAMES)
    assert told == sorted(told) and told[-1] == N_FRAMES
    assert sha(tmp_path / "video.mp4") == expected["video.mp4"]


@pytest.mark.slow
def test_one_encoder_for_all_frames_gives_one_video_too(
    on_ray: Any, tmp_path: Path, handed_over: Callable[[int], None]
) -> None:
    """Where segments cannot be joined, too, the bytes are the settings' and the source's."""
    handed_over(13)
    videos = {"local.mp4": {"engine": "local"}, "ray.mp4": {"engine": "ray", "workers": 2}}
    for name, options in videos.items():
        report = render(Random(), tmp_path / name, bitrate=200.0, **options)
        assert (report.engine, report.transport) == (options["engine"], "frames")
        assert read_numbers(tmp_path / name) == list(range(N_FRAMES))
    assert sha(tmp_path / "local.mp4") == sha(tmp_path / "ray.mp4")


@pytest.mark.parametrize(
    ("drawn_in", "count", "after"),
    sampled([("segments", 45, 1), ("chunks", 45, 45)], [("chunks", 45, 45)]),
    indirect=["drawn_in"],
)
def test_a_video_of_unknown_length(
    on_ray: Any,
    tmp_path: Path,
    drawn_in: str,
    handed_over: Callable[[int], None],
    count: int,
    after: int,
) -> None:
    """Its end comes in the midst of a segment, or turns out to be there."""
    handed_over(after)

    def parameters() -> Iterator[int]:
        yield from range(count)

    videos = {"local.mp4": {"engine": "local"}, "ray.mp4": {"engine": "ray", "workers": 2}}
    for name, options in videos.items():
        path = tmp_path / name
        report = render(NumberedAnimator(), path, param_by_frame=parameters(), **options)
        assert report.frames == count
        assert read_numbers(path) == list(range(count))
    assert sha(tmp_path / "local.mp4") == sha(tmp_path / "ray.mp4")


@pytest.mark.parametrize(
    ("drawn_in", "n_frames"),
    sampled([("chunks", 1), ("chunks", 10), ("chunks", 11), ("segments", 11)], [("chunks", 1)]),
    indirect=["drawn_in"],
)
def test_lengths_around_that_of_a_segment(
    on_ray: Any, tmp_path: Path, drawn_in: str, n_frames: int
) -> None:
    """One short, one full, or one more than that."""
    videos = {"local.mp4": {"engine": "local"}, "ray.mp4": {"engine": "ray", "workers": 2}}
    for name, options in videos.items():
        report = render(Random(n_frames), tmp_path / name, segment_frames=10, **options)
        assert (report.engine, report.frames) == (options["engine"], n_frames)
    assert sha(tmp_path / "local.mp4") == sha(tmp_path / "ray.mp4")
    with av.open(str(tmp_path / "ray.mp4")) as container:
        keys = sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    assert keys == -(-n_frames // 10)


@pytest.mark.slow
@pytest.mark.usefixtures("whole_segments")
def test_segments_that_cannot_be_written_end_a_job_on_ray(on_ray: Any, tmp_path: Path) -> None:
    """While actors draw: the error is that of the disk, and nothing waits for it."""

    def sweep(done: int, total: int | None) -> None:
        if done > 12:
            shutil.rmtree(tmp_path / "video.mp4.parts", ignore_errors=True)

    with pytest.raises(EncodeError, match="Cannot write"):
        render(
            Numbered(200, delay_s=0.005),
            tmp_path / "video.mp4",
            engine="ray",
            workers=2,
            progress=sweep,
        )
    assert not (tmp_path / "video.mp4").exists()


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
