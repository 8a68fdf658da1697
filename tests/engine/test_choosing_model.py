"""Short jobs stay in process, long ones go to Ray, and neither choice costs a tenth."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rayanim.engine.choose import (
    GAIN_NEEDED,
    MAX_SEGMENT_FRAMES,
    Choice,
    Costs,
    actors_by_memory,
    choose_engine,
    local_frame_seconds,
    ray_frame_seconds,
    segment_frames,
    transport_seconds,
)
from rayanim.errors import SettingsError

PLOT = Costs(draw_s=0.015, encode_s=0.003)
"""A line plot of 640x480."""

PANELS = Costs(draw_s=0.12, encode_s=0.015)
"""Five panels, one of them in 3D, at 2000x400."""

STOPS_SLOWLY = Costs(draw_s=0.5, encode_s=1.0, ray_start_s=0.0, actor_start_s=0.0, ray_stop_s=2.0)
"""Six frames take 9 s in process and 8 s on Ray, 10 s where that stops at half its pace."""

SECONDS = st.floats(0.0, 10.0)
COSTS = st.builds(
    Costs,
    draw_s=st.floats(1e-4, 5.0),
    encode_s=st.floats(1e-4, 1.0),
    ray_start_s=SECONDS,
    actor_start_s=SECONDS,
    segment_overhead_s=st.floats(0, 0.01),
    ray_stop_s=SECONDS,
    transport_s=st.floats(0, 0.1),
    encode_call_s=st.none() | st.floats(0, 1.0),
    encode_cpu_s=st.none() | st.floats(0, 4.0),
    taken_cores=st.floats(0.0, 2.0),
)


def chosen_s(choice: Choice) -> float:
    """The predicted time of the engine that was chosen."""
    seconds = choice.predicted_ray_s if choice.engine == "ray" else choice.predicted_local_s
    return seconds if seconds is not None else math.nan


def test_300_frames_of_a_simple_plot_stay_in_process() -> None:
    """5 s of drawing are over when Ray has just started and stopped."""
    choice = choose_engine(PLOT, 300, 2, 2)
    assert (choice.engine, choice.actors) == ("local", 0)
    assert choice.reason == "for the rest 5.4 s expected here, 6.8 s on Ray with its start"


def test_many_frames_go_to_ray() -> None:
    """10,000 frames of the same plot take half the time with 2 actors."""
    choice = choose_engine(PLOT, 10_000, 2, 2)
    assert (choice.engine, choice.actors) == ("ray", 2)
    assert choice.predicted_local_s == pytest.approx(180)
    assert choice.predicted_ray_s is not None
    assert choice.predicted_ray_s < 100
    assert choice.reason.endswith("expected with Ray's start, 180.0 s in process")


def test_few_costly_frames_go_to_ray() -> None:
    """It is the time that counts, not the number of frames."""
    assert choose_engine(PANELS, 200, 4, 4).engine == "ray"
    assert choose_engine(PANELS, 20, 4, 4).engine == "local"


def test_a_running_ray_pays_sooner() -> None:
    """Where the caller's Ray is up and stays, only the actors have to start."""
    running = replace(PLOT, ray_start_s=0.0, ray_stop_s=0.0)
    assert choose_engine(PLOT, 300, 2, 2).engine == "local"
    assert choose_engine(running, 300, 2, 2).engine == "ray"


def test_no_frames_left_are_finished_in_process() -> None:
    """There is nothing to start Ray for."""
    choice = choose_engine(PLOT, 0, 8, 8)
    assert (choice.engine, choice.predicted_local_s) == ("local", 0)


@pytest.mark.parametrize("max_actors", [0, 1])
@pytest.mark.parametrize("frames", [None, 10**6])
def test_a_single_actor_is_not_worth_a_cluster(max_actors: int, frames: int | None) -> None:
    """One worker means in process, and so does memory for none."""
    choice = choose_engine(PLOT, frames, max_actors, 8, elapsed_s=1e6)
    assert (choice.engine, choice.actors) == ("local", 0)
    assert choice.reason == (f"render actors allowed: {max_actors}; Ray takes 2 to gain anything")


def test_one_core_stays_in_process() -> None:
    """Actors that share a core with the encoder draw no faster than one process."""
    assert choose_engine(PLOT, 10**6, 8, 1).engine == "local"


def test_a_slow_encoder_keeps_an_overlapping_codec_in_process() -> None:
    """Where encoding takes longer than drawing and overlaps with it, Ray gains nothing."""
    costs = Costs(draw_s=0.010, encode_s=0.050, encode_call_s=0.040)
    assert choose_engine(costs, 10**6, 8, 8).engine == "local"


def test_a_codec_that_holds_the_drawing_thread_is_worth_an_actor_of_its_own() -> None:
    """Drawing and encoding in turn take the sum; apart they take the longer of both."""
    costs = Costs(draw_s=0.030, encode_s=0.030)
    assert local_frame_seconds(costs, 8) == pytest.approx(0.060)
    choice = choose_engine(costs, 10_000, 8, 8)
    assert choice.engine == "ray"
    assert choice.actors <= 2


def test_an_encoder_in_a_thread_of_its_own_still_sets_the_pace() -> None:
    """The drawing thread is free at once, but the video is not done before the encoder is."""
    costs = Costs(draw_s=0.010, encode_s=0.050, encode_call_s=0.0)
    assert local_frame_seconds(costs, 8) == pytest.approx(0.050)


def test_the_codecs_threads_fill_the_cores() -> None:
    """A codec that takes both cores leaves nothing for actors to gain."""
    costs = Costs(draw_s=0.010, encode_s=0.030, encode_call_s=0.020, encode_cpu_s=0.060)
    assert choose_engine(costs, 10**6, 2, 2).engine == "local"


def test_costly_transport_keeps_the_job_in_process() -> None:
    """Large frames that are cheap to draw cost more to move than to make."""
    costs = Costs(draw_s=0.002, encode_s=0.002, encode_call_s=0.0, transport_s=0.05)
    assert choose_engine(costs, 10**6, 2, 2).engine == "local"


def test_no_more_actors_than_the_encoder_can_use() -> None:
    """An encoder of 100 frames per second is fed by 5 actors of 20, on 64 cores too."""
    costs = Costs(draw_s=0.05, encode_s=0.01, segment_overhead_s=0.0)
    assert choose_engine(costs, 10_000, 64, 64).actors == 5


def test_no_more_actors_than_frames() -> None:
    """Three frames of a minute are drawn by three."""
    assert choose_engine(Costs(draw_s=60.0, encode_s=0.01), 3, 64, 64).actors == 3


def test_the_rate_on_ray_is_bound_by_the_slowest_of_three() -> None:
    """Actors, encoder, cores: each binds where it is the narrowest."""
    costs = Costs(draw_s=0.1, encode_s=0.02, segment_overhead_s=0.0)
    assert ray_frame_seconds(costs, 2, 64) == pytest.approx(0.05)
    assert ray_frame_seconds(costs, 32, 64) == pytest.approx(0.02)
    assert ray_frame_seconds(costs, 32, 4) == pytest.approx(0.03)


def test_what_ray_itself_takes_of_the_cores_is_no_actor_s() -> None:
    """On two cores that is much, on sixteen hardly anything; one core is never less."""
    costs = Costs(draw_s=0.08, encode_s=0.02, segment_overhead_s=0.0, is_encoded_by_actors=True)
    disturbed = replace(costs, taken_cores=0.4)
    assert ray_frame_seconds(disturbed, 2, 2) == pytest.approx(0.1 / 1.6)
    assert ray_frame_seconds(disturbed, 16, 16) == pytest.approx(0.1 / 15.6)
    assert ray_frame_seconds(disturbed, 1, 1) == pytest.approx(0.1)


@example(
    Costs(draw_s=0.5, encode_s=1.0, ray_start_s=0.0, actor_start_s=0.0, ray_stop_s=2.0), 6, 2, 2
)
@given(COSTS, st.integers(0, 10**6), st.integers(2, 64), st.integers(1, 64))
def test_the_choice_never_costs_a_tenth(
    costs: Costs, frames: int, max_actors: int, cores: int
) -> None:
    """Whatever the costs, what is chosen is predicted within a tenth of the better one."""
    choice = choose_engine(costs, frames, max_actors, cores)
    assert choice.predicted_local_s is not None
    assert choice.predicted_ray_s is not None
    best_s = min(choice.predicted_local_s, choice.predicted_ray_s)
    assert chosen_s(choice) <= 1.1 * best_s
    assert (choice.actors == 0) == (choice.engine == "local")
    assert choice.actors <= max_actors


@given(COSTS, st.integers(2, 64), st.integers(1, 64), st.integers(0, 10**6), st.integers(1, 10))
def test_a_job_that_is_longer_does_not_go_back_in_process(
    costs: Costs, max_actors: int, cores: int, frames: int, times: int
) -> None:
    """Once Ray repays its start, it does for all longer jobs."""
    assume(frames >= max_actors)
    if choose_engine(costs, frames, max_actors, cores).engine == "ray":
        assert choose_engine(costs, frames * times, max_actors, cores).engine == "ray"


def test_a_stream_begins_in_process_and_moves_when_ray_would_have_paid() -> None:
    """Ray's price here is about 2.6 s, and it would save nearly half of each second."""
    early = choose_engine(PLOT, None, 2, 2, elapsed_s=1.0)
    late = choose_engine(PLOT, None, 2, 2, elapsed_s=10.0)
    assert (early.engine, late.engine, late.actors) == ("local", "ray", 2)
    assert early.reason == ("1.0 s of a job of unknown length; Ray repays its start after 5.3 s")
    assert late.reason.startswith("10.0 s of a job of unknown length")
    assert late.predicted_ray_s is None


def test_a_stream_never_moves_where_ray_is_no_faster() -> None:
    """An endless stream on one core stays where it is."""
    choice = choose_engine(PLOT, None, 2, 1, elapsed_s=1e9)
    assert choice == Choice("local", 0, None, None, "Ray would draw no faster")


@given(COSTS, st.integers(2, 64), st.integers(1, 64), st.floats(0, 1e5))
def test_a_stream_that_ends_on_moving_took_at_most_twice_as_long(
    costs: Costs, max_actors: int, cores: int, elapsed_s: float
) -> None:
    """Ski rental: Ray's price is paid only after as much time in process."""
    choice = choose_engine(costs, None, max_actors, cores, elapsed_s=elapsed_s)
    if choice.engine == "ray":
        start_s = costs.ray_start_s + costs.actor_start_s
        lost_s = start_s * (1 - 0.7 ** (2 / cores)) + costs.ray_stop_s
        assert elapsed_s >= lost_s * 0.999


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["draw_s", "encode_s", "ray_start_s", "encode_call_s"])
def test_costs_that_are_no_time_are_refused(name: str, value: float) -> None:
    """A clock that went back is found here, not in a wrong choice."""
    with pytest.raises(SettingsError, match=f"{name} must be 0 or more seconds, got {value!r}"):
        replace(PLOT, **{name: value})


def test_frames_that_cost_nothing_are_no_division_by_zero() -> None:
    """A clock too coarse for a frame gives 0."""
    free = Costs(draw_s=0.0, encode_s=0.0, segment_overhead_s=0.0)
    assert choose_engine(free, 100, 4, 4).engine == "local"
    assert choose_engine(free, None, 4, 4, elapsed_s=1e9).engine == "local"


# ---- segments


MIB = 2**20
HD_BYTES = 1920 * 1080 * 3 // 2


def test_a_segment_is_a_quarter_of_a_second_of_drawing() -> None:
    """Ray's 2 to 3 ms per segment are then about one per cent."""
    assert segment_frames(1000, 0.0125, None, 2, 256 * MIB, 2) == 20


def test_costly_frames_travel_alone() -> None:
    """A frame of a second is a segment."""
    assert segment_frames(1000, 1.0, None, 2, 256 * MIB, 2) == 1


@pytest.mark.parametrize("draw_s", [0.0, 1e-9, 0.001])
def test_cheap_frames_stop_at_the_largest_segment(draw_s: float) -> None:
    """Frames that cost nothing measurable are no division by zero."""
    assert segment_frames(1000, draw_s, None, 2, 256 * MIB, 2) == MAX_SEGMENT_FRAMES


def test_large_frames_make_segments_that_fit_the_window() -> None:
    """8 actors with 2 segments each, one in the encoder, one that waits: 18 fit."""
    assert segment_frames(HD_BYTES, 0.001, None, 8, 256 * MIB, 2) == 4


def test_a_short_job_gives_each_actor_several_segments() -> None:
    """100 frames for 4 actors are cut into at least 16 segments."""
    assert segment_frames(1000, 0.001, 100, 4, 256 * MIB, 2) == 6


@given(
    st.integers(1, 10**9),
    SECONDS,
    st.none() | st.integers(0, 10**7),
    st.integers(0, 1000),
    st.integers(1, 2**34),
    st.integers(1, 8),
)
def test_a_segment_is_never_empty_and_fits_unless_it_is_one_frame(
    frame_bytes: int,
    draw_s: float,
    frames: int | None,
    actors: int,
    in_flight_bytes: int,
    queue_size: int,
) -> None:
    """All segments that there may be at once fit the window, if single frames do."""
    size = segment_frames(frame_bytes, draw_s, frames, actors, in_flight_bytes, queue_size)
    assert 1 <= size <= MAX_SEGMENT_FRAMES
    at_once = (2 + queue_size * actors) * size * frame_bytes
    assert size == 1 or at_once <= in_flight_bytes
    assert size == 1 or frames is None or frames // size >= 4 * actors


# ---- memory and transport


@pytest.mark.parametrize(
    ("free", "actor", "reserve", "actors"),
    [(1000, 100, 0, 10), (1000, 100, 950, 0), (1000, 100, 2000, 0), (999, 100, 0, 9), (5, 0, 0, 5)],
)
def test_actors_fit_into_what_memory_is_left(
    free: int, actor: int, reserve: int, actors: int
) -> None:
    """Whole actors only, none where the reserve takes all."""
    assert actors_by_memory(free, actor, reserve) == actors


def test_a_full_hd_frame_takes_some_milliseconds_through_the_store() -> None:
    """3.1 MB were measured to take 4 to 6 ms."""
    assert 0.004 <= transport_seconds(HD_BYTES) <= 0.006


def test_ray_must_win_though_it_starts_slowly() -> None:
    """A gain smaller than its start and stop once more is not risked, while it is under a tenth."""
    costs = Costs(draw_s=0.0025, encode_s=0.005, encode_call_s=0.0, is_encoded_by_actors=True)
    stays = choose_engine(costs, 1500, max_actors=4, cores=4)
    assert stays.predicted_ray_s is not None and stays.predicted_local_s is not None
    assert stays.predicted_ray_s < GAIN_NEEDED * stays.predicted_local_s
    assert stays.engine == "local"
    assert choose_engine(costs, 1700, max_actors=4, cores=4).engine == "ray"
    assert choose_engine(costs, 40_000, max_actors=4, cores=4).engine == "ray"
