"""The in-process path: the first frames, their cost, and an encoder in a thread."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered import FPS, Numbered, numbered_frame, read_numbers

import rayanim
from rayanim.engine import job as job_module
from rayanim.engine.job import Job
from rayanim.engine.local import SAMPLE_FRAMES, EncoderThread, InProcess
from rayanim.engine.machine import Machine
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import EncodeError, FrameError, ParametersError, ScriptError, SettingsError
from rayanim.parameters import NumberFeed, ParameterFeed
from rayanim.settings import PerformanceSettings, RenderSettings, VideoSettings
from rayanim.sources import Geometry
from rayanim.video.codecs import make_spec
from rayanim.video.spec import StreamSpec


class Source:
    """Numbered frames, and a note of every call.

    Parameters
    ----------
    n_frames
        How many there are.
    fail
        What raises: a method's name.
    size
        The size that its first frame settles.
    """

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


def spec_of(geometry: Geometry) -> StreamSpec:
    return make_spec(".mp4", VideoSettings(), geometry.size, Fraction(30))


def inside_of(source: Source, path: Path, feed: Any = None) -> InProcess:
    job = Job(
        settings=RenderSettings(engine="local"),
        source=source,
        feed=NumberFeed(source.n_frames) if feed is None else feed,
        suffix=".mp4",
        part_path=path,
        segment_store=None,  # type: ignore[arg-type] # frames are drawn, and not kept
    )
    return InProcess(job, JobEvents(JobStats(source.n_frames)))


def test_frames_are_drawn_once_in_segments(tmp_path: Path) -> None:
    """The first frame is measured, then all follow in order, until there is none."""
    source = Source()
    inside = inside_of(source, tmp_path / "part")
    sizes: list[int] = []
    numbers: list[int] = []
    while (drawn := inside.draw(6)) is not None:
        assert drawn.segment.index == len(sizes)
        assert drawn.payload.shape == (len(drawn.segment), inside.spec.frame_bytes)
        sizes.append(len(drawn.segment))
        numbers += drawn.segment.batch.numbers
    assert sizes == [1, 6, 6, 6, 1]
    assert numbers == list(range(20))
    assert source.calls == ["open", "measure", *["draw"] * 20]
    assert (inside.next_index, inside.next_frame) == (5, 20)


def test_a_sample_goes_on_until_the_cost_is_known(tmp_path: Path) -> None:
    """The first frames fill caches that no later frame fills; a short video ends before."""
    inside = inside_of(Source(SAMPLE_FRAMES - 2), tmp_path / "part")
    assert len(list(inside.sample())) == SAMPLE_FRAMES - 2
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

    class Encoder(EncoderThread):
        def put(self, payload: Any) -> None:
            seen.append(Counted.drawn)
            super().put(payload)

    monkeypatch.setattr(job_module, "EncoderThread", Encoder)
    monkeypatch.setattr(Machine, "here", lambda: Machine(cores=4, free_memory_bytes=0))
    monkeypatch.setattr(Counted, "drawn", 0)
    path = tmp_path / "video.mp4"
    rayanim.produce(Counted(30), FPS, outfile=path, transport="frames", progress=False, **options)
    # One more than the frames: the first is measured before it is drawn.
    assert seen[0] <= 3 and Counted.drawn >= 30
    assert read_numbers(path) == list(range(30))


def test_a_video_of_one_frame_has_a_sample_too(tmp_path: Path) -> None:
    """There is nothing but the first frame, and no division by it."""
    inside = inside_of(Source(1), tmp_path / "part")
    assert len(list(inside.sample())) == 1
    assert inside.draw(5) is None


@pytest.mark.parametrize(
    ("step", "kind"), [("open", ScriptError), ("measure", FrameError), ("draw", FrameError)]
)
def test_a_step_that_fails_brings_the_user_s_traceback(
    tmp_path: Path, step: str, kind: type[ScriptError]
) -> None:
    """The source that was opened is closed again."""
    source = Source(fail=step)
    with pytest.raises(kind, match=f"{step} failed") as caught:
        inside_of(source, tmp_path / "part").draw(1)
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


def encoder_of(path: Path) -> tuple[EncoderThread, JobStats]:
    stats = JobStats(None)
    return EncoderThread(spec_of(Geometry((64, 48))), path, JobEvents(stats)), stats


def test_the_thread_encodes_in_order_and_counts(tmp_path: Path) -> None:
    """What is put is in the video; the queue is bounded, and empty at the end."""
    inside = inside_of(Source(60), tmp_path / "part")
    encoder, stats = encoder_of(tmp_path / "video.mp4")
    while (drawn := inside.draw(3)) is not None:
        encoder.put(drawn.payload)
        assert encoder.queued_frames <= 3 * 3
    file_bytes = encoder.finish()
    assert read_numbers(tmp_path / "video.mp4") == list(range(60))
    assert file_bytes == (tmp_path / "video.mp4").stat().st_size
    assert (stats.frames, encoder.queued_frames) == (60, 0)
    assert stats.encode_s > 0


def test_what_the_encoder_refuses_is_told_at_the_latest_at_the_end(tmp_path: Path) -> None:
    """A payload of the wrong size is an EncodeError in the caller's thread."""
    encoder, _ = encoder_of(tmp_path / "video.mp4")
    with pytest.raises(EncodeError):
        encoder.put(np.zeros((2, 10), np.uint8))
        encoder.finish()
    encoder.abort()
    assert list(tmp_path.iterdir()) == []


def test_aborting_removes_the_file(tmp_path: Path) -> None:
    """Frames that wait are dropped."""
    inside = inside_of(Source(), tmp_path / "part")
    encoder, _ = encoder_of(tmp_path / "video.mp4")
    while (drawn := inside.draw(5)) is not None:
        encoder.put(drawn.payload)
    encoder.abort()
    assert list(tmp_path.iterdir()) == []
