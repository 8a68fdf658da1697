"""The in-process path: the first frames, what they cost, and what of them waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered import FPS, Numbered, numbered_frame, read_numbers

import rayanim
from rayanim.engine import choose
from rayanim.engine.cached import CachedSegments
from rayanim.engine.job import Job
from rayanim.engine.local import (
    SAMPLE_FRAMES,
    STEP_BYTES,
    STEP_FRAMES,
    STEP_S,
    Encoders,
    FrameCost,
    InProcess,
)
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import FrameError, ParametersError, ScriptError, SettingsError
from rayanim.parameters import NumberFeed, ParameterFeed
from rayanim.settings import PerformanceSettings, RenderSettings
from rayanim.sources import Geometry


class Source:
    """Numbered frames, and a note of every call; the method that `fail` names raises."""

    name = "Source"
    difference = None

    def __init__(
        self, n_frames: int = 20, fail: str = "", size: tuple[int, int] = (64, 48)
    ) -> None:
        self.n_frames = n_frames
        self.size = size
        self.stays = None
        self.fail = fail
        self.calls: list[Any] = []

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.fail == call:
            raise ZeroDivisionError(f"{call} failed")

    def open(self, geometry: Geometry | None) -> None:
        self._note("open")

    def measure(self, index: int, params: Any) -> Geometry:
        self._note("measure")
        return Geometry(self.size)

    def draw(self, index: int, params: Any) -> np.ndarray[Any, Any]:
        self._note("draw")
        return np.asarray(numbered_frame(index))

    def close(self) -> None:
        self._note("close")


def inside_of(source: Source, path: Path, feed: Any = None) -> InProcess:
    job = Job(
        settings=RenderSettings(engine="local", cache=False),
        source=source,
        feed=NumberFeed(source.n_frames) if feed is None else feed,
        suffix=".mp4",
        part_path=path,
        segment_store=None,  # type: ignore[arg-type] # frames are drawn, and not kept
    )
    return InProcess(job, JobEvents(JobStats(source.n_frames)), CachedSegments(job))


def first(inside: InProcess) -> Chunk:
    chunk = inside.take(SegmentPlan(inside.feed))
    assert chunk is not None
    return chunk


def test_frames_are_drawn_once_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frame is drawn alone; then all follow in order, as many as a step takes."""
    source = Source()
    inside = inside_of(source, tmp_path / "part")
    monkeypatch.setattr(inside, "frames_per_step", lambda: 6)
    plan = SegmentPlan(inside.feed, 10)
    drawn: list[tuple[int, int]] = []
    while (chunk := inside.take(plan)) is not None:
        assert inside.draw(chunk).shape == (len(chunk), inside.spec.frame_bytes)
        drawn.append((chunk.start, chunk.stop))
    assert drawn == [(0, 1), (1, 7), (7, 10), (10, 16), (16, 20)]
    assert source.calls == ["open", "measure", *["draw"] * 20]


def test_the_first_frame_is_drawn_before_the_plan_is_made(tmp_path: Path) -> None:
    """It names the video, and is still to come."""
    inside = inside_of(Source(3), tmp_path / "part")
    inside.draw_first()
    assert inside.first_mark.digest
    opening = inside.held(0)
    assert np.array_equal(opening, inside.draw(first(inside))[0])


def test_a_step_is_short_whatever_a_frame_costs(tmp_path: Path) -> None:
    """Single frames until the cost is known; then bounded in time, in bytes and in number."""
    inside = inside_of(Source(), tmp_path / "part")
    assert inside.frames_per_step() == 1
    for cost_s, expected in ((1.0, 1), (STEP_S / 8, 8), (0.0, STEP_FRAMES)):
        inside.cost = FrameCost(cost_s)
        assert inside.frames_per_step() == expected
    large = inside_of(Source(size=(1920, 1080)), tmp_path / "part")
    large.cost = FrameCost(0.0)
    assert large.frames_per_step() == STEP_BYTES // large.spec.frame_bytes == 5


def test_a_short_video_ends_before_its_cost_is_known(tmp_path: Path) -> None:
    """The first frames fill caches that no later frame fills."""
    inside = inside_of(Source(SAMPLE_FRAMES - 2), tmp_path / "part")
    plan = SegmentPlan(inside.feed)
    while (chunk := inside.take(plan)) is not None:
        assert len(inside.draw(chunk)) == 1
    assert not inside.cost.is_known


class Counted(Numbered):
    """Counts the frames that were drawn."""

    drawn = 0

    def generate_at(self, time_ms: float) -> np.ndarray[Any, Any]:
        Counted.drawn += 1
        frame: np.ndarray[Any, Any] = super().generate_at(time_ms)
        return frame


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "local"},
        {"workers": 1},
        {"workers": 4, "settings": PerformanceSettings(in_flight_bytes=1)},
    ],
)
def test_raw_frames_are_not_held_where_nothing_is_to_be_found_out_or_no_room_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """The encoder gets the first one before the cost of a frame is known."""
    seen: list[int] = []

    add = Encoders.add

    def noted(self: Encoders, *arguments: Any) -> None:
        seen.append(Counted.drawn)
        add(self, *arguments)

    monkeypatch.setattr(Encoders, "add", noted)
    monkeypatch.setattr(choose, "free_memory_bytes", lambda: 0)
    monkeypatch.setattr(Counted, "drawn", 0)
    path = tmp_path / "video.mp4"
    rayanim.produce(Counted(30), FPS, outfile=path, transport="frames", progress=False, **options)
    # One more than the frames: the first is measured before it is drawn.
    assert seen[0] <= 3 and Counted.drawn >= 30
    assert read_numbers(path) == list(range(30))


@pytest.mark.parametrize(
    ("step", "kind"), [("open", ScriptError), ("measure", FrameError), ("draw", FrameError)]
)
def test_a_step_that_fails_brings_the_user_s_traceback(
    tmp_path: Path, step: str, kind: type[ScriptError]
) -> None:
    """The source that was opened is closed again."""
    source = Source(fail=step)
    with pytest.raises(kind, match=f"{step} failed") as caught:
        inside_of(source, tmp_path / "part").draw_first()
    assert "_note" in (caught.value.traceback_text or "")
    assert ("close" in source.calls) == (step == "measure")


def test_a_size_that_no_codec_takes_closes_the_source(tmp_path: Path) -> None:
    """What is found out after the source was opened does not leave it open."""
    source = Source(size=(20_000, 10))
    with pytest.raises(SettingsError, match="encodes frames up to"):
        inside_of(source, tmp_path / "part")
    assert source.calls == ["open", "measure", "close"]


def test_no_frames_are_an_error_before_the_source_is_opened(tmp_path: Path) -> None:
    """Nothing to render is an error of its own."""
    source = Source()
    with pytest.raises(ParametersError, match="no frames"):
        inside_of(source, tmp_path / "part", ParameterFeed([]))
    assert source.calls == []


def test_a_source_is_closed_once(tmp_path: Path) -> None:
    """However often it is asked for."""
    source = Source()
    inside = inside_of(source, tmp_path / "part")
    inside.close()
    inside.close()
    assert source.calls.count("close") == 1


def test_a_failure_while_abandoning_hides_no_other(tmp_path: Path) -> None:
    """`close` raises what finish() raised, `abandon` leaves the first error to be raised."""
    inside_of(Source(fail="close"), tmp_path / "part").abandon()
    with pytest.raises(ScriptError, match="closing it raised ZeroDivisionError: close failed"):
        inside_of(Source(fail="close"), tmp_path / "part").close()
