"""Short jobs stay in process, long ones go to Ray, and staying never costs more than a tenth."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numbered import SIZE, NumberedAnimator
from PIL import Image

from rayanim.engine import choose, packing
from rayanim.engine.choose import (
    GAIN_NEEDED,
    Choice,
    Chooser,
    Costs,
    choose_engine,
    in_process,
    local_frame_seconds,
    ray_frame_seconds,
)
from rayanim.engine.job import Job
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.engine.warm import ReadyRay
from rayanim.errors import NotPicklableError
from rayanim.parameters import NumberFeed
from rayanim.settings import PerformanceSettings, RenderSettings, VideoSettings
from rayanim.sources import AnimatorSource, Source, as_source
from rayanim.video.codecs import make_spec

# ---- the model

PLOT = Costs(draw_s=0.015, encode_s=0.003, start_s=4.0, stop_s=1.0)
"""A line plot of 640x480."""

PANELS = Costs(draw_s=0.12, encode_s=0.015)
"""Five panels, one of them in 3D, at 2000x400."""

SECONDS = st.floats(0.0, 10.0)
COSTS = st.builds(
    Costs,
    draw_s=st.floats(1e-4, 5.0),
    encode_s=st.floats(1e-4, 1.0),
    transport_s=st.floats(0, 0.1),
    is_encoded_by_actors=st.booleans(),
    start_s=SECONDS,
    stop_s=SECONDS,
)


def chosen(costs: Costs, frames: int | None, actors: int, cores: int, **others: Any) -> Choice:
    return choose_engine(costs, frames, max_actors=actors, cores=cores, **others)


def test_a_short_job_stays_in_process() -> None:
    """300 frames of a simple plot are drawn when Ray has just started and stopped."""
    choice = chosen(PLOT, 300, 2, 2)
    assert (choice.engine, choice.actors) == ("local", 0)
    assert choice.reason == "the rest was expected to take 5.4 s on Ray, 4.5 s in this process"


def test_a_long_job_goes_to_ray() -> None:
    """10,000 frames of the same plot take much less time with 2 actors."""
    choice = chosen(PLOT, 10_000, 2, 2)
    assert (choice.engine, choice.actors) == ("ray", 2)
    assert choice.predicted_local_s == pytest.approx(150)
    assert choice.predicted_ray_s is not None
    assert choice.predicted_ray_s < 120
    assert choice.reason.startswith("the rest was expected to take 150.0 s in this process, 11")


def test_few_costly_frames_go_to_ray() -> None:
    """It is the time that counts, not the number of frames."""
    assert chosen(PANELS, 200, 4, 4).engine == "ray"
    assert chosen(PANELS, 20, 4, 4).engine == "local"


def test_a_running_ray_pays_sooner() -> None:
    """Where the caller's Ray is up and stays, only the actors have to start."""
    running = replace(PLOT, start_s=0.8, stop_s=0.0)
    assert chosen(PLOT, 300, 2, 2).engine == "local"
    assert chosen(running, 300, 2, 2).engine == "ray"


def test_no_frames_left_are_finished_in_process() -> None:
    """There is nothing to start Ray for."""
    choice = chosen(PLOT, 0, 8, 8)
    assert (choice.engine, choice.predicted_local_s) == ("local", 0)


@pytest.mark.parametrize("max_actors", [0, 1])
@pytest.mark.parametrize("frames", [None, 10**6])
def test_a_single_actor_is_not_worth_a_cluster(max_actors: int, frames: int | None) -> None:
    """One worker means in process, and so does memory for none."""
    choice = chosen(PLOT, frames, max_actors, 8, elapsed_s=1e6)
    assert (choice.engine, choice.actors) == ("local", 0)
    assert choice.reason == (
        f"Ray pays off with 2 or more render actors; here there can be {max_actors}"
    )


def test_one_core_stays_in_process() -> None:
    """Actors that share a core with the encoder draw no faster than one process."""
    assert chosen(PLOT, 10**6, 8, 1).engine == "local"


def test_a_slow_encoder_keeps_the_job_in_process() -> None:
    """Where encoding takes longer than drawing, actors gain nothing."""
    costs = Costs(draw_s=0.010, encode_s=0.050)
    assert local_frame_seconds(costs, 8) == pytest.approx(0.050)
    assert chosen(costs, 10**6, 8, 8).engine == "local"


def test_a_codec_that_fills_the_cores_keeps_the_job_in_process() -> None:
    """It leaves nothing for actors to gain."""
    costs = Costs(draw_s=0.050, encode_s=0.045, is_encoded_by_actors=True)
    assert chosen(costs, 10**6, 2, 2).engine == "local"


def test_costly_transport_keeps_the_job_in_process() -> None:
    """Large frames that are cheap to draw cost more to move than to make."""
    costs = Costs(draw_s=0.002, encode_s=0.002, transport_s=0.05)
    assert chosen(costs, 10**6, 2, 2).engine == "local"


def test_no_more_actors_than_the_encoder_can_use() -> None:
    """An encoder of 100 frames per second is fed by 5 actors of 20, on 64 cores too."""
    assert chosen(Costs(draw_s=0.05, encode_s=0.01), 10_000, 64, 64).actors == 5


def test_no_more_actors_than_frames() -> None:
    """Three frames of a minute are drawn by three."""
    assert chosen(Costs(draw_s=60.0, encode_s=0.01), 3, 64, 64).actors == 3


def test_a_cluster_s_cores_are_all_for_actors() -> None:
    """And this process's cores do not limit them."""
    costs = Costs(draw_s=0.1, encode_s=0.0, is_encoded_by_actors=True)
    choice = chosen(costs, 100_000, 16, 2, cluster_cores=16)
    assert (choice.engine, choice.actors) == ("ray", 16)
    assert choice.predicted_ray_s == pytest.approx(100_000 * 0.1 / 16, rel=0.05)


def test_the_rate_on_ray_is_bound_by_the_slowest_of_three() -> None:
    """Actors, encoder, cores: each binds where it is the narrowest."""
    costs = Costs(draw_s=0.1, encode_s=0.02)
    assert ray_frame_seconds(costs, 2, 64) == pytest.approx(0.05)
    assert ray_frame_seconds(costs, 32, 64) == pytest.approx(0.02)
    assert ray_frame_seconds(costs, 32, 4) == pytest.approx(0.03)


@example(Costs(draw_s=0.5, encode_s=1.0, start_s=0.0, stop_s=2.0), 6, 2, 2)
@given(COSTS, st.integers(0, 10**6), st.integers(2, 64), st.integers(1, 64))
def test_the_choice_never_costs_a_tenth(
    costs: Costs, frames: int, max_actors: int, cores: int
) -> None:
    """Whatever the costs, what is chosen is predicted within a tenth of the better one."""
    choice = chosen(costs, frames, max_actors, cores)
    local_s, ray_s = choice.predicted_local_s, choice.predicted_ray_s
    assert local_s is not None
    assert ray_s is not None
    if choice.engine == "ray":
        assert GAIN_NEEDED * ray_s < local_s
    else:
        assert local_s <= 1.1 * ray_s
    assert (choice.actors == 0) == (choice.engine == "local")
    assert choice.actors <= max_actors


@given(COSTS, st.integers(2, 64), st.integers(1, 64), st.integers(0, 10**6), st.integers(1, 10))
def test_a_job_that_is_longer_does_not_go_back_in_process(
    costs: Costs, max_actors: int, cores: int, frames: int, times: int
) -> None:
    """Once Ray repays its start, it does for all longer jobs."""
    assume(frames >= max_actors)
    if chosen(costs, frames, max_actors, cores).engine == "ray":
        assert chosen(costs, frames * times, max_actors, cores).engine == "ray"


def test_a_stream_begins_in_process_and_moves_when_ray_would_have_paid() -> None:
    """Ray's price is 5 s here, and it would save a quarter of each second."""
    early = chosen(PLOT, None, 2, 2, elapsed_s=1.0)
    late = chosen(PLOT, None, 2, 2, elapsed_s=30.0)
    assert (early.engine, late.engine, late.actors) == ("local", "ray", 2)
    assert (
        early.reason
        == late.reason
        == ("the video's length is not known: Ray pays off after 20.0 s")
    )
    assert late.predicted_ray_s is None


def test_a_stream_never_moves_where_ray_is_no_faster() -> None:
    """An endless stream on one core stays where it is."""
    choice = chosen(PLOT, None, 2, 1, elapsed_s=1e9)
    assert choice == in_process("Ray would draw no faster")


@given(COSTS, st.integers(2, 64), st.integers(1, 64), st.floats(0, 1e5))
def test_a_stream_that_ends_on_moving_took_at_most_twice_as_long(
    costs: Costs, max_actors: int, cores: int, elapsed_s: float
) -> None:
    """Ski rental: Ray's price is paid only after as much time in process."""
    if chosen(costs, None, max_actors, cores, elapsed_s=elapsed_s).engine == "ray":
        assert elapsed_s >= (costs.start_s + costs.stop_s) * 0.999


def test_frames_that_cost_nothing_are_no_division_by_zero() -> None:
    """A clock too coarse for a frame gives 0."""
    free = Costs(draw_s=0.0, encode_s=0.0)
    assert chosen(free, 100, 4, 4).engine == "local"
    assert chosen(free, None, 4, 4, elapsed_s=1e9).engine == "local"


# ---- what was asked for, what the machine has, what can be sent

SPEC = make_spec(".mp4", VideoSettings(), SIZE, Fraction(30))
SLOW = Costs(draw_s=2.0, encode_s=0.01, is_encoded_by_actors=True)
QUICK = Costs(draw_s=1e-4, encode_s=1e-4, is_encoded_by_actors=True)
MIB = 2**20


class Locked(NumberedAnimator):
    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, plenty of memory, and no Ray."""
    monkeypatch.setattr(choose, "usable_cores", lambda: 8)
    monkeypatch.setattr(choose, "free_memory_bytes", lambda: 16_000 * MIB)
    monkeypatch.setattr(choose, "ray_is_running", lambda: False)
    monkeypatch.setattr(choose, "free_ray_cpus", lambda otherwise: otherwise)
    monkeypatch.setattr(choose, "process_rss_bytes", lambda: 200 * MIB)


on_a_machine = pytest.mark.usefixtures("machine")


def chooser_of(
    animator: Any = None,
    performance: dict[str, Any] | None = None,
    source: Source | None = None,
    **settings: Any,
) -> tuple[Chooser, JobStats]:
    found = RenderSettings(performance=PerformanceSettings(**(performance or {})), **settings)
    job = Job(
        settings=found,
        source=source or AnimatorSource(animator or NumberedAnimator(), found),
        feed=NumberFeed(1000),
        suffix=".mp4",
        part_path=Path("video.part"),
        segment_store=None,  # type: ignore[arg-type] # nothing is drawn
    )
    stats = JobStats(1000)
    stats.transport = "segments"
    chooser = Chooser(job, JobEvents(stats))
    if chooser.may_use_ray:
        chooser.pack()
    return chooser, stats


@on_a_machine
def test_slow_drawing_goes_to_ray_and_quick_stays() -> None:
    """Automatic mode asks the model."""
    chooser, _ = chooser_of()
    assert chooser.choose(SLOW, 1000).engine == "ray"
    assert chooser.choose(QUICK, 1000).engine == "local"


@on_a_machine
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": "local"}, "engine='local' was asked for"),
        ({"workers": 1}, "one worker is allowed"),
        ({"performance": {"max_workers": 1}}, "one worker is allowed"),
    ],
)
def test_what_rules_ray_out_is_the_reason(changes: dict[str, Any], reason: str) -> None:
    """However slow the drawing is; nothing is pickled for it."""
    chooser, _ = chooser_of(**changes)
    assert not chooser.may_use_ray
    choice = chooser.choose(SLOW, 1000)
    assert (choice.engine, choice.reason) == ("local", reason)


@on_a_machine
@pytest.mark.parametrize(
    ("age_s", "ray_s"), [(math.inf, 0.0), (0.0, choose.RAY_START_S), (1.0, choose.RAY_START_S - 1)]
)
def test_a_ray_that_was_started_before_costs_little(
    monkeypatch: pytest.MonkeyPatch, age_s: float, ray_s: float
) -> None:
    """A warm one has started; one that began with the script may still have to."""
    others: dict[str, Any] = {"name": "", "offer": None, "wait": None, "hold": None}
    ready = ReadyRay(began_s=100.0 - age_s, **others)
    monkeypatch.setattr(choose.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(choose, "ready_ray", lambda notice: ready)
    chooser, _ = chooser_of()
    spec = make_spec(".mp4", VideoSettings(), SIZE, Fraction(30))
    costs = chooser.costs(spec, draw_s=0.01, encode_s=0.01, warm_up_s=0.0)
    assert costs.start_s == ray_s + choose.ATTACH_S + choose.READY_ACTOR_START_S
    assert costs.stop_s == 0.0


@on_a_machine
def test_a_ray_that_comes_too_late_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The video is finished before it has started; one that may help goes on starting."""
    dropped: list[bool] = []
    chooser, _ = chooser_of()
    monkeypatch.setattr(choose, "drop_early", lambda: dropped.append(True))
    slow_start = replace(QUICK, start_s=1000 * QUICK.draw_s)
    assert chooser.choose(slow_start, 2000).engine == "local"
    assert not dropped
    assert chooser.choose(slow_start, 500).engine == "local"
    assert dropped


@on_a_machine
def test_a_video_that_is_drawn_when_the_cost_is_known_is_short() -> None:
    """No frame is left to choose for."""
    assert chooser_of()[0].choose(SLOW, 0).reason == "short video"


@on_a_machine
@pytest.mark.parametrize("height_px", [None, 48])
def test_a_large_list_of_frames_is_not_pickled_to_be_drawn_here(
    monkeypatch: pytest.MonkeyPatch, height_px: int | None
) -> None:
    """It is reported where Ray would have been quicker, with what a list can do about it."""

    def refused(source: Any) -> Any:
        raise AssertionError("it was pickled")

    frames = np.zeros((70, 1024, 1024, 1), np.uint8)
    settings = RenderSettings(height_px=height_px)
    for thing in (frames, [*frames], [Image.new("RGBA", (2048, 2048)) for _ in range(5)]):
        with monkeypatch.context() as patched:
            patched.setattr(packing, "pack", refused)
            chooser, stats = chooser_of(source=as_source(thing, settings))
        assert chooser.choose(QUICK, 1000).engine == "local"
        assert not stats.events
        choice = chooser.choose(SLOW, 1000)
        assert choice.engine == "local"
        assert choice.reason.startswith("the list of frames is large")
        (notice,) = stats.events
        assert notice.startswith("the list of frames takes ")
        assert "A function of the frame number" in notice


@on_a_machine
def test_a_large_list_of_frames_is_sent_where_ray_is_asked_for() -> None:
    """With the same advice."""
    frames = np.zeros((70, 1024, 1024, 1), np.uint8)
    source = as_source(frames, RenderSettings())
    chooser, stats = chooser_of(source=source, engine="ray")
    assert len(chooser.packed_source.pickled) > frames.nbytes
    (notice,) = stats.events
    assert "A function of the frame number" in notice and "setup()" not in notice


@on_a_machine
def test_ray_is_used_where_it_is_asked_for_however_quick_the_drawing() -> None:
    """With as many actors as the settings say, and the machine allows."""
    chooser, _ = chooser_of(engine="ray", performance={"num_workers": 3})
    choice = chooser.choose(QUICK, 1000)
    assert (choice.engine, choice.actors) == ("ray", 3)
    chooser, _ = chooser_of(engine="ray", performance={"num_workers": 30})
    assert chooser.choose(QUICK, 1000).actors == 8


@on_a_machine
def test_an_unpicklable_source_is_reported_only_where_actors_were_worth_it() -> None:
    """It is drawn here; where Ray is asked for, it is an error before Ray starts."""
    chooser, stats = chooser_of(Locked())
    assert chooser.choose(QUICK, 1000).engine == "local"
    assert stats.events == []
    choice = chooser.choose(SLOW, 1000)
    assert choice == in_process("the drawing code cannot be sent to actors")
    chooser.choose(SLOW, 1000)
    (event,) = stats.events
    assert "self.lock" in event
    assert "This process draws all frames" in event
    chooser, _ = chooser_of(Locked(), engine="ray")
    with pytest.raises(NotPicklableError, match=r"self\.lock"):
        _ = chooser.packed_source


@on_a_machine
def test_memory_bounds_the_actors_and_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each actor is expected to take what this process takes."""
    monkeypatch.setattr(choose, "free_memory_bytes", lambda: 2000 * MIB)
    chooser, stats = chooser_of()
    most = chooser.most_actors()
    assert 1 <= most < 8
    assert chooser.most_actors() == most
    assert chooser.choose(SLOW, 1000).actors <= most
    assert len(stats.events) == 1
    assert f"There is memory for {most} render actors; 8 were allowed" in stats.events[0]


@on_a_machine
def test_the_window_takes_a_quarter_of_the_memory_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is never so small that nothing goes through."""
    for free_bytes, limit_bytes in ((16_000 * MIB, 256 * MIB), (400 * MIB, 100 * MIB), (0, 2**24)):
        monkeypatch.setattr(choose, "free_memory_bytes", lambda free=free_bytes: free)
        assert chooser_of()[0].limit_bytes == limit_bytes


@on_a_machine
def test_a_ray_that_runs_costs_only_the_actors_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what actors encode is transferred for next to nothing."""
    chooser, stats = chooser_of()
    fresh = chooser.costs(SPEC, 0.1, 0.01, 0.5)
    monkeypatch.setattr(choose, "ray_is_running", lambda: True)
    running = chooser.costs(SPEC, 0.1, 0.01, 0.5)
    assert fresh.start_s > running.start_s > 0.5
    assert fresh.stop_s > 0 == running.stop_s
    assert fresh.transport_s == 0
    assert fresh.is_encoded_by_actors
    stats.transport = "frames"
    by_frames = chooser.costs(SPEC, 0.1, 0.01, 0.5)
    assert by_frames.transport_s > 0
    assert not by_frames.is_encoded_by_actors


@on_a_machine
def test_encoding_times_in_the_settings_are_taken_as_they_are() -> None:
    """Others are expected from the stream."""
    chooser, _ = chooser_of(performance={"encode_ms": 12.0})
    assert chooser.encode_s(SPEC) == 0.012
    assert chooser_of()[0].encode_s(SPEC) > 0
