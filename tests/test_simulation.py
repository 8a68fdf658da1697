"""The simulated farm draws every frame once, is the same each time, and agrees with arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.job import simulate
from simulation.many_cores import RAYS, VIDEOS, Video, our_seconds
from simulation.scenario import FREE, Result, Scenario

from rayanim.engine.distributed import TURN_S


def is_whole(result: Result) -> bool:
    """Whether each frame of the video was written once."""
    stops = [0]
    for start, stop in sorted(result.written):
        if start != stops[-1]:
            return False
        stops.append(stop)
    return stops[-1] == result.scenario.frames


@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(1, 3000),
    actors=st.integers(1, 12),
    actors_per_node=st.integers(1, 4),
    autoscaled=st.booleans(),
    every_s=st.floats(7, 60),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_whatever_nodes_are_lost_every_frame_is_written_once(
    frames: int,
    actors: int,
    actors_per_node: int,
    autoscaled: bool,
    every_s: float,
    share: float,
    seed: int,
) -> None:
    """Nothing lost, nothing twice."""
    scenario = Scenario(
        frames,
        actors,
        longest=40,
        actors_per_node=actors_per_node,
        autoscaled=autoscaled,
        loss_every_s=every_s,
        loss_share=share,
        seed=seed,
    )
    assert is_whole(simulate(scenario))


def test_losses_cost_time() -> None:
    """The nodes that are taken away are missed."""
    calm = Scenario(20_000, 10)
    stormy = Scenario(20_000, 10, actors_per_node=2, loss_every_s=30, loss_share=0.5)
    assert simulate(stormy).drawn_s > 1.1 * simulate(calm).drawn_s


def test_one_seed_gives_one_run() -> None:
    """Figures can be had again; another seed gives others."""
    scenarios = [Scenario(5_000, 8, loss_every_s=10, seed=seed) for seed in (1, 1, 2)]
    first, again, other = map(simulate, scenarios)
    assert first == again
    assert first.drawn_s != other.drawn_s


@pytest.mark.parametrize("actors", [1, 2, 8, 16])
def test_where_nothing_costs_anything_n_actors_are_n_times_one(actors: int) -> None:
    """The closed form: frames times seconds, divided by actors; the last frame's may be odd."""
    scenario = Scenario(16 * 250, actors, draw_s=0.05, encode_s=0.0, scatter=0.0, costs=FREE)
    taken_s = simulate(scenario).drawn_s
    assert taken_s == pytest.approx(16 * 250 * 0.05 / actors, abs=0.05 + TURN_S)


def test_an_idle_farm_pays_for_fewer_nodes() -> None:
    """A short video does not fetch all the nodes there could be."""
    fixed = Scenario(1500, 100, draw_s=0.5)
    grown = Scenario(1500, 100, draw_s=0.5, autoscaled=True)
    assert simulate(grown).node_s < simulate(fixed).node_s


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_actors_have_their_video_at_nine_tenths_of_the_ideal() -> None:
    """With 50 ms a frame, and the video joined and finished; joining is hidden by the drawing."""
    result = simulate(Scenario(20 * 250 * 1000, 1000))
    assert result.of_ideal_finished > 0.9
    assert result.joined_s - result.drawn_s < 1


def test_joining_takes_what_its_parts_take_where_drawing_takes_nothing() -> None:
    """The closed form of the encoder actor: one core writes, joins and reads back."""
    costs = replace(FREE, part_s=1e-3, join_part_s=2e-3, join_byte_s=1e-9, move_byte_s=1e-9)
    scenario = Scenario(1000, 4, draw_s=0.0, encode_s=0.0, longest=10, scatter=0.0, costs=costs)
    result = simulate(scenario)
    video_bytes = 1000 * scenario.frame_bytes
    assert result.joined_s == pytest.approx(100 * 3e-3 + video_bytes * 1e-9)
    assert result.took_s - result.joined_s == pytest.approx(video_bytes * 1e-9)
    assert result.read_parts == 0


@pytest.mark.parametrize("video", VIDEOS.values(), ids=list(VIDEOS))
@pytest.mark.parametrize("frames", [300, 3_000])
def test_a_ray_that_is_there_is_quicker_on_many_cores(video: Video, frames: int) -> None:
    """Whatever is drawn where, each frame is drawn once."""
    cold_s, cold = our_seconds(video, frames, RAYS["cold"])
    warm_s, warm = our_seconds(video, frames, RAYS["warm"])
    assert is_whole(cold) and is_whole(warm)
    assert cold.drawn_here > 0
    assert warm_s < cold_s


def test_a_short_video_does_not_wait_for_ray() -> None:
    """It is drawn in process before Ray is there: no actor draws."""
    _, result = our_seconds(VIDEOS["wave"], 300, RAYS["cold"])
    assert result.drawn_here == 300
