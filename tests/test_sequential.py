"""Animations that depend on the frames before: on actors, too, the video of a serial run."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numbered import FPS, in_actor
from samples import sampled

import rayanim
from rayanim.cli import main
from rayanim.engine.draw import OrderTest, measure_source, open_source
from rayanim.engine.job import VideoJob
from rayanim.randomness import seed_for
from rayanim.settings import RenderSettings
from rayanim.sources import SequentialSource, as_source

N_FRAMES = 40


class Walk(rayanim.Animator):
    """A random walk that appends to its line, in a list made before `setup`."""

    def __init__(self, scratch: Path | None = None) -> None:
        self.heights = [0.0]
        self.scratch = scratch

    def setup(self) -> Any:
        fig, ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        ax.set_xlim(0, N_FRAMES)
        ax.set_ylim(-8, 8)
        (self.line,) = ax.plot([], [])
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        step = random.gauss() if params is None else params
        self.heights.append(self.heights[-1] + step + 0.1 * np.random.rand())
        self.line.set_data(range(len(self.heights)), self.heights)


class SlowWalk(Walk):
    """Its updates cost more than drawing does: to run them all in each actor costs much."""

    def update(self, frame_idx: int, params: Any) -> None:
        time.sleep(0.03)
        super().update(frame_idx, params)


class MortalWalk(Walk):
    """Ends its actor, or raises in the caller's process, once, at frame 30."""

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        if frame_idx != 30 or self.scratch is None or (self.scratch / "died").exists():
            return
        (self.scratch / "died").touch()
        if in_actor():
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("not today")


class Replaced(rayanim.Animator):
    """Bars that are replaced every third frame, the limits left to matplotlib."""

    def setup(self) -> Any:
        fig, self.ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        self.bars: Any = None
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        if frame_idx % 3 == 0:
            if self.bars is not None:
                self.bars.remove()
            self.bars = self.ax.bar([1, 2, 3], [frame_idx + 1, 2, random.random()])
        if frame_idx % 5 == 4:
            self.bars[1].set_height(frame_idx)


class Filled(Walk):
    """A line that is filled in by frame number: drawn again, a frame looks the same."""

    def __init__(self) -> None:
        super().__init__()
        self.heights = [0.0] * N_FRAMES

    def update(self, frame_idx: int, params: Any) -> None:
        time.sleep(0.03)
        self.heights[frame_idx] = 0.1 * frame_idx
        self.line.set_data(range(frame_idx + 1), self.heights[: frame_idx + 1])


STATEFUL: dict[str, Callable[[], Any]] = {"walk": Walk, "replaced": Replaced, "filled": Filled}


def render(thing: Any, path: Path, **options: Any) -> rayanim.Report:
    options = {"n_frames": N_FRAMES, "progress": False, **options}
    if "param_by_frame" in options:
        del options["n_frames"]
    return rayanim.produce(thing, FPS, outfile=path, **options)


def serial(thing: Any, folder: Path, **options: Any) -> bytes:
    """The video that one process draws in order."""
    path = folder / "serial.mp4"
    render(thing, path, **options, engine="local", workers=1)
    return path.read_bytes()


@pytest.mark.slow
def test_one_encoder_and_three_actors_give_the_serial_video(on_ray: Any, tmp_path: Path) -> None:
    """Equal to the bit."""
    expected = serial(Replaced(), tmp_path, transport="frames")
    path = tmp_path / "video.mp4"
    report = render(Replaced(), path, engine="ray", workers=3, transport="frames", sequential=True)
    assert (report.engine, report.frames) == ("ray", N_FRAMES)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("name", sampled(STATEFUL, ["walk"]))
def test_in_process_sequential_changes_nothing(tmp_path: Path, name: str) -> None:
    """There the frames are drawn in order anyway."""
    expected = serial(STATEFUL[name](), tmp_path)
    assert serial(STATEFUL[name](), tmp_path, sequential=True) == expected


class SequentialWalk(Walk):
    sequential = True


@pytest.mark.slow
def test_the_attribute_says_it_too(on_ray: Any, tmp_path: Path) -> None:
    """`sequential = True` on an Animator does what the argument does."""
    render(SequentialWalk(), tmp_path / "video.mp4", engine="ray", workers=2)
    assert (tmp_path / "video.mp4").read_bytes() == serial(Walk(), tmp_path)


def test_the_flag_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line chosen frames have the state of all before them."""
    script = tmp_path / "script.py"
    script.write_text("from test_sequential import Walk\nclass Video(Walk):\n    n_frames = 20\n")
    monkeypatch.chdir(tmp_path)
    options = ["--sequential", "--frames", "10-19", "-o", "video.mp4", "--quiet"]
    assert main(["run", str(script), *options], standalone_mode=False) == 0
    expected = serial(Walk(), tmp_path, n_frames=20, frames="10-19", sequential=True)
    assert (tmp_path / "video.mp4").read_bytes() == expected
    without = serial(Walk(), tmp_path, n_frames=20, frames="10-19", independent=True)
    assert without != expected


def lossless_frames(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


@pytest.mark.slow
def test_chosen_frames_are_those_of_the_whole_video(on_ray: Any, tmp_path: Path) -> None:
    """The updates of frames that were left out run, too."""
    serial(Walk(), tmp_path, crf=0)
    every = lossless_frames(tmp_path / "serial.mp4")
    chosen = tmp_path / "chosen.mp4"
    numbers = list(range(2, N_FRAMES, 3))
    for engine in ("local", "ray"):
        render(Walk(), chosen, frames="2-39x3", crf=0, engine=engine, workers=2)
        assert lossless_frames(chosen) == [every[number] for number in numbers]


STEPS = [((7 * number) % 5 - 2) / 2 for number in range(N_FRAMES)]


@pytest.mark.slow
def test_parameters_of_a_generator_reach_the_skipped_updates(on_ray: Any, tmp_path: Path) -> None:
    """Those of frames that another actor draws."""
    expected = serial(Walk(), tmp_path, param_by_frame=STEPS)
    path, parameters = tmp_path / "video.mp4", (step for step in STEPS)
    render(Walk(), path, param_by_frame=parameters, engine="ray", workers=2, sequential=True)
    assert path.read_bytes() == expected


@pytest.mark.slow
def test_a_killed_actor_leaves_no_trace_in_the_state(on_ray: Any, tmp_path: Path) -> None:
    """Another one begins anew, and its state is that of a serial run."""
    expected = serial(Walk(), tmp_path)
    path = tmp_path / "video.mp4"
    report = render(MortalWalk(tmp_path), path, engine="ray", workers=2, sequential=True)
    assert any("died while drawing" in event for event in report.events)
    assert path.read_bytes() == expected


def test_a_resumed_video_is_the_serial_one(tmp_path: Path) -> None:
    """What an earlier job finished is not drawn again, its updates are run."""
    path = tmp_path / "video.mp4"
    options: dict[str, Any] = {"engine": "local", "segment_frames": 8}
    expected = serial(Walk(), tmp_path, segment_frames=8)
    with pytest.raises(rayanim.FrameError, match="not today"):
        render(MortalWalk(tmp_path), path, **options)
    report = render(MortalWalk(tmp_path), path, resume=True, **options)
    assert report.resumed_frames > 0
    assert path.read_bytes() == expected


@pytest.mark.parametrize("name", sampled(["walk", "filled", "slow walk"], ["walk"]))
def test_it_need_not_be_said(on_ray: Any, tmp_path: Path, name: str) -> None:
    """Where the frames are drawn decides neither whether the job succeeds nor what it shows."""
    path = tmp_path / "video.mp4"
    thing = SlowWalk() if name == "slow walk" else STATEFUL[name]()
    report = render(thing, path, engine="ray", workers=2)
    assert report.engine == "ray" and not any("again" in each for each in report.events)
    assert path.read_bytes() == serial(STATEFUL.get(name, Walk)(), tmp_path)


def test_parameters_that_come_once_keep_a_video_with_history_here(
    on_ray: Any, tmp_path: Path
) -> None:
    """A generator of parameters cannot be asked for those that were skipped."""
    steps = [0.1 * number for number in range(N_FRAMES)]
    path = tmp_path / "video.mp4"
    report = render(Walk(), path, param_by_frame=iter(steps), engine="ray", workers=2)
    assert report.engine == "local" and "that they skip" in report.engine_reason
    assert path.read_bytes() == serial(Walk(), tmp_path, param_by_frame=steps)


@pytest.fixture
def unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frames do not show that the later ones depend on those before."""
    monkeypatch.setattr(OrderTest, "order_matters", lambda *_: False)
    monkeypatch.setattr(VideoJob, "_replay_is_cheap", lambda _: False)


@pytest.mark.slow
def test_what_is_found_later_has_the_video_drawn_again(
    on_ray: Any, tmp_path: Path, unnoticed: None
) -> None:
    """It is said once, and no option is needed."""
    path = tmp_path / "video.mp4"
    report = render(SlowWalk(), path, engine="ray", workers=2)
    notices = [each for each in report.events if "All frames are drawn again" in each]
    assert len(notices) == 1 and "as with --sequential" in notices[0]
    assert path.read_bytes() == serial(Walk(), tmp_path)


class Costly(rayanim.Animator):
    """Updates that cost much, and depend on their number alone."""

    def setup(self) -> Any:
        fig, ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        ax.set_xlim(0, N_FRAMES)
        self.drawn = 0
        (self.line,) = ax.plot([0, N_FRAMES], [0, 1])
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        time.sleep(0.05)
        self.drawn += 1
        self.line.set_data([0, frame_idx], [0, 1])
        if in_actor():
            (Path(self.folder) / f"{os.getpid()}-{self.drawn}").touch()


@pytest.mark.slow
def test_costly_updates_that_need_no_others_are_not_run_in_vain(
    on_ray: Any, tmp_path: Path
) -> None:
    """Actors jump to their frames: nobody's update runs in two of them, but for the first."""
    thing = Costly()
    thing.folder = str(tmp_path / "updates")
    (tmp_path / "updates").mkdir()
    render(thing, tmp_path / "video.mp4", engine="ray", workers=2)
    updates = len(list((tmp_path / "updates").iterdir()))
    assert updates <= N_FRAMES + 2
    assert (tmp_path / "video.mp4").read_bytes() == serial(Costly(), tmp_path)


class Constrained(rayanim.Animator):
    """Labels that change their width, in a figure whose layout gives way to them."""

    layout: Any = "constrained"

    def setup(self) -> Any:
        fig, self.ax = plt.subplots(figsize=(1.6, 1.2), dpi=50, layout=self.layout)
        (self.line,) = self.ax.plot([0, 1], [0, 1])
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata([0, 10 ** (frame_idx % 4)])
        self.ax.set_ylim(0, 10 ** (frame_idx % 4))
        self.ax.set_title(f"{frame_idx}")


class Tight(Constrained):
    layout = None

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.ax.figure.tight_layout()


class Autoscaled(Constrained):
    """Limits that follow the data."""

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata([0, frame_idx * 3.7])
        self.ax.relim()
        self.ax.autoscale_view()


def source_of(thing: Any, drawing: Any = "auto") -> Any:
    return as_source(
        thing, RenderSettings(fps=Fraction(FPS), dpi=None, n_frames=N_FRAMES, drawing=drawing)
    )


class Collector:
    """A source that notes its calls."""

    name, n_frames, stays = "Collector", None, None

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.state: list[int] = []
        self.lock = threading.Lock()
        self.module = np

    def open(self, geometry: Any) -> None:
        self.state.append(-1)

    def measure(self, index: int, params: Any) -> Any:
        return None

    def draw(self, index: int, params: Any) -> Any:
        self.state.append(index)
        return list(self.state)

    def advance(self, index: int, params: Any) -> None:
        self.state.append(index)

    def close(self) -> None:
        pass


def test_a_source_that_cannot_be_copied_whole_begins_anew_all_the_same() -> None:
    """A lock or a module among its attributes is shared; what it appends to is not."""
    source = SequentialSource(Collector(), 0, None)
    source.open(None)
    assert source.draw(3, None) == [-1, 0, 1, 2, 3]
    assert source.draw(1, None) == [-1, 0, 1]
    assert source.draw(1, None) == [-1, 0, 1]
    assert source.draw(2, None) == [-1, 0, 1, 2]


def figures_without_end(number: int) -> Any:
    return plt.figure(figsize=(0.64, 0.48), dpi=100)


def test_skipped_figures_are_let_go() -> None:
    """A function that makes a figure for every frame leaves one at most behind."""
    source = SequentialSource(source_of(figures_without_end), 0, None)
    source.open(None)
    source.draw(30, None)
    assert len(plt.get_fignums()) <= 1


class Removed(rayanim.Animator):
    """Bars that come and go, limits that matplotlib finds when it draws, and a layout."""

    def setup(self) -> Any:
        fig, self.ax = plt.subplots(figsize=(1.6, 1.2), dpi=50, layout="constrained")
        self.bars: list[Any] = []
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        if frame_idx % 4 == 1:
            self.bars.append(self.ax.bar([frame_idx], [10.0**frame_idx]))
        if frame_idx % 4 == 3:
            self.bars.pop(0).remove()
        if frame_idx % 7 == 0:
            self.ax.margins(0.01 * frame_idx)
        self.ax.set_ylabel("y" * (frame_idx % 5))


class Growing(Constrained):
    """Labels that follow from the state and not from the frame's number."""

    def setup(self) -> Any:
        self.count = 0
        return super().setup()

    def update(self, frame_idx: int, params: Any) -> None:
        self.count += 1 + frame_idx % 2
        super().update(self.count, params)


class Equal(Constrained):
    """One unit as long on both axes: drawing widens the limits that the script has set."""

    layout = None

    def setup(self) -> Any:
        fig = super().setup()
        self.ax.set_aspect("equal", adjustable="datalim")
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        if frame_idx % 3 == 0:
            self.ax.set_xlim(0, 1 + frame_idx % 7)
        if frame_idx % 5 == 0:
            self.ax.set_ylim(0, 1 + frame_idx % 4)


SKIPPED: dict[str, Callable[[], Any]] = {
    **STATEFUL,
    "removed": Removed,
    "equal": Equal,
    "growing": Growing,
    "tight": Tight,
    "autoscaled": Autoscaled,
}


@pytest.mark.parametrize(
    ("name", "drawing"),
    sampled(
        [*((name, "auto") for name in SKIPPED), ("replaced", "full"), ("tight", "full")],
        [
            *((name, "auto") for name in ("walk", "replaced", "tight", "equal")),
            ("replaced", "full"),
        ],
    ),
)
def test_skipped_draws_leave_no_trace(name: str, drawing: Any) -> None:
    """What matplotlib settles only when it draws, limits and layouts, is as if all were drawn."""

    def opened(geometry: Any = None) -> SequentialSource:
        source = SequentialSource(source_of(SKIPPED[name](), drawing), 0, None)
        open_source(source, 0, geometry)
        return source

    first = opened()
    geometry = measure_source(first, 0, 0, None)
    every = [draw(first, number) for number in range(18)]
    first.close()
    for numbers in ((5, 6, 13), (17,), (12, 4, 9)):
        source = opened(geometry)
        for number in numbers:
            assert np.array_equal(draw(source, number), every[number]), number
        source.close()


def draw(source: SequentialSource, number: int) -> Any:
    seed_for(0, number)
    return source.draw(number, None).copy()


class Lengths(rayanim.Animator):
    """A line through as many points as its parameters, which is one list that grows."""

    def setup(self) -> Any:
        fig, ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        (self.line,) = ax.plot([], [])
        ax.set(xlim=(0, 60), ylim=(0, 1))
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        values, places = params["values"], params["places"]
        self.line.set_data(places[: len(values)], values)


def one_that_grows(n_frames: int = 60) -> Iterator[dict[str, Any]]:
    """The same dict, list and array again and again."""
    params: dict[str, Any] = {"values": [], "places": np.zeros(n_frames)}
    for number in range(n_frames):
        params["places"][number] = number
        params["values"].append(number % 7 / 7)
        yield params


@pytest.mark.parametrize(
    ("engine", "options"),
    sampled(
        [("local", {}), ("local", {"frames": "0-59"}), ("ray", {}), ("ray", {"segment_frames": 8})],
        [("local", {}), ("local", {"frames": "0-59"})],
    ),
)
def test_parameters_that_a_generator_goes_on_changing(
    engine: str, options: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each frame is drawn with what they were when they came."""
    if engine == "ray":
        request.getfixturevalue("on_ray")
        options = {"workers": 2, **options}
    animator = Lengths()
    figure, expected = animator.setup(), []
    for number, params in enumerate(one_that_grows()):
        animator.update(number, params)
        figure.canvas.draw()
        expected.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    made = tmp_path / "a.mkv"
    rayanim.produce(Lengths(), 30, outfile=made, param_by_frame=one_that_grows(), codec="ffv1",
                    progress=False, engine=engine, **options)  # fmt: skip
    with av.open(made) as container:
        frames = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]
    assert len(frames) == 60
    assert [n for n in range(60) if not np.array_equal(frames[n], expected[n])] == []
