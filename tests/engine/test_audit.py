"""Frames are drawn again and compared: a planted fault is found, and the video is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numbered import Numbered, in_actor

import rayanim
from rayanim.engine.audit import (
    FIRST_AUDITS,
    FIRST_S,
    MARKED_SHARE,
    MOST_OFFERED,
    Auditor,
    FrameMark,
    is_marked,
)
from rayanim.engine.draw import ChunkRenderer, Timings, open_source
from rayanim.engine.plan import Chunk, Segment
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import FrameError, RedrawError
from rayanim.events import ChunkDrawn
from rayanim.parameters import Batch
from rayanim.settings import RenderSettings, VideoSettings
from rayanim.sources import as_source
from rayanim.video.codecs import make_spec

SPEC = make_spec(".mp4", VideoSettings(), (32, 16), 30)  # type: ignore[arg-type]


def mark(number: int, value: int = 0) -> FrameMark:
    frame = np.zeros(SPEC.frame_bytes, np.uint8)
    # Row 3, column 5 of the first plane.
    frame[3 * 32 + 5] = value
    return FrameMark.of(number, frame, SPEC)


class Here:
    """Draws frame n as the value of `right(n)`, and as an actor as `as_actor(in_full)`."""

    def __init__(self, as_actor: Callable[[bool], int] = lambda in_full: 0) -> None:
        self.drawn: list[int] = []
        self.as_actor = as_actor

    def draw(self, number: int, params: Any) -> FrameMark:
        self.drawn.append(number)
        return mark(number)

    def draw_as_actor(self, batch: Batch, *, in_full: bool) -> FrameMark:
        return mark(batch.numbers[-1], self.as_actor(in_full))


def chunk(start: int, stop: int) -> Chunk:
    return Chunk(start // (stop - start), start, stop, Batch(range(start, stop), None))


def auditor(here: Here, *, share: float | None = None, replays: bool = True) -> Auditor:
    stats = JobStats(None)
    auditor.stats = stats  # type: ignore[attr-defined]
    return Auditor(here, JobEvents(stats), share=share, replays=replays, last=-1)


def test_the_same_frames_are_marked_in_each_process_and_each_run() -> None:
    """They follow from the seed and the number, and are spread over the video."""
    marked = [number for number in range(10_000) if is_marked(0, number, None)]
    assert marked != [number for number in range(10_000) if is_marked(1, number, None)]
    assert 0.8 * MARKED_SHARE < len(marked) / 10_000 < 1.2 * MARKED_SHARE
    assert max(np.diff(marked)) < 150
    assert all(is_marked(0, number, 1.0) for number in range(100))
    assert not any(is_marked(0, number, 0.0) for number in range(100))


def test_the_first_frame_of_actors_is_always_marked() -> None:
    """What the draws before it left behind is missing there."""
    settings = RenderSettings(fps=30, audit=1e-9)
    source = as_source(Numbered(100), settings)
    open_source(source, 0, None)
    spec = make_spec(".mp4", VideoSettings(), source.measure(0, None).size, settings.fps)
    for audit, expected in ((1e-9, [10]), (0, [])):
        changed = replace(settings, audit=audit)
        renderer = ChunkRenderer(source, spec, changed, is_audited=True, begun=10)
        marked = []
        for start in (8, 10, 12):
            renderer.render(chunk(start, start + 2))
            marked += [each.number for each in renderer.marks]
        assert marked == expected


def test_the_first_are_audited_and_then_as_many_as_there_is_time_for() -> None:
    here = Here()
    audits = auditor(here)
    audits._spent_s = FIRST_S
    for start in range(0, 100, 5):
        audits.offer(chunk(start, start + 5), [mark(start + 2)])
        audits.step()
    assert here.drawn == [5 * each + 2 for each in range(FIRST_AUDITS)]
    audits._events.emit(ChunkDrawn.timed(Segment(0, 0, 100), Timings(1e6, 0.0, 100), actor=None))
    before = len(here.drawn)
    while len(here.drawn) > before or before == FIRST_AUDITS:
        before = len(here.drawn)
        audits.step()
    assert len(here.drawn) > FIRST_AUDITS
    assert audits._events.stats.audited_frames == len(here.drawn)


def test_with_a_share_all_that_are_marked_are_audited() -> None:
    """However many they are, and however long it takes; few wait at a time."""
    here = Here()
    audits = auditor(here, share=1.0)
    for start in range(0, 200, 10):
        audits.offer(chunk(start, start + 10), [mark(start + each) for each in range(10)])
    audits.finish()
    assert here.drawn == list(range(200))


def test_frames_are_audited_in_their_order() -> None:
    """However the chunks come: the updates between them run once."""
    here = Here()
    audits = auditor(here)
    for start in (10, 5, 5, 0, 15):
        audits.offer(chunk(start, start + 5), [mark(start + 2)])
        audits.step()
    audits.finish()
    assert here.drawn == [2, 7, 12, 17]


def test_a_chunk_that_does_not_come_holds_no_others_for_ever() -> None:
    """Where others pile up behind it, it is left out, and they are audited."""
    here = Here()
    audits = auditor(here)
    for index in range(1, 2 * MOST_OFFERED):
        audits.offer(chunk(5 * index, 5 * index + 5), [mark(5 * index + 2)])
    assert len(audits._offered) <= MOST_OFFERED
    audits.finish()
    assert here.drawn
    audits.offer(chunk(0, 5), [mark(2)])
    audits.finish()
    assert 2 not in here.drawn


@pytest.mark.parametrize("replays", [True, False])
def test_a_frame_that_cannot_be_drawn_here_ends_no_job(replays: bool) -> None:
    """It is begun again in order, which shows whether the script is to blame."""

    class Fails(Here):
        def draw(self, number: int, params: Any) -> FrameMark:
            raise FrameError("Drawing frame 3 of Bars raised KeyError: 2.", frame=3)

    audits = auditor(Fails(), replays=replays)
    audits.offer(chunk(0, 5), [mark(3)])
    with pytest.raises(RedrawError, match="cannot be drawn in this process: Drawing") as caught:
        audits.step()
    assert (caught.value.in_sequence, caught.value.in_process) == (not replays, replays)


# What the frame looks like drawn here as an actor does, incrementally and in full, where the
# actor drew 7 and this process draws 0; and what is to be done.
CAUSES: list[tuple[dict[bool, int], set[str], str]] = [
    ({False: 7, True: 0}, {"in_full"}, "has missed a change"),
    ({False: 7, True: 7}, {"in_process"}, "depends on the frames drawn before it"),
    ({False: 7, True: 9}, {"in_process", "in_full"}, "depends on the frames drawn before it"),
    ({False: 0, True: 0}, {"in_process"}, "process is not quite this one"),
    ({False: 9, True: 0}, {"in_process", "in_full"}, "process is not quite this one"),
]


@pytest.mark.parametrize(("looks", "ways", "words"), CAUSES)
def test_the_cause_decides_what_is_safer(
    looks: dict[bool, int], ways: set[str], words: str
) -> None:
    """It is looked for by drawing the chunk here as its actor did."""
    audits = auditor(Here(looks.__getitem__))
    audits.offer(chunk(0, 5), [mark(3, 7)])
    with pytest.raises(RedrawError, match=words) as caught:
        audits.step()
    given = {name for name in ("in_full", "in_process", "in_sequence") if vars(caught.value)[name]}
    assert given == ways
    assert "Frame 3 has" in caught.value.message
    assert "in columns 5 to 5 and rows 3 to 3" in caught.value.message


def test_a_frame_that_was_jumped_to_is_drawn_after_those_before() -> None:
    audits = auditor(Here(), replays=False)
    audits.offer(chunk(0, 5), [mark(3, 7)])
    with pytest.raises(RedrawError, match="seems to depend") as caught:
        audits.step()
    assert caught.value.in_sequence


# ---- whole videos

N_FRAMES = 60


class Bars(rayanim.Animator):
    """A plot whose updates cost something, so that actors do not run them all."""

    costs_s = 0.03

    def setup(self) -> Any:
        fig, ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        ax.set_xlim(0, N_FRAMES)
        (self.line,) = ax.plot([0, N_FRAMES], [0, 1])
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        time.sleep(self.costs_s)
        self.line.set_data([0, frame_idx], [0, 1])


class Hidden(Bars):
    """Its state shows from time to time, and never among the first frames."""

    count = 0

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.count += 1
        if frame_idx > 14:
            self.line.set_linewidth(1 + self.count // 10)


class OtherFirst(Bars):
    """In actors the first frame is another one."""

    costs_s = 0.0

    def setup(self) -> Any:
        fig = super().setup()
        self.line.set_color("red" if in_actor() else "blue")
        return fig


class LateNorm(Bars):
    """Colours whose limits matplotlib finds in the first draw that has points."""

    costs_s = 0.0

    def setup(self) -> Any:
        fig = super().setup()
        self.dots = fig.axes[0].scatter([], [], c=[])
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        n = 0 if frame_idx < 15 else 40
        self.dots.set_offsets(np.linspace(0, 1, 2 * n).reshape(n, 2) * (N_FRAMES, 1))
        self.dots.set_array(np.arange(n) * (1.0 + frame_idx / 8))
        if frame_idx == 15:
            # Some versions of matplotlib have set limits by now, others do when they draw.
            self.dots.norm.vmin = self.dots.norm.vmax = None


@pytest.mark.slow
@pytest.mark.parametrize(("made", "words"), [(Hidden, ["as with --sequential"]), (LateNorm, [])])
def test_a_planted_fault_is_found_and_the_video_is_right(
    on_ray: Any, tmp_path: Path, made: Any, words: list[str]
) -> None:
    """One line says so; no option is needed, and no job ends. Actors find limits as a draw does."""
    options: dict[str, Any] = {"n_frames": N_FRAMES, "progress": False, "segment_frames": 10}
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    rayanim.produce(made(), 20, outfile=here, engine="local", **options)
    report = rayanim.produce(made(), 20, outfile=there, engine="ray", workers=2, **options)
    assert there.read_bytes() == here.read_bytes()
    notices = [each for each in report.events if "All frames are drawn again" in each]
    assert len(notices) == len(words), report.events
    assert all(word in notice for word, notice in zip(words, notices, strict=True))


@pytest.mark.slow
def test_actors_that_draw_another_first_frame_draw_nothing(on_ray: Any, tmp_path: Path) -> None:
    """What this process has drawn by then is kept, and it draws on."""
    options: dict[str, Any] = {"n_frames": N_FRAMES, "progress": False}
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    rayanim.produce(OtherFirst(), 20, outfile=here, engine="local", **options)
    report = rayanim.produce(OtherFirst(), 20, outfile=there, engine="ray", workers=2, **options)
    assert there.read_bytes() == here.read_bytes()
    assert report.engine == "local" and "render actors" in report.engine_reason
    assert any("the first one, has other pixels" in event for event in report.events)


@pytest.mark.slow
def test_no_fault_is_found_where_there_is_none(on_ray: Any, tmp_path: Path) -> None:
    """With each frame audited: what the frame before left behind is none, nor the rcParams."""
    with mpl.rc_context({"lines.linewidth": 7.0}):
        report = rayanim.produce(
            Bars(),
            20,
            outfile=tmp_path / "video.mp4",
            n_frames=24,
            engine="ray",
            workers=2,
            audit=1,
            progress=False,
        )
    assert report.audited_frames >= 24 - 14 and report.engine == "ray"
    assert not report.events
