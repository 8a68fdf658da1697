"""What is known of how figures are drawn reaches the report, from this process and from actors."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numbered import FPS, Numbered, NumberedAnimator, read_numbers
from samples import sampled

import rayanim
from rayanim.acts import Act, ActState, FigureRenderer, Scene
from rayanim.engine.actors import RenderActor
from rayanim.engine.draw import ChunkRenderer, RenderSetup, Timings, open_source
from rayanim.engine.packing import pack
from rayanim.engine.plan import Chunk, Segment
from rayanim.engine.stats import JobEvents, JobStats, ProgressListener
from rayanim.events import ChunkDrawn
from rayanim.figure import artists
from rayanim.figure import changes as changes_module
from rayanim.figure.canvas import IncrementalCanvas
from rayanim.figure.draw_stats import DrawStats, Note
from rayanim.parameters import Batch
from rayanim.progress.reporters import NoProgress
from rayanim.settings import RenderSettings, VideoSettings
from rayanim.sources import Source, as_source
from rayanim.video.codecs import make_spec

N_FRAMES = 24


def render(source: Any, path: Path, **options: Any) -> rayanim.Report:
    return rayanim.produce(source, FPS, outfile=path, **{"progress": False, **options})


class BlindWatch(changes_module.Watch):
    """Sees no change in images."""

    def changed(self) -> bool:
        """Never in them."""
        return not isinstance(self._roots[0], AxesImage) and super().changed()


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `BlindWatch` takes the place of, given back as it was."""
    monkeypatch.setattr(artists, "Watch", artists.Watch)
    monkeypatch.setattr(IncrementalCanvas, "_has_time", IncrementalCanvas._has_time)


def test_the_report_says_how_frames_were_drawn(tmp_path: Path) -> None:
    """All frames are accounted for, once, with the reasons of those in full."""
    report = render(NumberedAnimator(), tmp_path / "a.mp4", n_frames=N_FRAMES, workers=1,
                    param_by_frame=range(N_FRAMES))  # fmt: skip
    assert read_numbers(tmp_path / "a.mp4") == list(range(N_FRAMES))
    assert report.incremental_frames + sum(frames for _, frames in report.full_frames) == N_FRAMES
    assert ("the first frame", 1) in report.full_frames
    assert report.events == ()


def test_videos_without_figures_were_drawn_in_neither_way(tmp_path: Path) -> None:
    """Nothing is said of them."""
    report = render(Numbered(30), tmp_path / "a.mp4", workers=1)
    assert (report.incremental_frames, report.full_frames) == (0, ())


class Shade(ActState):
    level = 0.0


class Rise(Scene):
    """Brightens by steps, so that a change comes in the midst of the video."""

    duration = N_FRAMES * 1000 / FPS

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        act_state.level = float(time_ms * FPS / 1000 > 10.5)


class Hidden(FigureRenderer):
    """Changes an image, which goes unseen."""

    def setup(self) -> Figure:
        # In actors too.
        artists.Watch = BlindWatch
        IncrementalCanvas._has_time = lambda self: True
        figure = Figure(figsize=(2, 2), dpi=50)
        self.image = figure.add_axes((0, 0, 1, 1)).imshow(np.zeros((60, 60)), vmin=0, vmax=1)
        return figure

    def update(self, act_state: Shade) -> None:
        self.image.get_array().data[20:40, 20:40] = act_state.level


class HiddenAnimator(rayanim.Animator):
    """The same as an animator."""

    def setup(self) -> Figure:
        self.renderer = Hidden()
        return self.renderer.setup()

    def update(self, frame_idx: int, params: Any) -> None:
        shade = Shade()
        shade.level = float(frame_idx > 10)
        self.renderer.update(shade)


def act() -> Act:
    return Act(Shade(), Hidden(), [Rise()])


def source_of(thing: Any) -> Source:
    return as_source(thing, RenderSettings(fps=Fraction(FPS), dpi=None))


def renderer_of(source: Source, *, in_full: bool = False) -> ChunkRenderer:
    open_source(source, 0, None)
    size = source.measure(0, None).size
    spec = make_spec(".mp4", VideoSettings(), size, Fraction(FPS))
    # Every frame may be compared; the canvas sees to the time that it takes.
    return ChunkRenderer(source, spec, RenderSettings(audit=1), in_full=in_full)


def chunk(start: int, stop: int) -> Chunk:
    return Chunk(start, start, stop, Batch(range(start, stop), None))


@pytest.mark.parametrize("make", [act, HiddenAnimator])
def test_a_difference_makes_the_rest_be_drawn_in_full(make: Any, restored: None) -> None:
    """In acts as in animators: from the frame on, the pixels are those of full draws."""
    in_parts = renderer_of(source_of(make()))
    in_full = renderer_of(source_of(make()), in_full=True)
    notes: list[Note] = []
    found_at = None
    for start in range(0, N_FRAMES, 6):
        payload, timings = in_parts.render(chunk(start, start + 6))
        expected, _ = in_full.render(chunk(start, start + 6))
        notes += timings.draws.notes
        found_at = start if found_at is None and notes else found_at
        assert found_at in (None, start) or np.array_equal(payload, expected)
        assert found_at is None or np.array_equal(payload[-1], expected[-1])
        assert timings.draws.frames == 6
    assert found_at is not None
    assert [note.key for note in notes] == ["difference"]
    assert timings.draws.in_full == {"a difference was found": timings.draws.frames}
    assert in_parts.difference == notes[0].text


@pytest.mark.parametrize("engine", sampled(["local", "ray"], ["local"]))
def test_after_a_difference_all_frames_are_drawn_again(
    engine: str, restored: None, on_ray: Any, tmp_path: Path
) -> None:
    """The segments finished before it, too: the video is that of full draws, and it is reported."""
    options = {"crf": 0, "workers": 1, "segment_frames": 6, "audit": 1}
    right = render(act(), tmp_path / "full.mp4", drawing="full", engine="local", **options)
    report = render(act(), tmp_path / "a.mp4", engine=engine, **options)
    assert report.frames == N_FRAMES
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "full.mp4").read_bytes()
    found = [event for event in report.events if "other pixels" in event]
    assert len(found) == 1
    assert found[0].endswith("All frames are drawn again, in full.")
    assert report.incremental_frames == right.incremental_frames == 0
    assert not (tmp_path / "a.mp4.parts").exists()


def test_parameters_that_come_once_are_kept_for_that(restored: None, tmp_path: Path) -> None:
    """A generator has given those of the frames before, and cannot be asked again."""
    options = {"crf": 0, "workers": 1, "audit": 1}
    render(HiddenAnimator(), tmp_path / "full.mp4", param_by_frame=range(N_FRAMES),
           drawing="full", **options)  # fmt: skip
    report = render(HiddenAnimator(), tmp_path / "a.mp4", param_by_frame=iter(range(N_FRAMES)),
                    **options)  # fmt: skip
    assert report.frames == N_FRAMES
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "full.mp4").read_bytes()
    assert [each for each in report.events if "All frames are drawn again" in each]


def setup_of(source: Source, **changes: Any) -> RenderSetup:
    open_source(source, 0, None)
    geometry = source.measure(0, 0)
    source.close()
    spec = make_spec(".mp4", VideoSettings(), geometry.size, Fraction(FPS))
    return RenderSetup(
        settings=RenderSettings(audit=0),
        geometry=geometry,
        spec=spec,
        first=Batch((0,), (0,)),
        **changes,
    )


def test_an_actor_draws_in_full_what_others_could_not_draw_in_parts() -> None:
    """It learns so when it is made."""
    source = source_of(NumberedAnimator())
    actor = RenderActor(pack(source), setup_of(source, in_full=True))
    assert actor.open() is None
    meta, _ = actor.render(Chunk(0, 0, 10, Batch(range(10), range(10))))
    assert meta.timings is not None
    assert meta.timings.draws.in_full == {"a difference was found": 10}
    actor.close()
    plt.close("all")


class Shown(NoProgress):
    """Keeps the messages that it is to show."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_notes_with_one_key_are_shown_once() -> None:
    """The first one's text is the event, and what people read."""
    shown, stats = Shown(), JobStats(None)
    events = JobEvents(stats, ProgressListener(stats, shown))
    for text in ("44 lines", "45 lines"):
        notes = (Note("pile-up", text), Note("difference", "Frame 3"))
        events.emit(
            ChunkDrawn.timed(
                Segment(0, 0, 1), Timings(0.1, 0.1, 1, draws=DrawStats(notes=notes)), actor=None
            )
        )
    events.notice_once("44 lines")
    events.notice_once("44 lines")
    assert stats.events == shown.messages == ["44 lines", "Frame 3", "44 lines"]
